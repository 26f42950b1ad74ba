"""Comparisons as people and programs read them: text, a Markdown table, JSON values.

Nothing here is printed or written, so that a run and the command show the same. In text, what did not change is only
a number in the last line: among a hundred tests, a reader looks for the two that became slower.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from pytest_claude_latency import duration
from pytest_claude_latency.comparison.comparison import Comparison, Verdict
from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import printable, printable_lines, wrapped
from pytest_claude_latency.report.columns import GAP, column_widths, line_of
from pytest_claude_latency.report.faces.markdown import code

HEADERS = ("metric", "before", "now", "change", "verdict", "evidence")
_NUMBERS = range(1, 4)
"""The places of `HEADERS` under which numbers stand."""
_CHANGES: tuple[Verdict, ...] = ("regression", "improvement")
_VERDICTS: tuple[Verdict, ...] = (*_CHANGES, "unchanged", "too few runs")
NOTHING = "no test was measured on both sides"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two sets of measurements, compared.

    `gone` and `new` are the node ids of tests that only one side has, `left_out` those of tests that could not be
    compared, each with the reason: `"tests/test_x.py::test_y (failed)"`.
    """

    comparisons: tuple[Comparison, ...] = ()
    gone: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def shown(self, *, everything: bool) -> list[Comparison]:
        """Return the comparisons that a reader is shown: regressions and improvements, or all of them."""
        return [comparison for comparison in self.comparisons if everything or comparison.verdict in _CHANGES]

    @property
    def regressions(self) -> tuple[Comparison, ...]:
        """The comparisons of what became worse."""
        return tuple(comparison for comparison in self.comparisons if comparison.verdict == "regression")

    @property
    def not_compared(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The tests that were not compared, under a word for each reason that occurs."""
        reasons = {"gone": self.gone, "new": self.new, "not compared": self.left_out}
        return tuple((reason, tests) for reason, tests in reasons.items() if tests)


class Line(NamedTuple):
    """A line of text, and the verdict it shows, for a terminal that has colours; None where it shows none."""

    text: str
    verdict: Verdict | None = None


def cells_of(comparison: Comparison) -> tuple[str, ...]:
    """Return a comparison as cells in the order of `HEADERS`.

    The change is empty where the two values are equal or not both numbers.
    """
    change, grounds = _change(comparison), comparison.grounds()
    return (comparison.metric, *comparison.shown, change, comparison.verdict, grounds)


def _change(comparison: Comparison) -> str:
    """Return how far the two shown values are apart: durations in percent, counts in numbers."""
    before, after = comparison.typical
    # what never came is infinite: there is no number for the distance to it
    if before == after or math.inf in (before, after):
        return ""
    if METRICS[comparison.metric].kind != "duration":
        return f"{after - before:+g}"
    # nothing is a percentage of zero
    if before == 0:
        return f"+{duration.show(int(after))}"
    percent = (after - before) / before * 100
    # rounded, it would be 0.0 % and read as if nothing had changed
    if abs(percent) < 0.05:
        return "+<0.1 %" if percent > 0 else "-<0.1 %"
    return f"{percent:+.1f} %" if abs(percent) < 10 else f"{percent:+.0f} %"


def counts(compared: Compared) -> str:
    """Return one line that says how much was compared, and how often each verdict occurs."""
    number = Counter(comparison.verdict for comparison in compared.comparisons)
    verdicts = ", ".join(
        number_of(number[verdict], verdict) if verdict in _CHANGES else f"{number[verdict]} {verdict}"
        for verdict in _VERDICTS
        if number[verdict]
    )
    tests = len({comparison.nodeid for comparison in compared.comparisons})
    line = f"{number_of(tests, 'test')}, {number_of(number.total(), 'comparison')}: {verdicts}" if tests else NOTHING
    # the largest number is enough for all of them
    if needs := [comparison.needs for comparison in compared.comparisons if comparison.needs is not None]:
        line += f" ({max(needs)} samples a side would be enough)"
    return "; ".join([line, *(f"{number_of(len(ids), 'test')} {reason}" for reason, ids in compared.not_compared)])


# ── text ──


def text_lines(compared: Compared, *, width: int, everything: bool = False) -> list[Line]:
    """Return a table by test with what else changed, then the tests of one side only, and the counts.

    Shown are regressions and improvements; with `everything` every comparison. Lines keep to `width` characters,
    except where a test's id is longer.
    """
    shown = compared.shown(everything=everything)
    lines: list[Line] = []
    if shown:
        widths = column_widths([HEADERS, *map(cells_of, shown)])
        lines.append(Line(GAP + line_of(HEADERS, widths, _NUMBERS)))
    for nodeid, comparisons in _by_test(shown):
        lines.append(Line(nodeid))
        for comparison in comparisons:
            *facts, evidence = cells_of(comparison)
            line = GAP + line_of([*facts, evidence], widths, _NUMBERS)
            if len(line) <= width:
                lines.append(Line(line, comparison.verdict))
                continue
            # the evidence is the longest cell, and the only one that is a sentence: it gets lines of its own
            lines.append(Line(GAP + line_of(facts, widths[:-1], _NUMBERS), comparison.verdict))
            lines += _wrapped(evidence, " " * 6, " " * 6, width)
        for place, note in enumerate(_notes(comparisons)):
            lines += _wrapped(note, f"    {'' if place else 'changed':<10}", " " * 14, width)
    lines += [Line(f"{reason}: {test}") for reason, tests in compared.not_compared for test in tests]
    lines += _wrapped(counts(compared), "", "  ", width)
    return [Line(printable(line.text), line.verdict) for line in lines]


def _by_test(shown: Iterable[Comparison]) -> Iterator[tuple[str, list[Comparison]]]:
    return ((nodeid, list(group)) for nodeid, group in groupby(shown, key=lambda comparison: comparison.nodeid))


def _notes(comparisons: Iterable[Comparison]) -> tuple[str, ...]:
    """Return what else changed about a test. All its metrics say the same, so it is shown once."""
    return tuple(dict.fromkeys(note for comparison in comparisons for note in comparison.notes))


def _wrapped(text: str, first: str, following: str, width: int) -> Iterator[Line]:
    return map(Line, wrapped(text, max(width, 40), first, following))


# ── Markdown and JSON ──


def markdown(compared: Compared, *, everything: bool = False) -> str:
    """Return the same as a table for the summary page of a CI job; without a title, with a line break at its end."""
    shown = compared.shown(everything=everything)
    parts = []
    if shown:
        lines = [f"| {' | '.join(('test', *HEADERS))} |", "|:--|:--|--:|--:|--:|:--|:--|"]
        for comparison in shown:
            cells = [f"**{cell}**" if cell == "regression" else cell for cell in cells_of(comparison)]
            lines.append(f"| {code(comparison.nodeid, in_table=True)} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    for nodeid, comparisons in _by_test(shown):
        if notes := _notes(comparisons):
            parts.append("\n".join([f"{code(nodeid)} changed:\n", *(f"- {code(note)}" for note in notes)]))
    if compared.not_compared:
        items = [f"- {reason}: {code(test)}" for reason, tests in compared.not_compared for test in tests]
        parts.append("\n".join(items))
    return printable_lines("\n\n".join([*parts, counts(compared)])) + "\n"


def as_json(compared: Compared) -> dict[str, Any]:
    """Return the same as JSON values: durations in seconds; null stands for what never came."""
    number = Counter(comparison.verdict for comparison in compared.comparisons)
    return {
        "comparisons": [{"nodeid": comparison.nodeid} | comparison.as_json() for comparison in compared.comparisons],
        "gone": list(compared.gone),
        "new": list(compared.new),
        "left_out": list(compared.left_out),
        "counts": {verdict: number[verdict] for verdict in _VERDICTS},
    }

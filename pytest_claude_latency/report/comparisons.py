"""Comparisons as people and programs read them: text, a Markdown table, JSON values.

Nothing here is printed or written, so that a run and the command show the same. In text, what did not change is a
number in the last line: among a hundred tests, the two that became slower are what a reader looks for.
"""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from pytest_claude_latency import duration
from pytest_claude_latency.comparison.comparison import Comparison, Verdict
from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.report.markdown import code

HEADERS = ("metric", "before", "now", "change", "verdict", "evidence")
_VERDICTS: Sequence[Verdict] = ("regression", "improvement", "unchanged", "too few runs")
NOTHING = "no test was measured on both sides"
_CHANGES = ("regression", "improvement")
_GAP = "  "


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two sets of measurements held against each other.

    `gone` and `new` are the node ids of tests that only one side has, `left_out` those of tests that could not be
    compared, each with the reason: `"tests/test_x.py::test_y (failed)"`.
    """

    comparisons: tuple[Comparison, ...] = ()
    gone: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def regressions(self) -> tuple[Comparison, ...]:
        """What became worse."""
        return tuple(each for each in self.comparisons if each.verdict == "regression")


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison as cells of text; `change` is empty where there is none to tell."""

    nodeid: str
    metric: str
    before: str
    now: str
    change: str
    verdict: Verdict
    evidence: str
    notes: tuple[str, ...]

    @property
    def cells(self) -> tuple[str, ...]:
        """In the order of `HEADERS`."""
        return self.metric, self.before, self.now, self.change, self.verdict, self.evidence


class Line(NamedTuple):
    """A line of text, and the verdict it shows, for a terminal that has colours; None where it shows none."""

    text: str
    verdict: Verdict | None = None


def rows(comparisons: Iterable[Comparison]) -> tuple[Row, ...]:
    """The cells of each comparison."""
    return tuple(
        Row(each.nodeid, each.metric, *each.shown, _change(each), each.verdict, each.grounds(), each.notes)
        for each in comparisons
    )


def counts(compared: Compared) -> str:
    """One line: how much was compared, and what became of it."""
    number = Counter(each.verdict for each in compared.comparisons)
    fates = ", ".join(
        number_of(number[verdict], verdict) if verdict in _CHANGES else f"{number[verdict]} {verdict}"
        for verdict in _VERDICTS
        if number[verdict]
    )
    tests = len({each.nodeid for each in compared.comparisons})
    first = f"{number_of(tests, 'test')}, {number_of(number.total(), 'comparison')}: {fates}" if tests else NOTHING
    if needs := [each.needs for each in compared.comparisons if each.needs is not None]:
        first += f" ({max(needs)} samples a side would do)"
    others = [f"{number_of(len(ids), 'test')} {what}" for what, ids in _others(compared)]
    return "; ".join([first, *others])


# ── text ──


def text_lines(compared: Compared, *, width: int, everything: bool = False) -> list[Line]:
    """A table by test, what else changed beneath each, tests of one side only, and the counts.

    Shown are regressions and improvements; with `everything` every comparison. Lines keep to `width` characters,
    except where a test's id is longer.
    """
    shown = [row for row in rows(compared.comparisons) if everything or row.verdict in _CHANGES]
    lines: list[Line] = []
    if shown:
        widths = [max(map(len, column)) for column in zip(HEADERS, *(row.cells for row in shown), strict=True)]
        lines.append(Line(_GAP + _joined(HEADERS, widths)))
        for nodeid, group in groupby(shown, key=lambda row: row.nodeid):
            lines += _test_lines(nodeid, list(group), widths, width)
    lines += [Line(f"{what}: {test}") for what, tests in _others(compared) for test in tests]
    return [*lines, *map(Line, _wrapped(counts(compared), "", "  ", width))]


def _test_lines(nodeid: str, of: Sequence[Row], widths: Sequence[int], width: int) -> Iterator[Line]:
    yield Line(nodeid)
    for row in of:
        line = _GAP + _joined(row.cells, widths)
        if len(line) <= width:
            yield Line(line, row.verdict)
            continue
        yield Line(_GAP + _joined(row.cells[:-1], widths[:-1]), row.verdict)
        yield from map(Line, _wrapped(row.evidence, " " * 6, " " * 6, width))
    for place, note in enumerate(_notes(of)):
        yield from map(Line, _wrapped(note, f"    {'' if place else 'changed':<10}", " " * 14, width))


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Words to the left, numbers to the right."""
    numbers = range(1, 4)
    pairs = enumerate(zip(cells, widths, strict=True))
    return _GAP.join(
        f"{cell:>{size}}" if place in numbers else f"{cell:<{size}}" for place, (cell, size) in pairs
    ).rstrip()


def _notes(of: Iterable[Row]) -> tuple[str, ...]:
    """What else changed about a test, which all its metrics say alike."""
    return tuple(dict.fromkeys(note for row in of for note in row.notes))


def _wrapped(text: str, first: str, others: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


# ── Markdown and JSON ──


def markdown(compared: Compared, *, everything: bool = False) -> str:
    """The same as a table for the summary page of a CI job; without a title, with a line break at its end."""
    shown = [row for row in rows(compared.comparisons) if everything or row.verdict in _CHANGES]
    parts = [_table(shown)] if shown else []
    for nodeid, group in groupby(shown, key=lambda row: row.nodeid):
        if notes := _notes(group):
            parts.append("\n".join([f"{code(nodeid)} changed:\n", *(f"- {code(note)}" for note in notes)]))
    if others := [f"- {what}: {code(test)}" for what, tests in _others(compared) for test in tests]:
        parts.append("\n".join(others))
    return "\n\n".join([*parts, counts(compared)]) + "\n"


def _table(shown: Iterable[Row]) -> str:
    header, rule = " | ".join(("test", *HEADERS)), "|:--|:--|--:|--:|--:|:--|:--|"
    lines = [f"| {code(row.nodeid, in_table=True)} | {' | '.join(_marked(row))} |" for row in shown]
    return "\n".join([f"| {header} |", rule, *lines])


def _marked(row: Row) -> Iterator[str]:
    for cell in row.cells:
        yield f"**{cell}**" if cell == "regression" else cell


def as_json(compared: Compared) -> dict[str, Any]:
    """The same as JSON values: durations in seconds, what never came null."""
    number = Counter(each.verdict for each in compared.comparisons)
    return {
        "comparisons": [{"nodeid": each.nodeid} | each.as_json() for each in compared.comparisons],
        "gone": list(compared.gone),
        "new": list(compared.new),
        "left_out": list(compared.left_out),
        "counts": {verdict: number[verdict] for verdict in _VERDICTS},
    }


# ── cells ──


def _change(comparison: Comparison) -> str:
    """By how much the values shown differ: spans in percent, counts in numbers; empty where they do not."""
    before, after = comparison.typical
    if before == after or math.inf in (before, after):
        return ""
    if METRICS[comparison.metric].kind != "duration":
        return f"{after - before:+g}"
    if before == 0:
        return f"+{duration.show(int(after))}"
    share = (after - before) / before * 100
    if abs(share) < 0.05:
        return "+<0.1 %" if share > 0 else "-<0.1 %"
    return f"{share:+.1f} %" if abs(share) < 10 else f"{share:+.0f} %"


def _others(compared: Compared) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Tests that were not compared, under a word for each kind that there is."""
    named = {"gone": compared.gone, "new": compared.new, "not compared": compared.left_out}
    return ((what, tests) for what, tests in named.items() if tests)

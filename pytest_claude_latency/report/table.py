"""The summary as cells of text, one list for a row: what the terminal, Markdown and HTML have in common.

`total` is that of the slowest call, `elapsed` that of the whole test. Where a test has one call and no limit on
`elapsed`, both are one figure, which stands under `total`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.judgement import Judgement
from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.metrics.percentiles import percentile
from pytest_claude_latency.metrics.sample import NEVER
from pytest_claude_latency.metrics.series import sample_of
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import printable
from pytest_claude_latency.report.summary import Figure, Row, Summary
from pytest_claude_latency.results.also_failed import counted
from pytest_claude_latency.results.simulation import ASSUMPTIONS

HEADERS = ("test", "calls", "TTFT", "total", "elapsed", "tokens", "verdict")
NOT_STREAMED = "*"
SIMULATED = ", simulated"
ONE_NOT_JUDGED = "1 latency budget was not judged; pytest --latency-budget judges it"
SOME_NOT_JUDGED = "{number} latency budgets were not judged; pytest --latency-budget judges them"
_LEAST_DIFFERENCE = 50 * MILLISECOND
_FOOTNOTES = {
    NOT_STREAMED: f"{NOT_STREAMED} not streamed: the first token comes with the last",
    SIMULATED: "simulated: its answers are made up, and no API took these times",
}
_PLACES: Final = 8
"""How many characters a drawing has. More would make a line of two metrics too long for 80 columns."""
_HEIGHTS: Final = "▂▃▄▅▆▇█"
_EMPTY: Final = "▁"
_SHARES: Final = {"p50": Fraction(1, 2), "p95": Fraction(19, 20)}


@dataclass(frozen=True, slots=True)
class Table:
    """Headers, for each row its cells in the same order, and what the marks in them mean."""

    headers: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    footnotes: tuple[str, ...]


def table(summary: Summary) -> Table:
    """Return the cells of the summary; the first column is the test, the last its verdict.

    The column `elapsed` is left out where no row has anything in it.
    """
    rows = []
    for row in summary.rows:
        ttft = row.figures["ttft"]
        rows.append(
            (
                printable(row.nodeid) + samples_text(row),
                str(row.calls),
                _with_limit(ttft, "" if ttft.streamed else NOT_STREAMED),
                _with_limit(row.figures["total"]),
                _with_limit(row.figures["elapsed"]) if shows_elapsed(row) else "",
                "" if row.output_tokens is None else str(row.output_tokens),
                f"{row.verdict}{SIMULATED}" if row.simulated else row.verdict,
            )
        )
    marks = {SIMULATED for row in summary.rows if row.simulated}
    marks |= {NOT_STREAMED for row in summary.rows if not row.figures["ttft"].streamed}
    columns = {
        header: cells for header, *cells in zip(HEADERS, *rows, strict=True) if header != "elapsed" or any(cells)
    }
    return Table(
        tuple(columns),
        tuple(zip(*columns.values(), strict=True)),
        tuple(text for mark, text in _FOOTNOTES.items() if mark in marks),
    )


def samples_text(row: Row) -> str:
    """Return what stands behind the name of a test that ran several times."""
    return f" ({number_of(len(row.samples), 'sample')})" if len(row.samples) > 1 else ""


def shows_elapsed(row: Row) -> bool:
    """Return whether `elapsed` says something about a test that its `total` does not."""
    total, elapsed = row.figures["total"], row.figures["elapsed"]
    if elapsed.limit is not None or row.calls > 1:
        return True
    # a test of one call may send other requests too; a body alone ends within a few milliseconds of its answer
    return elapsed.measured is not None and elapsed.measured - (total.measured or 0) >= _LEAST_DIFFERENCE


def spreads_of(row: Row) -> list[str]:
    """Return for each duration of a row its p50, its p95 and a drawing of all samples; nothing for one sample.

    A sample gives its worst call, as for percentiles in budgets, so that these figures are those that would be judged.
    """
    if len(row.samples) < 2:
        return []
    # those of the columns, and what the test promises besides
    limited = {judgement.metric for judgement in row.judgements if judgement.limit.is_general}
    shown = {"ttft", "total", *(["elapsed"] if shows_elapsed(row) else ())}
    texts = []
    for metric in (metric for name, metric in METRICS.items() if name in shown | limited and metric.kind == "duration"):
        readings = [reading for sample in row.samples if (reading := sample_of(sample).reading(metric)) is not None]
        if len(readings) < 2:
            continue
        values = {name: percentile(readings, share) for name, share in _SHARES.items()}
        facts = [f"{name} {'never' if at == NEVER else duration.show(int(at))}" for name, at in values.items()]
        drawing = drawn([reading for reading in readings if reading != NEVER])
        texts.append(" ".join([metric.name, *facts, *([drawing] if drawing else ())]))
    return texts


def drawn(readings: list[float]) -> str:
    """Return a drawing of the readings, from the lowest to the highest: the more lie in a place, the higher it is.

    Empty where all are equal: there is nothing to see.
    """
    least, most = min(readings, default=0), max(readings, default=0)
    if least == most:
        return ""
    counts = [0] * _PLACES
    for reading in readings:
        counts[min(int((reading - least) / (most - least) * _PLACES), _PLACES - 1)] += 1
    # a single sample must be seen next to a place that holds a hundred, so an occupied place is never the lowest
    steps = len(_HEIGHTS) - 1
    return "".join(_HEIGHTS[count * steps // max(counts)] if count else _EMPTY for count in counts)


def _with_limit(figure: Figure, mark: str = "") -> str:
    """Return a measurement and its limit: `412ms/800ms`; `none` where what never came breaks the limit."""
    if figure.measured is not None:
        measured = duration.show(figure.measured) + mark
    else:
        measured = "none" if figure.broken else "-" if figure.limit is not None else ""
    return measured if figure.limit is None else f"{measured}/{duration.exact(figure.limit)}"


def elsewhere(row: Row) -> list[Judgement]:
    """Return the judgements of the limits that no column shows."""
    return [
        judgement
        for judgement in row.judgements
        if not judgement.limit.is_general or judgement.metric not in row.figures
    ]


def run_verdict_lines(summary: Summary, kind: Literal["percentile", "comparison"]) -> tuple[str, ...]:
    """Return the verdicts of one kind that needed the whole run, and what else changed, a line for each."""
    verdicts = [verdict for row in summary.rows for verdict in row.run_verdicts if verdict.kind == kind]
    return tuple(
        f"{verdict.nodeid}: {text}"
        for verdict in verdicts
        for text in ((verdict.headline, *verdict.notes) if verdict.shown else verdict.notes)
    )


def simulation_lines(summary: Summary) -> tuple[str, ...]:
    """Return what tests measured in their simulated worlds, a line for each fact, and what that assumes."""
    lines = [f"{nodeid}: {line}" for nodeid, found in summary.simulations.items() for line in found.lines()]
    return (*lines, ASSUMPTIONS) if lines else ()


def verdict_of(summary: Summary) -> str:
    """Return the verdict on a run in a line: which of its tests failed, and what else did."""
    failing, tests = sum(row.fails for row in summary.rows), number_of(len(summary.rows), "test")
    others = counted(summary.also_failed)
    first = (
        f"{failing} of {tests} failed" if failing else f"none of {tests} failed" if others else f"{tests}, none failed"
    )
    return ", ".join([first if summary.rows else "no latency tests", *others])


def counts(summary: Summary) -> str:
    """Return one line: how many tests, calls and limits there are, and how often each verdict occurs."""
    parts = [number_of(len(summary.rows), "test"), number_of(summary.calls, "call")]
    if summary.setup_calls:
        parts.append(f"{number_of(summary.setup_calls, 'call')} in set-up")
    # "1 no calls" would read like a mistake
    words = {"no calls": "without a call"}
    verdicts = ", ".join(
        f"{number} {words.get(verdict, verdict)}" for verdict, number in sorted(summary.verdicts.items())
    )
    budgets = number_of(summary.budgets, "budget")
    parts.append(f"{budgets}: {verdicts}" if verdicts else budgets)
    if summary.comparisons:
        changes = ", ".join(f"{number} {verdict}" for verdict, number in sorted(summary.comparisons.items()))
        parts.append(f"{number_of(summary.comparisons.total(), 'comparison')}: {changes}")
    return f"{', '.join(parts)} ({summary.run.mode}, {summary.run.clock} clock)"


def not_judged(summary: Summary) -> str | None:
    """Return the line of a run that does not judge: how many budgets that concerns, and the command that judges them.

    None if the run judges, or has no budget.
    """
    # whether the run judges is asked too: the limits of a test that failed by itself are not judged in any run
    number = summary.verdicts.get("not judged", 0)
    if number == 0 or summary.run.judged:
        return None
    return ONE_NOT_JUDGED if number == 1 else SOME_NOT_JUDGED.format(number=number)

"""The summary as cells of text, one list for a row: what the terminal, Markdown and HTML have in common.

`total` is that of the slowest call, `elapsed` that of the whole test. Where a test has one call and no limit on
`elapsed`, both are one figure, which stands under `total`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.judgement import Judgement
from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import printable
from pytest_claude_latency.report.summary import Figure, Row, Summary
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
                str(row.output_tokens) if row.calls else "",
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

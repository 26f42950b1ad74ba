"""The summary as cells of text, one list for a row: what the terminal, Markdown and HTML have in common.

One column shows `total` or `elapsed`: the one with a limit, or with the tighter limit; without limits, the one that
says more for the number of calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.judgement import Judgement
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import printable
from pytest_claude_latency.report.summary import Figure, Row, Summary
from pytest_claude_latency.results.simulation import ASSUMPTIONS

Span: TypeAlias = Literal["total", "elapsed"]

HEADERS = ("test", "calls", "TTFT", "total", "tokens", "verdict")
NOT_STREAMED = "*"
ELAPSED = "+"
SIMULATED = ", simulated"
ONE_NOT_JUDGED = "1 latency budget was not judged; pytest --latency-budget judges it"
SOME_NOT_JUDGED = "{number} latency budgets were not judged; pytest --latency-budget judges them"
_FOOTNOTES = {
    NOT_STREAMED: f"{NOT_STREAMED} not streamed: the first token comes with the last",
    ELAPSED: f"{ELAPSED} elapsed: from the first request sent to the last answer ended",
    SIMULATED: "simulated: its answers are made up, and no API took these times",
}


@dataclass(frozen=True, slots=True)
class Table:
    """Headers, for each row its cells in the same order, and what the marks in them mean."""

    headers: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    footnotes: tuple[str, ...]


def table(summary: Summary) -> Table:
    """Return the cells of the summary; the first column is the test, the last its verdict."""
    cells, marks = [], set()
    for row in summary.rows:
        name = printable(row.nodeid)
        name += f" ({number_of(len(row.samples), 'sample')})" if len(row.samples) > 1 else ""
        ttft, shown = row.figures["ttft"], span(row)
        ttft_mark = "" if ttft.streamed else NOT_STREAMED
        span_mark = ELAPSED if shown == "elapsed" else ""
        marks |= {SIMULATED} if row.simulated else set()
        marks |= {ttft_mark, span_mark if row.calls else ""}
        cells.append(
            (
                name,
                str(row.calls),
                _with_limit(ttft, ttft_mark),
                _with_limit(row.figures[shown], span_mark),
                str(row.output_tokens) if row.calls else "",
                f"{row.verdict}{SIMULATED}" if row.simulated else row.verdict,
            )
        )
    return Table(HEADERS, tuple(cells), tuple(text for mark, text in _FOOTNOTES.items() if mark in marks))


def span(row: Row) -> Span:
    """Return which of `total` and `elapsed` a row shows."""
    # one call: its total is all; several calls: only `elapsed` says how long the test's user waits
    total, elapsed = row.figures["total"], row.figures["elapsed"]
    if total.limit is None and elapsed.limit is None:
        return "total" if row.calls <= 1 else "elapsed"
    return "elapsed" if elapsed.tightness > total.tightness else "total"


def _with_limit(figure: Figure, mark: str) -> str:
    """Return a measurement and its limit: `412ms/800ms`; `none` where what never came breaks the limit."""
    if figure.measured is not None:
        measured = duration.show(figure.measured) + mark
    else:
        measured = "none" if figure.broken else "-" if figure.limit is not None else ""
    return measured if figure.limit is None else f"{measured}/{duration.exact(figure.limit)}"


def elsewhere(row: Row) -> list[Judgement]:
    """Return the broken limits that no column shows."""
    shown = {"ttft", span(row)}
    return [judgement for judgement in row.broken if not judgement.limit.is_general or judgement.metric not in shown]


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

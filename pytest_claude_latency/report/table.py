"""The summary as cells of text, one list for a row: what the terminal, Markdown and HTML have in common.

One column shows `total` or `elapsed`: the one with a limit, or with the
tighter one; without limits, what tells most for the number of calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.judgement import Judgement
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.report.summary import Figure, Row, Summary

Span: TypeAlias = Literal["total", "elapsed"]

HEADERS = ("test", "calls", "TTFT", "total", "tokens", "verdict")
NOT_STREAMED = "*"
ELAPSED = "+"


@dataclass(frozen=True, slots=True)
class Table:
    """Headers, for each row of the summary its cells in the same order, and what the marks in them mean."""

    headers: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    footnotes: tuple[str, ...]


def table(summary: Summary) -> Table:
    """The cells of `summary`; the first column is the test, the last its verdict."""
    footnotes = []
    if not all(row.figures["ttft"].streamed for row in summary.rows):
        footnotes.append(f"{NOT_STREAMED} not streamed: the first token comes with the last")
    if any(row.calls and span(row) == "elapsed" for row in summary.rows):
        footnotes.append(f"{ELAPSED} elapsed: from the first request sent to the last answer ended")
    return Table(HEADERS, tuple(_cells(row) for row in summary.rows), tuple(footnotes))


def _cells(row: Row) -> tuple[str, ...]:
    name = row.nodeid if len(row.samples) == 1 else f"{row.nodeid} ({len(row.samples)} samples)"
    shown = span(row)
    return (
        name,
        str(row.calls),
        _figure(row.figures["ttft"], "" if row.figures["ttft"].streamed else NOT_STREAMED),
        _figure(row.figures[shown], ELAPSED if shown == "elapsed" else ""),
        str(row.output_tokens) if row.calls else "",
        row.verdict,
    )


def span(row: Row) -> Span:
    """Which of `total` and `elapsed` a row shows."""
    total, elapsed = row.figures["total"], row.figures["elapsed"]
    if total.limit is None and elapsed.limit is None:
        return "total" if row.calls <= 1 else "elapsed"
    return "elapsed" if elapsed.tightness > total.tightness else "total"


def _figure(figure: Figure, mark: str) -> str:
    """A measurement beside its limit: `412ms/800ms`; `none` where what never came breaks the limit."""
    if figure.measured is not None:
        measured = duration.show(figure.measured) + mark
    else:
        measured = "none" if figure.broken else "-" if figure.limit is not None else ""
    return measured if figure.limit is None else f"{measured}/{duration.exact(figure.limit)}"


def elsewhere(row: Row) -> list[Judgement]:
    """Broken limits that no column shows."""
    return [judgement for judgement in row.broken if judgement.metric not in {"ttft", span(row)}]


def over_samples(summary: Summary) -> tuple[str, ...]:
    """What was concluded of percentiles at the end of the run, a line for each verdict."""
    return _concluded(summary, "percentile")


def against_baseline(summary: Summary) -> tuple[str, ...]:
    """What changed since the baseline, a line for each."""
    return _concluded(summary, "comparison")


def _concluded(summary: Summary, kind: str) -> tuple[str, ...]:
    found = [each for row in summary.rows for each in row.run_verdicts if each.kind == kind]
    return tuple(f"{each.nodeid}: {text}" for each in found for text in (*[each.headline][: each.shown], *each.notes))


_FATES = {"no calls": "over no call"}


def counts(summary: Summary) -> str:
    """One line: how many tests, calls and limits, and what became of the limits."""
    parts = [number_of(len(summary.rows), "test"), number_of(summary.calls, "call")]
    if summary.setup_calls:
        parts.append(f"{number_of(summary.setup_calls, 'call')} in set-up")
    fates = ", ".join(
        f"{number} {_FATES.get(verdict, verdict)}" for verdict, number in sorted(summary.verdicts.items())
    )
    parts.append(number_of(summary.budgets, "budget") + (f": {fates}" if fates else ""))
    if summary.comparisons:
        changes = ", ".join(f"{number} {verdict}" for verdict, number in sorted(summary.comparisons.items()))
        parts.append(f"{number_of(summary.comparisons.total(), 'comparison')}: {changes}")
    return f"{', '.join(parts)} ({summary.run.mode}, {summary.run.clock} clock)"


def not_judged(summary: Summary) -> str | None:
    """The line of a run that does not judge: how many budgets that leaves, and the command that judges them."""
    number = summary.verdicts.get("not judged", 0)
    if number == 0 or summary.run.judged:  # a test that failed by itself is not judged either, whatever the command
        return None
    were, them = ("budget was", "it") if number == 1 else ("budgets were", "them")
    return f"{number} latency {were} not judged; pytest --latency-budget judges {them}"

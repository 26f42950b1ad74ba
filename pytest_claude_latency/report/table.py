"""The summary as cells of text, one list for a row: what the terminal, Markdown and HTML have in common.

A column that would say nothing is left out: `elapsed` is shown where a test
makes several calls or limits it, since for one call it is `total`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_claude_latency import duration
from pytest_claude_latency.judgement import Judgement
from pytest_claude_latency.report.summary import Row, Summary

NOT_STREAMED = "*"
FOOTNOTE = f"{NOT_STREAMED} not streamed: the first token comes with the last"


@dataclass(frozen=True, slots=True)
class Table:
    """Headers, and for each row of the summary its cells in the same order."""

    headers: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    footnote: str | None


def table(summary: Summary) -> Table:
    """The cells of `summary`; the first column is the test, the last its verdict."""
    figures = ["ttft", "total"]
    if any(row.calls > 1 or row.figures["elapsed"].limit is not None for row in summary.rows):
        figures.append("elapsed")
    return Table(
        headers=("test", "calls", *("TTFT" if name == "ttft" else name for name in figures), "tokens", "verdict"),
        cells=tuple(_cells(row, figures) for row in summary.rows),
        footnote=None if all(row.streamed for row in summary.rows) else FOOTNOTE,
    )


def _cells(row: Row, figures: Sequence[str]) -> tuple[str, ...]:
    return (
        name(row),
        str(row.calls),
        *(figure(row, metric) for metric in figures),
        str(row.output_tokens) if row.calls else "",
        row.verdict,
    )


def name(row: Row) -> str:
    """The test, with the number of its samples where there are several."""
    return row.nodeid if len(row.samples) == 1 else f"{row.nodeid} ({len(row.samples)} samples)"


def figure(row: Row, metric: str) -> str:
    """A measurement beside its limit: `412ms/800ms`; `none` where the limit is broken by what never came."""
    shown = row.figures[metric]
    text = "none" if shown.broken else "" if shown.limit is None else "-"
    if shown.measured is not None:
        text = duration.show(shown.measured)
    if metric == "ttft" and shown.measured is not None and not row.streamed:
        text += NOT_STREAMED
    return text if shown.limit is None else f"{text}/{duration.exact(shown.limit)}"


def elsewhere(row: Row) -> list[Judgement]:
    """Broken limits that no column shows."""
    return [judgement for judgement in row.broken if judgement.metric not in row.figures]


def counts(summary: Summary) -> str:
    """One line: how many tests, calls and limits, and what became of the limits."""
    parts = [_number(len(summary.rows), "test"), _number(summary.calls, "call")]
    if summary.setup_calls:
        parts[-1] += f" and {summary.setup_calls} in set-up"
    fates = ", ".join(f"{number} {verdict}" for verdict, number in sorted(summary.verdicts.items()))
    parts.append(_number(summary.budgets, "budget") + (f": {fates}" if fates else ""))
    return f"{', '.join(parts)} ({summary.run.mode}, {summary.run.clock} clock)"


def not_judged(summary: Summary) -> str | None:
    """The line of a run that does not judge: how many budgets that leaves, and the command that judges them."""
    number = summary.verdicts.get("not judged", 0)
    if number == 0:
        return None
    were, them = ("budget was", "it") if number == 1 else ("budgets were", "them")
    return f"{number} latency {were} not judged; pytest --latency-budget judges {them}"


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

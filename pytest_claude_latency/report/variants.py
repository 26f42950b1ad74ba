"""Variant rankings as cells of text: a table for each test that was tried in variants, and what to make of it."""

from __future__ import annotations

from pytest_claude_latency import duration
from pytest_claude_latency.metrics.sample import NEVER
from pytest_claude_latency.report.table import Table
from pytest_claude_latency.results.variant_ranking import RANKED_BY, Candidate, VariantRanking

HEADERS = ("variant", "passed", "TTFT", "TTFA", "total", "elapsed", "prompt", "output", "cut off", "change")
_SPANS = ("ttft", "ttfa", "total", "elapsed")
_TOKENS = ("prompt_tokens", "output_tokens")
_MARKS = {"faster": "faster", "slower": "slower", "inside the noise": "~", "too few samples": "?"}
_FOOTNOTES = {"~": "~ inside the noise", "?": "? too few samples to tell from chance"}


def table(ranking: VariantRanking) -> Table:
    """The cells of a ranking; the first column is the variant, the last the change against the test as it is written.

    Columns that would say nothing are left out: `elapsed` where it is the `total` of a single call, and empty ones.
    """
    rows = [_cells(each) for each in ranking.candidates]
    columns = [column for column in zip(HEADERS, *rows, strict=True) if any(column[1:]) or column[0] == "change"]
    spans = {column[0]: column[1:] for column in columns}
    if spans.get("elapsed") == spans.get("total"):
        columns = [column for column in columns if column[0] != "elapsed"]
    headers, *cells = zip(*columns, strict=True)
    marks = {row[-1][-1:] for row in rows}
    return Table(
        tuple(headers), tuple(map(tuple, cells)), tuple(text for mark, text in _FOOTNOTES.items() if mark in marks)
    )


def _cells(candidate: Candidate) -> tuple[str, ...]:
    return (
        candidate.name,
        _passed(candidate),
        *(_span(candidate.typical(metric)) for metric in _SPANS),
        *(_count(candidate.typical(metric)) for metric in _TOKENS),
        str(candidate.cut_off or ""),
        _change(candidate),
    )


def _passed(candidate: Candidate) -> str:
    if not candidate.samples:
        return "skipped"
    return "error" if candidate.stopped else f"{candidate.passed}/{candidate.samples}"


def _span(value: float | None) -> str:
    if value is None:
        return ""
    return "never" if value == NEVER else duration.show(int(value))


def _count(value: float | None) -> str:
    return "" if value is None else str(int(value))


def _change(candidate: Candidate) -> str:
    comparison, now = candidate.comparison, candidate.typical(RANKED_BY)
    if comparison is None or not now or not comparison.typical[0]:
        return ""
    return f"{now / comparison.typical[0] - 1:+.0%} {_MARKS[candidate.verdict or '']}"

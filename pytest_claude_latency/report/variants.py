"""Variant rankings as cells of text: a table for each test that was tried in variants."""

from __future__ import annotations

from pytest_claude_latency import duration
from pytest_claude_latency.metrics.sample import NEVER
from pytest_claude_latency.printable import printable
from pytest_claude_latency.report.table import Table
from pytest_claude_latency.results.variant_ranking import RANKED_BY, VariantRanking

HEADERS = ("variant", "passed", "TTFT", "TTFA", "total", "elapsed", "prompt", "output", "cut off", "change")
_SPANS = ("ttft", "ttfa", "total", "elapsed")
_TOKENS = ("prompt_tokens", "output_tokens")
_MARKS = {"faster": "faster", "slower": "slower", "inside the noise": "~", "too few samples": "?"}
_FOOTNOTES = {"~": "~ inside the noise", "?": "? too few samples to tell from chance"}


def table(ranking: VariantRanking) -> Table:
    """Return the cells of a ranking.

    The first column is the variant, the last its change against the test as it is written. Columns that would say
    nothing are left out: `elapsed` where it is the `total` of a single call, and empty ones.
    """
    rows = []
    for candidate in ranking.candidates:
        spans = []
        for metric in _SPANS:
            value = None if candidate.refused else candidate.typical(metric)  # how fast a refusal comes says nothing
            spans.append("" if value is None else "never" if value == NEVER else duration.show(int(value)))
        tokens = [None if candidate.refused else candidate.typical(metric) for metric in _TOKENS]
        # where something stopped it, counting what passed would blame the variant
        passed = "error" if candidate.stopped else f"{candidate.passed}/{candidate.samples}"
        if candidate.refused:
            passed = "refused"
        # no change for the test as it is written, nor where one of the two has nothing to compare
        change = ""
        comparison, now = candidate.comparison, candidate.typical(RANKED_BY)
        if comparison is not None and now and comparison.typical[0]:
            change = f"{now / comparison.typical[0] - 1:+.0%} {_MARKS[candidate.verdict or '']}"
        rows.append(
            (
                printable(candidate.name),
                passed if candidate.samples else "skipped",
                *spans,
                *("" if count is None else str(int(count)) for count in tokens),
                str(candidate.cut_off or ""),
                change,
            )
        )
    columns = {header: cells for header, *cells in zip(HEADERS, *rows, strict=True) if any(cells) or header == "change"}
    # with one call, `elapsed` and `total` are the same figures
    if columns.get("elapsed") == columns.get("total"):
        columns.pop("elapsed", None)
    marks = {row[-1][-1:] for row in rows}
    footnotes = tuple(text for mark, text in _FOOTNOTES.items() if mark in marks)
    return Table(tuple(columns), tuple(zip(*columns.values(), strict=True)), footnotes)

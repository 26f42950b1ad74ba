"""Spreads: how the samples of a test lie, in a few characters: `ttft p50 412ms p95 640ms ▂▁█▁▃`."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from pytest_claude_latency import duration
from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.metrics.percentiles import percentile
from pytest_claude_latency.metrics.sample import NEVER
from pytest_claude_latency.metrics.series import sample_of
from pytest_claude_latency.report.summary import Row
from pytest_claude_latency.report.table import shows_elapsed

_PLACES: Final = 8
"""How many characters a drawing has. More would make a line of two metrics too long for 80 columns."""
_HEIGHTS: Final = "▂▃▄▅▆▇█"
_EMPTY: Final = "▁"
_SHARES: Final = {"p50": Fraction(1, 2), "p95": Fraction(19, 20)}


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

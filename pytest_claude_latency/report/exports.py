"""Exports: a baseline in the formats of tools that keep a history of benchmarks.

One value stands for all samples of a test: their median, which is a measured one, between the lowest and the highest.
A mean is not exported: one stalled answer would decide it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from pytest_claude_latency.comparison.exact import EXACT, reading
from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.metrics.percentiles import percentile
from pytest_claude_latency.metrics.sample import NEVER
from pytest_claude_latency.metrics.series import Series


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One metric of one test, in nanoseconds or counts: the median of its samples, the lowest and the highest."""

    nodeid: str
    metric: str
    value: float
    low: float
    high: float
    samples: int
    kind: str
    """How it was measured: `Series.kind`."""

    @property
    def is_span(self) -> bool:
        """Whether it is a duration."""
        return METRICS[self.metric].kind == "duration"


@dataclass(frozen=True, slots=True)
class Points:
    """What can be exported; `left_out` says of the rest why not."""

    known: tuple[Point, ...]
    left_out: tuple[str, ...]


def points(series: Iterable[Series]) -> Points:
    """Every metric of every test that was measured in some sample. What never came in one has no highest value."""
    known: list[Point] = []
    left_out: list[str] = []
    for each in series:
        for metric in EXACT:
            readings = [found for sample in each.samples if (found := reading(sample, metric)) is not None]
            if never := readings.count(NEVER):
                reason = METRICS[metric].absent
                left_out.append(f"{metric} of {each.nodeid}: {reason} in {never} of {len(readings)} samples")
            elif readings:
                known.append(_point(each, metric, readings))
    return Points(tuple(known), tuple(left_out))


def bencher(known: Iterable[Point]) -> str:
    """Bencher Metric Format: an object of tests, each with its measures; spans in nanoseconds."""
    tests: dict[str, dict[str, Any]] = {}
    for point in known:
        measure = {"value": point.value, "lower_value": point.low, "upper_value": point.high}
        tests.setdefault(point.nodeid, {})[point.metric.replace("_", "-")] = measure
    return _text(tests)


def github(known: Iterable[Point]) -> str:
    """The list that github-action-benchmark reads as `customSmallerIsBetter`; spans in milliseconds."""
    return _text([_benchmark(point) for point in known])


FORMATS: Mapping[str, Callable[[Iterable[Point]], str]] = {"bencher": bencher, "github": github}


def _point(series: Series, metric: str, readings: Sequence[float]) -> Point:
    return Point(
        nodeid=series.nodeid,
        metric=metric,
        value=percentile(readings, Fraction(1, 2)),
        low=min(readings),
        high=max(readings),
        samples=len(readings),
        kind=series.kind,
    )


def _benchmark(point: Point) -> dict[str, Any]:
    value, low, high = (
        round(each / MILLISECOND, 6) if point.is_span else each for each in (point.value, point.low, point.high)
    )
    return {
        "name": f"{point.nodeid} {point.metric}",
        "unit": "ms" if point.is_span else "tokens" if "tokens" in point.metric else "calls",
        "value": value,
        "range": f"{low} to {high}",
        "extra": f"median of {point.samples}, {point.kind}",
    }


def _text(content: object) -> str:
    # all ASCII: it may go through a terminal or a pipe of any encoding
    return json.dumps(content, indent=2, allow_nan=False) + "\n"

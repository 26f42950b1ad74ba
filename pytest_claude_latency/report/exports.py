"""Exports: a baseline in the formats of tools that keep a history of benchmarks.

One value stands for all samples of a test: their median, which was measured, between the lowest and the highest. A
mean is not exported: a single stalled answer would decide it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from pytest_claude_latency.comparison.exact import EXACT, reading
from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.metrics.percentiles import percentile
from pytest_claude_latency.metrics.sample import NEVER
from pytest_claude_latency.metrics.series import Series
from pytest_claude_latency.printable import printable_json


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
    """What can be exported; `left_out` has the reason for each metric that cannot be."""

    measured: tuple[Point, ...]
    left_out: tuple[str, ...]


def points(all_series: Iterable[Series]) -> Points:
    """Return every metric of every test that some sample measured.

    A metric that never came in one sample has no highest value, so it is left out.
    """
    measured: list[Point] = []
    left_out: list[str] = []
    for series in all_series:
        for metric in EXACT:
            readings = [value for sample in series.samples if (value := reading(sample, metric)) is not None]
            # the tools expect a number, and infinity is none in JSON
            if never := readings.count(NEVER):
                reason = METRICS[metric].absent
                left_out.append(f"{metric} of {series.nodeid}: {reason} in {never} of {len(readings)} samples")
            elif readings:
                measured.append(
                    Point(
                        nodeid=series.nodeid,
                        metric=metric,
                        value=percentile(readings, Fraction(1, 2)),
                        low=min(readings),
                        high=max(readings),
                        samples=len(readings),
                        kind=series.kind,
                    )
                )
    return Points(tuple(measured), tuple(left_out))


def bencher(measured: Iterable[Point]) -> str:
    """Return Bencher Metric Format: an object of tests, each with its measures; durations in nanoseconds."""
    tests: dict[str, dict[str, Any]] = {}
    for point in measured:
        measure = {"value": point.value, "lower_value": point.low, "upper_value": point.high}
        # Bencher names measures by slugs, which have no underscores
        tests.setdefault(point.nodeid, {})[point.metric.replace("_", "-")] = measure
    return _text(tests)


def github(measured: Iterable[Point]) -> str:
    """Return the list that github-action-benchmark reads as `customSmallerIsBetter`; durations in milliseconds."""
    benchmarks = []
    for point in measured:
        # its chart shows the numbers as they are, and nanoseconds would be hard to read
        value, low, high = (
            round(number / MILLISECOND, 6) if point.is_span else number
            for number in (point.value, point.low, point.high)
        )
        benchmarks.append(
            {
                "name": f"{point.nodeid} {point.metric}",
                "unit": "ms" if point.is_span else "tokens" if "tokens" in point.metric else "calls",
                "value": value,
                "range": f"{low} to {high}",
                "extra": f"median of {point.samples}, {point.kind}",
            }
        )
    return _text(benchmarks)


FORMATS: Mapping[str, Callable[[Iterable[Point]], str]] = {"bencher": bencher, "github": github}


def _text(content: object) -> str:
    # only ASCII: it may go through a terminal or a pipe of any encoding
    return printable_json(json.dumps(content, indent=2, allow_nan=False)) + "\n"

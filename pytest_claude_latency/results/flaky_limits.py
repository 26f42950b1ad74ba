"""Flaky limits: limits that chance breaks, since they lie inside the scatter of the samples they are held against.

A plain limit holds for every sample. One that some samples keep and others break tells nothing about a change. So does
one that is only just above the slowest sample: of a few samples, the slowest is not the slowest there will be. The
scatter is therefore taken to reach as far beyond the slowest sample as that lies beyond the median.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.limit import Limit
from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.metrics.percentiles import percentile
from pytest_claude_latency.metrics.prompt_cache import kept_apart
from pytest_claude_latency.metrics.sample import NEVER
from pytest_claude_latency.metrics.series import Series

PROPOSED: Final = "suggested"
"""The origin of a limit that is only proposed."""
LEAST: Final = 3
"""Fewer samples have no scatter to speak of."""


@dataclass(frozen=True, slots=True)
class FlakyLimit:
    """A plain limit inside the scatter of a test's samples. Times are in nanoseconds."""

    limit: Limit
    median: float
    slowest: float
    over: int
    samples: int
    exact: bool
    """Whether the samples are replayed: then only the next recording meets chance."""

    def text(self) -> str:
        """Return the message about it in one line."""
        spread = f"median {duration.show(int(self.median))}, slowest {duration.show(int(self.slowest))}"
        counted = f"{self.over} of {self.samples} over it"
        chance = "in the next recording chance may break it" if self.exact else "chance may break it"
        remedy = "take more samples before you promise it" if self.limit.origin == PROPOSED else "raise it"
        return (
            f"{self.limit.text()} is inside the scatter of the samples ({spread}, {counted}): {chance}; "
            f"{remedy}, or promise a percentile"
        )


def flaky_limits(series: Series, limits: Iterable[Limit]) -> tuple[FlakyLimit, ...]:
    """Return those of a test's limits that lie inside the scatter of its samples, each once."""
    # What a cold and a warm prompt cache take is no scatter.
    groups = kept_apart(series.samples, lambda sample: sample.calls).values()
    found: list[FlakyLimit] = []
    # each sample carries the limits of its test: by their texts they are one
    for limit in {limit.text(): limit for limit in limits}.values():
        metric = METRICS[limit.metric]
        if limit.statistic is not None or not limit.is_general or metric.kind != "duration":
            continue
        for samples in groups:
            all_readings = [sample.reading(metric) for sample in samples]
            readings = [reading for reading in all_readings if reading is not None and reading != NEVER]
            if len(readings) < LEAST:
                continue
            median, slowest = percentile(readings, Fraction(1, 2)), max(readings)
            # One that even the fastest sample breaks is no matter of chance.
            if min(readings) <= limit.value < slowest + (slowest - median):
                over = sum(reading > limit.value for reading in readings)
                found.append(FlakyLimit(limit, median, slowest, over, len(readings), series.exact))
                break  # the largest group comes first, and one of them is enough to call the limit flaky
    return tuple(found)

"""Samples: the runs of one test, and what each of them measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pytest_claude_latency.duration import MICROSECOND, Nanoseconds
from pytest_claude_latency.metrics.given_up import times_that_count
from pytest_claude_latency.metrics.metric import Metric, measurement
from pytest_claude_latency.metrics.timeline import Call

NEVER: Final = math.inf
"""The reading of a sample whose awaited moment never came: later than any other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run of a test, measured."""

    number: int = 1
    elapsed: Nanoseconds | None = None
    """None where no answer ended."""
    calls: tuple[Call, ...] = ()
    test_readings: Mapping[str, float | None] = field(default_factory=dict)
    """What percentiles on the whole test, or on some of its calls, ask for; None where something never came."""
    conditions: tuple[Mapping[str, str], ...] = ()
    """The conditions of each call, as `conditions_of` returns them; empty where they are not known."""

    def __post_init__(self) -> None:
        if self.conditions and len(self.conditions) != len(self.calls):
            raise ValueError(
                f"{len(self.conditions)} conditions of {len(self.calls)} calls, expected one for each call or none"
            )

    def reading(self, metric: Metric) -> Nanoseconds | float | None:
        """Return the worst value of a duration among the calls: `NEVER` if what was awaited did not come.

        None where there was nothing to measure. Calls that were given up have no times that count.
        """
        if metric.name == "elapsed":
            return self.elapsed
        if metric.scope == "test":
            return self.noted(metric.name)
        readings = [measurement(metric, call) for call in times_that_count(self.calls)]
        # A token that never came must not make a run look faster than one in which it came late.
        if None in readings and metric.absent is not None:
            return NEVER
        return max((reading for reading in readings if reading is not None), default=None)

    def noted(self, name: str) -> float | None:
        """Return a reading in `test_readings`: `NEVER` if what was awaited did not come; None if there is none."""
        value = self.test_readings.get(name)
        return NEVER if value is None and name in self.test_readings else value

    def comparable(self) -> Sample:
        """Return what other runs can be compared with: times to the microsecond, as in recordings, and no URLs.

        A URL may name a machine. The rate is left out too, since `tpot` says the same.
        """
        elapsed = None if self.elapsed is None else round(self.elapsed / MICROSECOND) * MICROSECOND
        left_out: dict[str, Any] = {"url": "", "output_tokens_per_second": None}
        calls: list[dict[str, Any]] = [call.as_json() | left_out for call in self.calls]
        return replace(self, elapsed=elapsed, calls=tuple(Call(**call) for call in calls))

"""Samples: the runs of one test, and what each of them measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pytest_claude_latency import duration
from pytest_claude_latency.duration import Nanoseconds
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
    conditions: tuple[Mapping[str, str], ...] = ()
    """What may have made each call fast or slow, as `conditions.conditions_of` tells it; empty where not known."""

    def __post_init__(self) -> None:
        if self.conditions and len(self.conditions) != len(self.calls):
            raise ValueError(f"{len(self.conditions)} conditions of {len(self.calls)} calls: known are all or none")

    def reading(self, metric: Metric) -> Nanoseconds | float | None:
        """What this sample says of a duration: its worst call, `NEVER` where what was awaited did not come.

        None where there was nothing to measure.
        """
        if metric.name == "elapsed":
            return self.elapsed
        readings = [measurement(metric, call) for call in self.calls]
        if None in readings and metric.absent is not None:
            return NEVER
        return max((each for each in readings if each is not None), default=None)

    def comparable(self) -> Sample:
        """What other runs can be compared with: to the microsecond, as recordings are, and without URLs.

        A URL may name a machine. The rate goes too, since `tpot` says the same.
        """
        microsecond = duration.MICROSECOND
        elapsed = None if self.elapsed is None else round(self.elapsed / microsecond) * microsecond
        left_out: dict[str, Any] = {"url": "", "output_tokens_per_second": None}
        calls: list[dict[str, Any]] = [call.as_json() | left_out for call in self.calls]
        return replace(self, elapsed=elapsed, calls=tuple(Call(**call) for call in calls))

"""Metrics: what can be measured, limited and compared, and how a measured value reads.

Each is a row of `METRICS`; how it is read, compared and shown follows from the row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from pytest_claude_latency import duration
from pytest_claude_latency.metrics.timeline import Call

RATE_UNIT: Final = " tokens/s"
WITH_UNIT: Final = 'a string with a unit ("800ms", "1.5s", "2min", "1h"), or a datetime.timedelta'
Kind: TypeAlias = Literal["duration", "count", "rate", "money"]


class Reading(NamedTuple):
    """What was measured of a whole test: in the unit of limits, or None and the `reason`. `source` is the evidence."""

    value: int | float | None
    reason: str | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """Something a limit can be set on, and what it means if a call does not have it."""

    name: str
    kind: Kind
    scope: Literal["call", "test"] = "call"
    direction: Literal["at most", "at least"] = "at most"
    absent: str | None = None
    """What did not happen where the metric is None, which breaks a limit. None: a call without it is not judged."""
    unreported: int | None = None
    """The value of a call whose answer does not report the metric."""
    needs_unit: bool = False
    """Whether a bare number is refused as a limit, since it could be taken for a count."""

    @property
    def sign(self) -> str:
        """The sign between metric and limit: `<` for "at most", `>` for "at least"."""
        return "<" if self.direction == "at most" else ">"

    @property
    def accepted(self) -> str:
        """The forms a limit of this metric may take in a marker."""
        if self.kind == "duration":
            accepted = WITH_UNIT if self.needs_unit else duration.ACCEPTED
            return f'{accepted}, or percentiles of these ({{"p95": "1.2s"}})'
        if self.kind == "money":
            return "a number of US dollars, such as 0.02"
        return "a whole number, such as 300" if self.kind == "count" else "a number of tokens per second, such as 40"

    def worse(self, value: float, reference: float) -> bool:
        """Return whether `value` is worse than `reference`: larger, or smaller for a metric with a lower limit."""
        return value > reference if self.direction == "at most" else value < reference


# The order is that of reports and messages: the moments of a call, what it cost, then the whole test.
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("ttfb", "duration", absent="no response came"),
        Metric("ttft", "duration", absent="no token came"),
        Metric("ttfa", "duration", absent="no answer token came"),
        Metric("total", "duration", absent="the answer had not ended"),
        # A call that does not stream, or ends early, has no gap and no pace: nothing is wrong with it.
        Metric("longest_gap", "duration"),
        Metric("tpot", "duration"),
        Metric("output_tokens", "count"),
        Metric("prompt_tokens", "count"),
        Metric("attempts", "count"),
        Metric("output_tokens_per_second", "rate", direction="at least"),
        # no cache in the answer: nothing was read from it
        Metric("cache_read_tokens", "count", direction="at least", unreported=0),
        Metric("elapsed", "duration", scope="test", absent="no answer had ended"),
        Metric("calls", "count", scope="test"),
        Metric("first_token", "duration", scope="test", absent="no answer came"),
        Metric("retries", "duration", scope="test", needs_unit=True),
        Metric("thinking", "duration", scope="test", needs_unit=True),
        Metric("tools", "duration", scope="test", needs_unit=True),
        Metric("application", "duration", scope="test", needs_unit=True),
        Metric("connection", "duration", scope="test", needs_unit=True),
        Metric("cost", "money", scope="test", absent="something has no price"),
    )
}


def measurement(metric: Metric, call: Call) -> int | float | None:
    """Return the metric of a call in the unit of limits: whole nanoseconds, a count or tokens per second.

    None where the call does not have it.
    """
    value: int | float | None = getattr(call, metric.name)  # each metric of a call is a field of the same name
    if value is None:
        return metric.unreported
    # back to the exact integer that the float was made of
    return duration.nanoseconds(value) if metric.kind == "duration" else value


def json_number(metric: Metric, measured: float | None) -> float | None:
    """Return a measurement for programs: seconds to the microsecond, a count or a rate.

    None where nothing was measured, and for what is infinite: what was awaited never came.
    """
    if measured is None or math.isinf(measured):
        return None
    return round(duration.seconds(round(measured)), 6) if metric.kind == "duration" else measured


def show(metric: Metric, measured: int | float) -> str:
    """Return a measurement for people: `1.240s`, `310`, `31.2 tokens/s`, `$0.0123`."""
    if metric.kind == "duration":
        return duration.show(int(measured))
    if metric.kind == "count":
        return f"{measured}"
    if metric.kind == "money":
        return dollars(measured)
    # Below 1 token per second, one decimal would round away what differs.
    return (f"{measured:.1f}" if measured >= 1 else f"{measured:.2g}") + RATE_UNIT


def dollars(amount: float) -> str:
    """Return an amount as `$0.0123`, and a smaller one with two digits that count: `$0.0000` would say nothing."""
    is_small = 0 < amount < 0.001
    return f"${amount:.{1 - math.floor(math.log10(amount)) if is_small else 4}f}"

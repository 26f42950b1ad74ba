"""Samples: one test measured several times, and what that says about a percentile.

A percentile is always a value that was measured (nearest rank), and a promise about one is judged
by how many samples passed its limit, never by the percentile alone: the slowest of ten runs says
little about the slowest one in twenty.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final, Literal, TypeAlias

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.budget import measurement
from pytest_claude_latency.budgets.limit import METRICS, Limit, Metric
from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.errors import LatencyError, LimitError
from pytest_claude_latency.metrics.timeline import Call
from pytest_claude_latency.plurals import number_of

Standing: TypeAlias = Literal["kept", "broken", "inconclusive", "not measured"]

NEVER: Final = math.inf
"""The reading of a sample whose awaited moment never came: later than any other."""
LEVEL: Final = 0.05
"""A verdict is given where chance alone gives it less often than this."""
_ROUNDING = 1e-9  # 1 of 1 over p95 has p = 0.05 exactly, which is not below it, however the floats fall


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


# ── percentiles ──


def share_of(statistic: str) -> Fraction:
    """The share of samples that a percentile leaves below it: 19/20 for `"p95"`.

    Raises:
        LimitError: it is none, or not above p0 and below p100.
    """
    share = Fraction(statistic[1:]) / 100 if re.fullmatch(r"p[0-9]+(\.[0-9]+)?", statistic) else None
    if share is None or not 0 < share < 1:
        raise LimitError(
            f"{statistic!r} is not a percentile; accepted: p50, p95, p99.9 and the like, above p0 and below p100"
        )
    return share


def percentile(readings: Sequence[float], share: Fraction) -> float:
    """The smallest reading that at least this share of them does not exceed (nearest rank).

    Raises:
        LatencyError: there is no reading, or one is NaN.
    """
    if not readings:
        raise LatencyError("a percentile needs at least one sample, got none")
    if any(math.isnan(reading) for reading in readings):
        raise LatencyError("NaN is no measurement: no percentile can be told from it")
    return sorted(readings)[math.ceil(_checked(share) * len(readings)) - 1]


def standing(over: int, of: int, share: Fraction) -> Standing:
    """Whether `over` of `of` samples beyond a limit show that the percentile keeps it, or that it does not.

    The exact binomial test, each way at `LEVEL`. No samples are inconclusive.

    Raises:
        LatencyError: more samples are over than there are, or a number is negative.
    """
    _check_counts(over, of)
    beyond = 1 - _checked(share)
    if _significant(_at_most(over, of, beyond)):
        return "kept"
    if _significant(_at_most(of - over, of, 1 - beyond)):
        return "broken"
    return "inconclusive"


def settles(over: int, of: int, share: Fraction) -> int:
    """How many samples, in all, would settle whether the percentile keeps its limit, were none further over it.

    `of` itself where they have settled it already.

    Raises:
        LatencyError: more samples are over than there are, or a number is negative.
    """
    if standing(over, of, share) != "inconclusive":
        return of
    beyond, short, enough = 1 - share, of, max(of, 1)
    while not _significant(_at_most(over, enough, beyond)):
        short, enough = enough, 2 * enough
    while enough - short > 1:
        middle = (short + enough) // 2
        if _significant(_at_most(over, middle, beyond)):
            enough = middle
        else:
            short = middle
    return enough


def can_keep(samples: int, share: Fraction) -> bool:
    """Whether so many samples can ever show that the percentile keeps its limit: they can if none is over.

    Raises:
        LatencyError: the number is negative.
    """
    return standing(0, samples, share) == "kept"


def _checked(share: Fraction) -> Fraction:
    if not 0 < share < 1:
        raise LimitError(f"a percentile lies above p0 and below p100, got a share of {share}")
    return share


def _check_counts(over: int, of: int) -> None:
    if not 0 <= over <= of:
        raise LatencyError(f"{over} of {of} samples cannot be over a limit")


def _significant(p: float) -> bool:
    return p < LEVEL * (1 - _ROUNDING)


def _at_most(most: int, of: int, chance: Fraction) -> float:
    """The probability of at most `most` hits in `of` tries, each term from its logarithm: factorials overflow."""
    if most >= of:
        return 1.0
    hit, miss, every = math.log(chance), math.log1p(-float(chance)), math.lgamma(of + 1)
    logs = [
        every - math.lgamma(hits + 1) - math.lgamma(of - hits + 1) + hits * hit + (of - hits) * miss
        for hits in range(most + 1)
    ]
    return math.fsum(map(math.exp, logs))


# ── promises about percentiles ──


@dataclass(frozen=True, slots=True)
class PercentileJudgement:
    """One percentile limit held against all samples of a test.

    `measured` is the percentile in nanoseconds, `NEVER` where it is of samples in which what was awaited did not come,
    None where there was nothing to measure. `settled_by` is how many samples would settle it, were none further over.
    """

    limit: Limit
    measured: float | None
    over: int
    of: int
    verdict: Standing
    settled_by: int

    @property
    def broken(self) -> bool:
        """Whether the promise was shown to be broken."""
        return self.verdict == "broken"

    @property
    def name(self) -> str:
        """What was judged: `"ttft p95"`."""
        return f"{self.limit.metric} {self.limit.statistic}"

    def headline(self) -> str:
        """The verdict in one line."""
        limit = self.limit.value_text()
        if self.measured is None:
            return f"{self.name} has no value: no sample has one for {self.limit.metric}"
        count = f"{self.over} of {self.of} over {limit}"
        if self.verdict == "inconclusive":
            none_over = " with none over" if self.over else ""
            more = f"{self.settled_by - self.of} more{none_over}"
            return f"{count}: {self.limit.statistic} needs {self.settled_by} samples; {more}"
        if self.verdict == "kept":
            return f"{self.name} was {self._shown()}, within the budget of {limit} ({count})"
        if self.measured == NEVER:
            return f"{self.name} has no value, {METRICS[self.limit.metric].absent}: it breaks the budget of {limit}"
        miss = duration.show(int(self.measured - self.limit.value))
        return f"{self.name} was {self._shown()}, {miss} over the budget of {limit}"

    def message(self) -> str:
        """What a broken or inconclusive promise fails with."""
        evidence = f"{self.over} of {self.of} samples over {self.limit.value_text()}"
        return "\n".join(
            [
                self.headline(),
                f"  {'budget':<10}{self.limit.text():<27}  {self.limit.origin}",
                f"  {'measured':<10}{self._shown():<27}  {evidence}",
            ]
        )

    def as_json(self) -> dict[str, Any]:
        """The judgement as JSON values, durations in seconds to the microsecond."""
        known = self.measured is not None and self.measured < NEVER
        return {
            "metric": self.limit.metric,
            "statistic": self.limit.statistic,
            "limit": duration.seconds(int(self.limit.value)),
            "measured": round(duration.seconds(int(self.measured or 0)), 6) if known else None,
            "over": self.over,
            "samples": self.of,
            "verdict": self.verdict,
            "settled_by": self.settled_by,
            "origin": self.limit.origin,
        }

    def _shown(self) -> str:
        if self.measured is None or self.measured == NEVER:
            return str(METRICS[self.limit.metric].absent or "not measured")
        text = duration.show(int(self.measured))
        return duration.exact(int(self.measured)) if text == duration.show(int(self.limit.value)) else text


def judge(limit: Limit, samples: Sequence[Sample]) -> PercentileJudgement:
    """Hold a percentile limit against the samples of a test; those with nothing to measure are left out.

    Raises:
        LimitError: the limit is no percentile.
    """
    share = share_of(limit.statistic or "")
    found = [sample.reading(METRICS[limit.metric]) for sample in samples]
    readings = [reading for reading in found if reading is not None]
    over = sum(reading > limit.value for reading in readings)
    if not readings:
        return PercentileJudgement(limit, None, 0, 0, "not measured", settles(0, 0, share))
    verdict = standing(over, len(readings), share)
    needed = settles(over, len(readings), share)
    return PercentileJudgement(limit, percentile(readings, share), over, len(readings), verdict, needed)


def never_settled(limit: Limit, samples: int) -> str | None:
    """Why `samples` runs of a test can never show that it keeps a percentile limit; None if they can.

    Raises:
        LatencyError: the number of samples is not at least 1.
    """
    if samples < 1:
        raise LatencyError(f"{samples} samples cannot be judged; expected at least 1")
    share = share_of(limit.statistic or "")
    if can_keep(samples, share):
        return None
    return (
        f"{limit.text()} cannot be shown to hold by {number_of(samples, 'sample')}: "
        f"{limit.statistic} needs {settles(0, 0, share)} ({limit.origin})"
    )

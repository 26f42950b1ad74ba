"""Judgements of percentile limits: one limit compared with all samples of a test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.limit import Limit
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.metrics.metric import METRICS, json_number
from pytest_claude_latency.metrics.percentiles import ONCE, Standing, can_keep, percentile, settles, share_of, standing
from pytest_claude_latency.metrics.sample import NEVER, Sample
from pytest_claude_latency.metrics.sequential import levels_for
from pytest_claude_latency.plurals import number_of


@dataclass(frozen=True, slots=True)
class PercentileJudgement:
    """One percentile limit compared with all samples of a test.

    `measured` is the percentile in nanoseconds. It is `NEVER` if the awaited moment did not come in the sample that it
    is taken from, and None if there was nothing to measure. `over` of `samples` are over the limit. `settled_by` is how
    many samples, in all, would show that the limit is kept if no further one were over it.
    """

    limit: Limit
    measured: float | None
    over: int
    samples: int
    verdict: Standing
    settled_by: int

    @property
    def broken(self) -> bool:
        """Whether the samples show that the promise does not hold."""
        return self.verdict == "broken"

    @property
    def name(self) -> str:
        """What was judged: `"ttft p95"`."""
        return f"{self.limit.name} {self.limit.statistic}"

    def headline(self) -> str:
        """Return the verdict in one line."""
        limit = self.limit.value_text()
        if self.measured is None:
            return f"{self.name} has no value: no sample has one for {self.limit.metric}"
        count = f"{self.over} of {self.samples} over {limit}"
        if self.verdict == "inconclusive":
            none_over = " with none over" if self.over else ""
            more = f"{self.settled_by - self.samples} more{none_over}"
            return f"{count}: {self.limit.statistic} needs {self.settled_by} samples; {more}"
        if self.verdict == "kept":
            return f"{self.name} was {self._shown()}, within the budget of {limit} ({count})"
        if self.measured == NEVER:
            return f"{self.name} has no value, {METRICS[self.limit.metric].absent}: it breaks the budget of {limit}"
        miss = duration.show(int(self.measured - self.limit.value))
        return f"{self.name} was {self._shown()}, {miss} over the budget of {limit}"

    def message(self) -> str:
        """Return what a broken or inconclusive promise fails with."""
        evidence = f"{self.over} of {self.samples} samples over {self.limit.value_text()}"
        return "\n".join(
            [
                self.headline(),
                f"  {'budget':<10}{self.limit.text():<27}  {self.limit.origin}",
                f"  {'measured':<10}{self._shown():<27}  {evidence}",
            ]
        )

    def as_json(self) -> dict[str, Any]:
        """Return the judgement in JSON types, durations in seconds to the microsecond."""
        return {
            "metric": self.limit.metric,
            "statistic": self.limit.statistic,
            "limit": duration.seconds(int(self.limit.value)),
            "measured": json_number(METRICS[self.limit.metric], self.measured),
            "over": self.over,
            "samples": self.samples,
            "verdict": self.verdict,
            "settled_by": self.settled_by,
            "origin": self.limit.origin,
            **self.limit.selector,
        }

    def _shown(self) -> str:
        if self.measured is None or self.measured == NEVER:
            return str(METRICS[self.limit.metric].absent or "not measured")
        # a percentile that reads like its limit would make "over" look like a mistake
        return duration.told_apart(int(self.measured), int(self.limit.value))[0]


def judge(limit: Limit, samples: Sequence[Sample], most: int | None = None) -> PercentileJudgement:
    """Compare a percentile limit with the samples of a test. Samples with nothing to measure are left out.

    `most` says that this is asked after each sample, until there is a verdict or there are so many samples.

    Raises:
        LimitError: the limit is not a percentile.
    """
    share = share_of(limit.statistic or "")
    levels = ONCE if most is None else levels_for(most, share)
    readings = [value for sample in samples if (value := reading_of(limit, sample)) is not None]
    if not readings:
        return PercentileJudgement(limit, None, 0, 0, "not measured", settles(0, 0, share, levels))
    # a reading that equals the limit keeps it, as with plain limits
    over, count = sum(reading > limit.value for reading in readings), len(readings)
    verdict, settled_by = standing(over, count, share, levels), settles(over, count, share, levels)
    return PercentileJudgement(limit, percentile(readings, share), over, count, verdict, settled_by)


def reading_of(limit: Limit, sample: Sample) -> float | None:
    """Return what one sample measured for a percentile limit: `NEVER` if what was awaited did not come."""
    # A worker has read what a limit on some calls is about, since it knows their requests.
    if limit.some is not None or limit.name in sample.test_readings:
        return sample.noted(limit.name)
    return sample.reading(METRICS[limit.metric])


def never_settled(limit: Limit, samples: int, *, is_sequential: bool = False) -> str | None:
    """Return why `samples` runs of a test can never show that it keeps a percentile limit; None if they can.

    `is_sequential` says that these are as many as there can be, and that each may be the last.

    Raises:
        LatencyError: the number of samples is not at least 1.
    """
    if samples < 1:
        raise LatencyError(f"{samples} samples cannot be judged; expected at least 1")
    share = share_of(limit.statistic or "")
    levels = levels_for(samples, share) if is_sequential else ONCE
    if can_keep(samples, share, levels):
        return None
    return (
        f"{number_of(samples, 'sample')} can never show that {limit.text()} holds: "
        f"{limit.statistic} needs {settles(0, 0, share, levels)}"
    )

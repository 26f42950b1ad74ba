"""Statistical comparisons: live measurements, where most changes are chance.

A verdict needs three things: evidence that holds among all comparisons of the run, a ratio that matters and a shift
that matters. With too few samples for such evidence there is no verdict. A mean is never compared, since one stalled
answer would decide it; ranks and medians of pairwise differences are not moved by it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pytest_claude_latency.comparison import mann_whitney
from pytest_claude_latency.comparison.comparison import Comparison, Evidence, Verdict
from pytest_claude_latency.comparison.condition_changes import condition_changes
from pytest_claude_latency.comparison.exact import MEASURED, reading
from pytest_claude_latency.comparison.mann_whitney import Interval
from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.metrics.percentiles import LEVEL
from pytest_claude_latency.metrics.series import Series

_ROUNDING = 1e-9  # a ratio of 1.1 counts as at least 1.1, though it went through logarithms


class RankTest(Protocol):
    """A test by ranks: `mann_whitney` for two sets of measurements, `signed_ranks` for the same calls twice."""

    def larger(self, before: Sequence[float], after: Sequence[float]) -> float:
        """Return how often chance alone makes `after` exceed `before` by this much."""
        ...

    def rarest(self, before: int, after: int) -> float:
        """Return the smallest p value that so many measurements can give."""
        ...

    def ratio(self, before: Sequence[float], after: Sequence[float]) -> float:
        """Return by what factor `after` is larger."""
        ...

    def ratio_interval(self, before: Sequence[float], after: Sequence[float]) -> Interval:
        """Return the range of factors that the test does not exclude."""
        ...

    def shift(self, before: Sequence[float], after: Sequence[float]) -> float:
        """Return how much larger `after` is."""
        ...


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sets of readings of one metric, to be compared. `min_shift` takes the place of the rules' where it is given.

    Raises:
        LatencyError: a side is empty, or holds NaN.
    """

    nodeid: str
    metric: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    notes: tuple[str, ...] = ()
    min_shift: Nanoseconds | None = None
    unit: str = "sample"
    """What each reading is of."""

    def __post_init__(self) -> None:
        if not self.before or not self.after:
            raise LatencyError(f"{self.nodeid}: {self.metric} needs at least one sample on each side to be compared")
        if any(math.isnan(value) for value in (*self.before, *self.after)):
            raise LatencyError(f"{self.nodeid}: {self.metric} is NaN in a sample, so it cannot be compared")


def pairs_of(before: Series, after: Series) -> Iterator[Pair]:
    """Yield a pair for each metric of `MEASURED` that both series have."""
    notes = condition_changes(before, after)
    for metric in MEASURED:
        old, new = (
            tuple(value for sample in series.samples if (value := reading(sample, metric)) is not None)
            for series in (before, after)
        )
        if old and new:
            yield Pair(after.nodeid, metric, old, new, notes)


def judge_all(
    pairs: Sequence[Pair], rules: Rules | None = None, test: RankTest = mann_whitney
) -> tuple[Comparison, ...]:
    """Return the verdicts on all statistical comparisons of a run.

    They are judged together: among 600 comparisons at 5 % chance alone would give 30 false alarms. So each p value is
    adjusted for the number of comparisons (Benjamini and Hochberg), each direction by itself.
    """
    rules = rules or Rules()
    slower = [test.larger(pair.before, pair.after) for pair in pairs]
    faster = [test.larger(pair.after, pair.before) for pair in pairs]
    chances = zip(slower, mann_whitney.adjusted(slower), faster, mann_whitney.adjusted(faster), strict=True)
    return tuple(
        _judge(
            pair,
            (p_slower, adjusted_slower),
            (p_faster, adjusted_faster),
            comparisons=len(pairs),
            rules=rules,
            test=test,
        )
        for pair, (p_slower, adjusted_slower, p_faster, adjusted_faster) in zip(pairs, chances, strict=True)
    )


def _judge(
    pair: Pair,
    slower: tuple[float, float],
    faster: tuple[float, float],
    *,
    comparisons: int,
    rules: Rules,
    test: RankTest,
) -> Comparison:
    """Judge one pair; `slower` and `faster` are the p value of that direction and the adjusted one."""
    before, after = pair.before, pair.after
    shift, ratio = test.shift(before, after), test.ratio(before, after)
    least_ratio = rules.min_ratio * (1 - _ROUNDING)
    least_shift = rules.min_shift if pair.min_shift is None else pair.min_shift
    # in doubt a test is unchanged: a false alarm costs trust in all the others
    needs: int | None = None
    verdict: Verdict = "unchanged"
    if not _can_tell(len(before), len(after), comparisons, test):
        verdict, needs = "too few runs", needed(comparisons, len(before), len(after), test)
    # certain, and large enough to matter: ratio for slow calls, shift for fast ones
    elif slower[1] < LEVEL and ratio >= least_ratio and shift >= least_shift:
        verdict = "regression"
    elif faster[1] < LEVEL and ratio <= 1 / least_ratio and -shift >= least_shift:
        verdict = "improvement"
    # the evidence is shown in the direction that was seen
    p, adjusted = slower if shift >= 0 else faster
    return Comparison(
        nodeid=pair.nodeid,
        metric=pair.metric,
        verdict=verdict,
        before=before,
        after=after,
        evidence=Evidence(ratio, test.ratio_interval(before, after), shift, p, adjusted),
        needs=needs,
        notes=pair.notes,
        unit=pair.unit,
    )


def needed(comparisons: int, before: int = 0, after: int = 0, test: RankTest = mann_whitney) -> int:
    """Return how many samples on each side allow verdicts in a run of so many comparisons.

    `before` and `after` are how many samples the sides have already.
    """
    # counted up from 1: the number is small, and its formula has no inverse
    enough = 1
    while not _can_tell(max(enough, before), max(enough, after), comparisons, test):
        enough += 1
    return enough


def _can_tell(before: int, after: int, comparisons: int, test: RankTest) -> bool:
    """Whether the clearest evidence that so many samples can give would hold among all comparisons of the run."""
    return test.rarest(before, after) * comparisons < LEVEL

"""Statistical comparisons: live measurements, where most changes are chance.

A verdict needs three things: evidence that holds among all comparisons of the run, a ratio that matters and a shift
that matters. With too few samples for such evidence there is no verdict. A mean is never compared, since one stalled
answer would decide it; ranks and medians of pairwise differences are not moved by it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_claude_latency.comparison import mann_whitney
from pytest_claude_latency.comparison.comparison import Comparison, Evidence, Verdict
from pytest_claude_latency.comparison.condition_changes import condition_changes
from pytest_claude_latency.comparison.exact import MEASURED, reading
from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.metrics.percentiles import LEVEL
from pytest_claude_latency.metrics.series import Series

_ROUNDING = 1e-9  # a ratio of 1.1 counts as at least 1.1, though it went through logarithms


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sets of readings of one metric, to be compared.

    Raises:
        LatencyError: a side is empty, or holds NaN.
    """

    nodeid: str
    metric: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    notes: tuple[str, ...] = ()

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


def judge_all(pairs: Sequence[Pair], rules: Rules | None = None) -> tuple[Comparison, ...]:
    """Return the verdicts on all statistical comparisons of a run.

    They are judged together: among 600 comparisons at 5 % chance alone would give 30 false alarms. So each p value is
    adjusted for the number of comparisons (Benjamini and Hochberg), each direction by itself.
    """
    rules = rules or Rules()
    slower = [mann_whitney.larger(pair.before, pair.after) for pair in pairs]
    faster = [mann_whitney.larger(pair.after, pair.before) for pair in pairs]
    chances = zip(slower, mann_whitney.adjusted(slower), faster, mann_whitney.adjusted(faster), strict=True)
    return tuple(
        _judge(pair, (p_slower, adjusted_slower), (p_faster, adjusted_faster), len(pairs), rules)
        for pair, (p_slower, adjusted_slower, p_faster, adjusted_faster) in zip(pairs, chances, strict=True)
    )


def _judge(
    pair: Pair, slower: tuple[float, float], faster: tuple[float, float], comparisons: int, rules: Rules
) -> Comparison:
    """Judge one pair; `slower` and `faster` are the p value of that direction and the adjusted one."""
    before, after = pair.before, pair.after
    shift, ratio = mann_whitney.shift(before, after), mann_whitney.ratio(before, after)
    least_ratio = rules.min_ratio * (1 - _ROUNDING)
    # in doubt a test is unchanged: a false alarm costs trust in all the others
    needs: int | None = None
    verdict: Verdict = "unchanged"
    if not _can_tell(len(before), len(after), comparisons):
        verdict, needs = "too few runs", needed(comparisons, len(before), len(after))
    # certain, and large enough to matter: ratio for slow calls, shift for fast ones
    elif slower[1] < LEVEL and ratio >= least_ratio and shift >= rules.min_shift:
        verdict = "regression"
    elif faster[1] < LEVEL and ratio <= 1 / least_ratio and -shift >= rules.min_shift:
        verdict = "improvement"
    # the evidence is shown in the direction that was seen
    p, adjusted = slower if shift >= 0 else faster
    return Comparison(
        nodeid=pair.nodeid,
        metric=pair.metric,
        verdict=verdict,
        before=before,
        after=after,
        evidence=Evidence(ratio, mann_whitney.ratio_interval(before, after), shift, p, adjusted),
        needs=needs,
        notes=pair.notes,
    )


def needed(comparisons: int, before: int = 0, after: int = 0) -> int:
    """Return how many samples on each side allow verdicts in a run of so many comparisons.

    `before` and `after` are how many samples the sides have already.
    """
    # counted up from 1: the number is small, and its formula has no inverse
    enough = 1
    while not _can_tell(max(enough, before), max(enough, after), comparisons):
        enough += 1
    return enough


def _can_tell(before: int, after: int, comparisons: int) -> bool:
    """Whether the clearest evidence that so many samples can give would hold among all comparisons of the run."""
    return mann_whitney.rarest(before, after) * comparisons < LEVEL

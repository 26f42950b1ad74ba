"""The signed-rank test: how sure is it that the same calls are slower now, and by how much?

Where each call was measured once before and once now, its two times belong together. The calls of a suite differ more
among themselves than any change would make them: ranks over all of them (`mann_whitney`) would see nothing. So the
ranks are those of the changes, call by call (Wilcoxon, 1945), and the sizes are medians of their pairwise means (Hodges
and Lehmann, 1963). Changes are factors, since a short call and a long one are to count alike. scipy's implementation is
the reference in the tests.

Measurements are nanoseconds; those at the same place are of the same call. All are finite.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from statistics import median

from pytest_claude_latency.comparison.mann_whitney import Interval

_MOST_EXACT = 100  # pairs: counting their signs takes about 0.05 s
_TAIL = 0.025  # of a two-sided 95 %
_DEVIATIONS = 1.959964  # so many standard deviations leave that tail of a normal distribution


def larger(before: Sequence[float], after: Sequence[float]) -> float:
    """Return how often chance alone makes the calls slower by this much: the one-sided p value.

    Calls that took equally long are left out. Exact if no two changes are of one size. With ties, or beyond 100 calls,
    from the normal distribution, corrected for ties and continuity.
    """
    changes = [change for change in _log_ratios(before, after) if change]
    count, sizes = len(changes), sorted(map(abs, changes))
    if not count:
        return 1.0
    # the statistic: the ranks of the changes for the worse added up, where changes of one size share their ranks
    ranks = sum((bisect_left(sizes, change) + bisect_right(sizes, change) + 1) / 2 for change in changes if change > 0)
    highest = count * (count + 1) // 2
    if count <= _MOST_EXACT and len({*sizes}) == count:
        # by symmetry, `ranks` or more are as likely as `highest - ranks` or fewer
        return _signs_up_to(count)[highest - round(ranks)] * 0.5**count
    ties = sum(size**3 - size for size in Counter(sizes).values())
    variance = count * (count + 1) * (2 * count + 1) / 24 - ties / 48
    excess = ranks - highest / 2 - 0.5  # half a rank for continuity
    # far out the normal distribution promises more than so few values can show
    return max(0.5 * math.erfc(excess / math.sqrt(2 * variance)), rarest(count, count))


def rarest(before: int, after: int) -> float:
    """Return the smallest p value that so many calls can give: all of them slower."""
    return 0.5 ** min(before, after)


def ratio(before: Sequence[float], after: Sequence[float]) -> float:
    """Return by what factor the calls are slower: the median of all pairwise means (Hodges-Lehmann, on logarithms)."""
    return math.exp(median(_means(_log_ratios(before, after))))


def ratio_interval(before: Sequence[float], after: Sequence[float]) -> Interval:
    """Return the range of factors that the test, two-sided at 95 %, does not exclude; unbounded with too few calls."""
    means, count = sorted(_means(_log_ratios(before, after))), len(before)
    # how many means lie outside the interval, at each end
    if count <= _MOST_EXACT:
        outside = bisect_right(_signs_up_to(count), _TAIL * 2**count)
    else:
        deviation = math.sqrt(count * (count + 1) * (2 * count + 1) / 24)
        outside = math.floor(count * (count + 1) / 4 - _DEVIATIONS * deviation)
    if outside < 1:
        return 0.0, math.inf
    return math.exp(means[outside - 1]), math.exp(means[-outside])


def shift(before: Sequence[float], after: Sequence[float]) -> float:
    """Return how much slower the calls are, in nanoseconds: the median of all pairwise means (Hodges-Lehmann)."""
    return median(_means([new - old for old, new in zip(before, after, strict=True)]))


def _log_ratios(before: Sequence[float], after: Sequence[float]) -> list[float]:
    pairs = zip(before, after, strict=True)
    return [math.log(max(new, 1)) - math.log(max(old, 1)) for old, new in pairs]  # 0 ns has no logarithm


def _means(changes: Sequence[float]) -> list[float]:
    """Return the mean of each pair of changes, each with itself too."""
    return [(one + other) / 2 for place, one in enumerate(changes) for other in changes[place:]]


@lru_cache(maxsize=16)  # the metrics of a run have a few counts
def _signs_up_to(count: int) -> tuple[int, ...]:
    """Return, for each sum, in how many of all ways to sign the ranks those with a plus add up to it, or to less."""
    sums = [1] + [0] * (count * (count + 1) // 2)
    for rank in range(1, count + 1):
        # downwards, so that each rank is added once
        for total in range(len(sums) - 1, rank - 1, -1):
            sums[total] += sums[total - rank]
    return tuple(accumulate(sums))

"""The Mann-Whitney test: how sure is it that one set of measurements is larger than another, and by how much?

Latencies have heavy tails. A few very slow calls move a mean far, and leave ranks where they are. So the evidence comes
from the Mann-Whitney test (1947), which asks only which of two measurements is larger, and the sizes come from
Hodges-Lehmann estimates (1963), the median of all pairwise differences. Both need no assumption about the shape of the
distribution. scipy's implementation is the reference in the tests; it is too heavy to import in each run.

Measurements are nanoseconds, at least one a side; infinite if the awaited moment never came.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import TypeAlias

Interval: TypeAlias = tuple[float, float]

_MOST_STEPS = 2_000_000  # of counting orders, about 0.2 s: 125 measurements a side
_TAIL = 0.025  # of a two-sided 95 %
_DEVIATIONS = 1.959964  # so many standard deviations leave that tail of a normal distribution


def larger(before: Sequence[float], after: Sequence[float]) -> float:
    """Return how often chance alone makes `after` exceed `before` by this much: the one-sided p value.

    Exact if no two values are equal. With ties, or beyond 125 values a side, from the normal distribution, corrected
    for ties and continuity.
    """
    # the statistic U: in how many pairs the later value is the larger one, where a tie counts half
    ordered = sorted(before)
    above = sum(bisect_left(ordered, value) + bisect_right(ordered, value) for value in after) / 2
    pairs, count = len(before) * len(after), len(before) + len(after)
    orders = math.comb(count, len(before))
    if _countable(len(before), len(after)) and len({*before, *after}) == count:
        # by symmetry, `above` pairs or more are as likely as `pairs - above` pairs or fewer
        return _orders_up_to(len(before), len(after))[pairs - round(above)] / orders
    ties = sum(size**3 - size for size in Counter([*before, *after]).values())
    variance = pairs / 12 * (count + 1 - ties / (count * (count - 1)))
    excess = above - pairs / 2 - 0.5  # half a pair for continuity
    p = 0.5 * math.erfc(excess / math.sqrt(2 * variance)) if variance > 0 else 1.0
    # far out the normal distribution promises more than so few values can show
    return max(p, 1 / orders)


def rarest(before: int, after: int) -> float:
    """Return the smallest p value that so many measurements can give: all of `after` above all of `before`."""
    return 1 / math.comb(before + after, before)


def ratio(before: Sequence[float], after: Sequence[float]) -> float:
    """Return by what factor `after` is larger: the median over all pairs (Hodges-Lehmann, on logarithms)."""
    return math.exp(_median(_differences(before, after, _log_ratio)))


def ratio_interval(before: Sequence[float], after: Sequence[float]) -> Interval:
    """Return the range of factors that the test, two-sided at 95 %, does not exclude; unbounded with too few values."""
    differences = _differences(before, after, _log_ratio)
    # how many pairwise differences lie outside the interval, at each end
    if _countable(len(before), len(after)):
        orders = math.comb(len(before) + len(after), len(before))
        outside = bisect_right(_orders_up_to(len(before), len(after)), _TAIL * orders)
    else:
        deviation = math.sqrt(len(differences) * (len(before) + len(after) + 1) / 12)
        outside = math.floor(len(differences) / 2 - _DEVIATIONS * deviation)
    if outside < 1:
        return 0.0, math.inf
    return math.exp(differences[outside - 1]), math.exp(differences[-outside])


def shift(before: Sequence[float], after: Sequence[float]) -> float:
    """Return how much larger `after` is, in nanoseconds: the median over all pairs (Hodges-Lehmann)."""
    # infinity minus infinity has no value: what never came, twice, did not change
    return _median(_differences(before, after, lambda old, new: 0.0 if old == new else new - old))


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Return the p values adjusted for their number, as Benjamini and Hochberg (1995) do.

    Of the comparisons whose adjusted value is below x, no more than a share of x is to be expected by chance. A
    correction for the chance of any false alarm (Bonferroni) would find almost nothing among hundreds of tests.
    """
    count, least = len(p_values), 1.0
    result = [1.0] * count
    largest_first = sorted(range(count), key=p_values.__getitem__, reverse=True)
    for rank, place in zip(range(count, 0, -1), largest_first, strict=True):
        least = min(least, p_values[place] * count / rank)
        result[place] = least
    return result


# ── the distribution of ranks ──


def _countable(before: int, after: int) -> bool:
    return before * after * min(before, after) <= _MOST_STEPS


@lru_cache(maxsize=64)  # all comparisons of a run have a few sizes, and counting is slow
def _orders_up_to(before: int, after: int) -> tuple[int, ...]:
    """Return, for each u, in how many orders of the two sets at most u pairs have the later value above.

    The coefficients of the Gaussian binomial are the orders with exactly u. It is a product of fractions
    (1 - x^(many + size)) / (1 - x^size): each is multiplied in and divided out in turn.
    """
    few, many = sorted((before, after))
    counts = [1] + [0] * (few * many)
    for size in range(1, few + 1):
        for above in range(few * many, many + size - 1, -1):
            counts[above] -= counts[above - many - size]
        for above in range(size, few * many + 1):
            counts[above] += counts[above - size]
    return tuple(accumulate(counts))


# ── pairwise differences ──


def _differences(
    before: Sequence[float], after: Sequence[float], difference: Callable[[float, float], float]
) -> list[float]:
    return sorted(difference(old, new) for new in after for old in before)


def _log_ratio(old: float, new: float) -> float:
    return 0.0 if old == new else math.log(max(new, 1)) - math.log(max(old, 1))  # 0 ns has no logarithm


def _median(ordered: Sequence[float]) -> float:
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    if low == -math.inf and high == math.inf:
        return 0.0
    return low if low == high else (low + high) / 2

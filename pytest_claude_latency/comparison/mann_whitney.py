"""Ranks: how sure one can be that one set of measurements is larger than another, and by how much.

Latencies have heavy tails, which drag a mean along and leave ranks where they are; so evidence comes
from the Mann-Whitney test and sizes from Hodges-Lehmann estimates, both made of pairwise comparisons.
Measurements are nanoseconds, at least one a side, infinite where what was awaited never came.
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

_MOST_STEPS = 2_000_000  # of counting orders, some 0.2 s: 125 measurements a side
_TAIL = 0.025  # of a two-sided 95 %
_DEVIATIONS = 1.959964  # standard deviations that leave so much of a normal distribution beyond them


def larger(before: Sequence[float], after: Sequence[float]) -> float:
    """How often chance alone makes `after` exceed `before` by this much: the one-sided Mann-Whitney p value.

    Exact where no two values are equal; with ties, or beyond 125 values a side, from the normal distribution with
    correction for ties and continuity, and never less than the rarest order of so many values is likely.
    """
    above = _pairs_above(before, after)
    orders = math.comb(len(before) + len(after), len(before))
    if _countable(len(before), len(after)) and len({*before, *after}) == len(before) + len(after):
        # by symmetry, as many pairs or more above are as likely as so many pairs or fewer below
        below = len(before) * len(after) - round(above)
        return _orders_up_to(len(before), len(after))[below] / orders
    return max(_normal(before, after, above), 1 / orders)


def rarest(before: int, after: int) -> float:
    """The smallest p value that so many measurements can give: every one of `after` above every one of `before`."""
    return 1 / math.comb(before + after, before)


def ratio(before: Sequence[float], after: Sequence[float]) -> float:
    """By what factor `after` is larger: the median over all pairs (Hodges-Lehmann, on logarithms)."""
    return math.exp(_median(_differences(before, after, _log_ratio)))


def ratio_interval(before: Sequence[float], after: Sequence[float]) -> Interval:
    """The factors that the Mann-Whitney test, two-sided at 95 %, does not exclude; unbounded with too few values."""
    differences = _differences(before, after, _log_ratio)
    outside = _outside(len(before), len(after))
    if outside < 1:
        return 0.0, math.inf
    return math.exp(differences[outside - 1]), math.exp(differences[-outside])


def shift(before: Sequence[float], after: Sequence[float]) -> float:
    """How much larger `after` is, in nanoseconds: the median over all pairs (Hodges-Lehmann)."""
    return _median(_differences(before, after, _difference))


def adjusted(p_values: Sequence[float]) -> list[float]:
    """The p values as Benjamini and Hochberg adjust them for their number.

    Of those below x, no more than a share of x is to be expected by chance.
    """
    count, least = len(p_values), 1.0
    result = [1.0] * count
    largest_first = sorted(range(count), key=p_values.__getitem__, reverse=True)
    for rank, place in zip(range(count, 0, -1), largest_first, strict=True):
        least = min(least, p_values[place] * count / rank)
        result[place] = least
    return result


# ── the distribution of ranks ──


def _pairs_above(before: Sequence[float], after: Sequence[float]) -> float:
    """In how many pairs the later value is the larger, a tie counting half: the statistic U."""
    ordered = sorted(before)
    return sum(bisect_left(ordered, value) + bisect_right(ordered, value) for value in after) / 2


def _countable(one: int, other: int) -> bool:
    return one * other * min(one, other) <= _MOST_STEPS


@lru_cache(maxsize=64)
def _orders_up_to(one: int, other: int) -> tuple[int, ...]:
    """In how many orders of two sets at most u pairs are above, for each u.

    Counted by the Gaussian binomial, whose coefficients are the orders with exactly u: a factor at a time is
    multiplied in and divided out.
    """
    few, many = sorted((one, other))
    counts = [1] + [0] * (few * many)
    for size in range(1, few + 1):
        for above in range(few * many, many + size - 1, -1):
            counts[above] -= counts[above - many - size]
        for above in range(size, few * many + 1):
            counts[above] += counts[above - size]
    return tuple(accumulate(counts))


def _normal(before: Sequence[float], after: Sequence[float], above: float) -> float:
    pairs, count = len(before) * len(after), len(before) + len(after)
    ties = sum(size**3 - size for size in Counter([*before, *after]).values())
    variance = pairs / 12 * (count + 1 - ties / (count * (count - 1)))
    excess = above - pairs / 2 - 0.5  # half a pair for continuity
    return 0.5 * math.erfc(excess / math.sqrt(2 * variance)) if variance > 0 else 1.0


def _outside(before: int, after: int) -> int:
    """How many pairwise differences lie outside the interval, at each end."""
    if not _countable(before, after):
        spread = math.sqrt(before * after * (before + after + 1) / 12)
        return math.floor(before * after / 2 - _DEVIATIONS * spread)
    return bisect_right(_orders_up_to(before, after), _TAIL * math.comb(before + after, before))


# ── pairwise differences ──


def _differences(
    before: Sequence[float], after: Sequence[float], difference: Callable[[float, float], float]
) -> list[float]:
    return sorted(difference(old, new) for new in after for old in before)


def _difference(old: float, new: float) -> float:
    return 0.0 if old == new else new - old  # what never came, twice, did not change


def _log_ratio(old: float, new: float) -> float:
    return 0.0 if old == new else math.log(max(new, 1)) - math.log(max(old, 1))  # less than a nanosecond is one


def _median(ordered: Sequence[float]) -> float:
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    if low == -math.inf and high == math.inf:
        return 0.0
    return low if low == high else (low + high) / 2

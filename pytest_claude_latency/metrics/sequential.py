"""Sequential sampling: how sure a verdict must be where it is looked for after every sample.

The exact binomial test is wrong once in 20 times if it is asked once. Asked after each of a hundred samples it gets a
hundred chances to be wrong. So it is asked for more each time: for the level at which the chance of ever giving a wrong
verdict, within the most samples that there can be, is below 5 % again. That chance is computed, not simulated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

from pytest_claude_latency.metrics.percentiles import LEVEL, Levels, significant

_HALVINGS = 12
_NEGLIGIBLE = 1e-18  # states as unlikely as this change no digit of the sum


@lru_cache(maxsize=64)
def levels_for(most: int, share: Fraction) -> Levels:
    """Return the levels of a percentile that is judged after each sample until it is settled, `most` times at most."""
    # Samples over the limit are hits for one verdict, those that are not for the other.
    return Levels(kept=_level(most, 1 - share), broken=_level(most, share))


def chance_of_a_verdict(level: float, most: int, hit: Fraction, true: Fraction | None = None) -> float:
    """Return the probability that, after one of `most` tries, so few were hits that the test is significant.

    The test asks whether hits are rarer than `hit`. They have the chance `true`, without it `hit` itself: then each
    verdict is wrong, and no other chance for which it is wrong makes it likelier.
    """
    chance = float(hit if true is None else true)
    # After each try: how likely each number of hits is, from `first` on, without a verdict so far.
    first, states, crossed = 0, [1.0], 0.0
    for boundary in _boundaries(level, most, hit):
        states = [
            (states[place] * (1 - chance) if place < len(states) else 0.0)
            + (states[place - 1] * chance if place else 0.0)
            for place in range(len(states) + 1)
        ]
        significant_states = max(boundary + 1 - first, 0)
        crossed += sum(states[:significant_states])
        del states[:significant_states]
        first += significant_states
        while states and states[0] < _NEGLIGIBLE:
            del states[0]
            first += 1
        while states and states[-1] < _NEGLIGIBLE:
            states.pop()
    return crossed


def _level(most: int, hit: Fraction) -> float:
    """Return the highest level, as far as halving finds it, at which a verdict is wrong less than once in 20 times."""
    if chance_of_a_verdict(LEVEL, most, hit) < LEVEL:
        return LEVEL
    low, high = 0.0, LEVEL
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if chance_of_a_verdict(middle, most, hit) < LEVEL:
            low = middle
        else:
            high = middle
    return low


def _boundaries(level: float, most: int, hit: Fraction) -> Iterator[int]:
    """Yield, for 1 to `most` tries, the highest number of hits that is significantly low; -1 where none is."""
    log_hit, log_miss = math.log(hit), math.log1p(-float(hit))
    boundary, at_most = -1, 0.0  # and the probability of at most so many hits

    def exactly(hits: int, tries: int) -> float:
        orders = math.lgamma(tries + 1) - math.lgamma(hits + 1) - math.lgamma(tries - hits + 1)
        return math.exp(orders + hits * log_hit + (tries - hits) * log_miss)

    for tries in range(1, most + 1):
        if boundary >= 0:  # of those with so many hits before, the next try may be one more
            at_most -= exactly(boundary, tries - 1) * float(hit)
        while boundary < tries and significant(more := at_most + exactly(boundary + 1, tries), level):
            boundary, at_most = boundary + 1, more
        yield boundary

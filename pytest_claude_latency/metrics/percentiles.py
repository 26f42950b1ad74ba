"""Percentiles of samples, and what samples can show about one.

A percentile is always a value that was measured (nearest rank). A promise about one is judged by
how many samples passed its limit, never by the percentile alone: the slowest of ten runs says
little about the slowest one in twenty.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal, TypeAlias

from pytest_claude_latency.errors import LatencyError, LimitError

Standing: TypeAlias = Literal["kept", "broken", "inconclusive", "not measured"]

PERCENTILES: Final = "p50, p95, p99.9 and the like, above p0 and below p100"
LEVEL: Final = 0.05
"""A verdict is given where chance alone gives it less often than this."""


@dataclass(frozen=True, slots=True)
class Levels:
    """Below which chance each verdict is given. They differ where a verdict is looked for more than once."""

    kept: float = LEVEL
    broken: float = LEVEL


ONCE: Final = Levels()
"""The levels of a verdict that is looked for once, when all samples are there."""
_ROUNDING = 1e-9  # 1 of 1 over p95 has p = 0.05 exactly, which is not below it, however the floats fall


def share_of(statistic: str) -> Fraction:
    """Return the share of samples that a percentile leaves below it: 19/20 for `"p95"`.

    Raises:
        LimitError: it is not a percentile, or not above p0 and below p100.
    """
    share = Fraction(statistic[1:]) / 100 if re.fullmatch(r"p[0-9]+(\.[0-9]+)?", statistic) else None
    if share is None or not 0 < share < 1:
        raise LimitError(f"{statistic!r} is not a percentile; accepted: {PERCENTILES}")
    return share


def percentile(readings: Sequence[float], share: Fraction) -> float:
    """Return the smallest reading that at least this share of them does not exceed (nearest rank).

    Raises:
        LatencyError: there is no reading, or one is NaN.
    """
    if not readings:
        raise LatencyError("a percentile needs at least one sample, got none")
    if any(math.isnan(reading) for reading in readings):
        raise LatencyError("NaN is not a measurement: readings that hold it have no percentile")
    # Fractions: in floats 0.07 * 100 is more than 7, and its ceiling is 8.
    return sorted(readings)[math.ceil(_checked(share) * len(readings)) - 1]


def standing(over: int, total: int, share: Fraction, levels: Levels = ONCE) -> Standing:
    """Return whether `over` of `total` samples beyond a limit show that the percentile keeps it, or that it does not.

    This is the exact binomial test, each way at its level. Without samples the result is inconclusive.

    Raises:
        LatencyError: more samples are over than there are, or a number is negative.
    """
    if not 0 <= over <= total:
        raise LatencyError(f"{over} of {total} samples cannot be over a limit")
    beyond = 1 - _checked(share)
    # So few over the limit would be unlikely if the percentile were over it, so many if it were under it.
    if significant(_at_most(over, total, beyond), levels.kept):
        return "kept"
    if significant(_at_most(total - over, total, 1 - beyond), levels.broken):
        return "broken"
    return "inconclusive"


def settles(over: int, total: int, share: Fraction, levels: Levels = ONCE) -> int:
    """Return how many samples in all would show that the percentile keeps its limit, if no further one is over it.

    This is `total` itself where the samples give a verdict already.

    Raises:
        LatencyError: more samples are over than there are, or a number is negative.
    """
    if standing(over, total, share, levels) != "inconclusive":
        return total
    # More samples without another one over the limit make it surer, so the smallest number is found by halves.
    beyond, short, enough = 1 - share, total, max(total, 1)
    while not significant(_at_most(over, enough, beyond), levels.kept):
        short, enough = enough, 2 * enough
    while enough - short > 1:
        middle = (short + enough) // 2
        if significant(_at_most(over, middle, beyond), levels.kept):
            enough = middle
        else:
            short = middle
    return enough


def rank_interval(total: int, share: Fraction) -> tuple[Fraction | None, Fraction | None]:
    """Return the shares of readings between which a percentile lies with 95 %, by `total` samples alone.

    It holds for any distribution. None where so few samples bound it on that side not at all.

    Raises:
        LatencyError: there is no sample.
    """
    if total < 1:
        raise LatencyError("a percentile of no sample has no interval")
    chance, tail = _checked(share), LEVEL / 2
    # The percentile lies above the sample of rank r unless fewer than r samples are below it, and the other way round.
    ranks = range(1, total + 1)
    low = max((rank for rank in ranks if _at_most(rank - 1, total, chance) <= tail), default=None)
    high = min((rank for rank in ranks if 1 - _at_most(rank - 1, total, chance) <= tail), default=None)
    return (
        # off the middle of the share of the rank, so that chance in the readings makes the interval wider, not narrower
        None if low is None else Fraction(4 * low - 3, 4 * total),
        None if high is None else Fraction(4 * high - 1, 4 * total),
    )


def can_keep(samples: int, share: Fraction, levels: Levels = ONCE) -> bool:
    """Return whether so many samples can show that the percentile keeps its limit, which they can if none is over.

    Raises:
        LatencyError: the number is negative.
    """
    return standing(0, samples, share, levels) == "kept"


def _checked(share: Fraction) -> Fraction:
    if not 0 < share < 1:
        raise LimitError(f"a percentile lies above p0 and below p100, got a share of {share}")
    return share


def significant(p: float, level: float) -> bool:
    """Return whether a probability is below a level, also where floats fall on the wrong side of it."""
    return p < level * (1 - _ROUNDING)


def _at_most(most: int, total: int, chance: Fraction) -> float:
    """Return the probability of at most `most` hits in `total` tries."""
    if most >= total:
        return 1.0
    # Each term comes from its logarithm: the factorials themselves overflow a float from 171 samples on.
    hit, miss, orders = math.log(chance), math.log1p(-float(chance)), math.lgamma(total + 1)
    logs = [
        orders - math.lgamma(hits + 1) - math.lgamma(total - hits + 1) + hits * hit + (total - hits) * miss
        for hits in range(most + 1)
    ]
    return math.fsum(map(math.exp, logs))

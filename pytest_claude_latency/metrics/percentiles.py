"""Percentiles of samples, and what samples can show about one.

A percentile is always a value that was measured (nearest rank). A promise about one is judged by
how many samples passed its limit, never by the percentile alone: the slowest of ten runs says
little about the slowest one in twenty.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Final, Literal, TypeAlias

from pytest_claude_latency.errors import LatencyError, LimitError

Standing: TypeAlias = Literal["kept", "broken", "inconclusive", "not measured"]

LEVEL: Final = 0.05
"""A verdict is given where chance alone gives it less often than this."""
_ROUNDING = 1e-9  # 1 of 1 over p95 has p = 0.05 exactly, which is not below it, however the floats fall


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

"""Rules: how much must change to count as a regression or an improvement."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from pytest_claude_latency import duration
from pytest_claude_latency.duration import MILLISECOND, Nanoseconds
from pytest_claude_latency.errors import LimitError

NOT_IN_RANGE: Final = "{name} must be a number >= {least}, got {value!r}"
NOT_A_NUMBER: Final = "{text!r} is not a number; accepted: a number, for example {example}"
_EXAMPLES = {"tolerance": "0.05 for 5 %", "min_ratio": "1.2 for a fifth"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The smallest changes that count.

    Exact comparisons use `tolerance`, a share of the earlier value. Statistical ones use `min_ratio` and `min_shift`
    (nanoseconds), in both directions: with a ratio of 1.10, an improvement is a tenth faster.

    Raises:
        LimitError: a value is negative, infinite or NaN, or the ratio is below 1.
    """

    # a replay repeats exactly, so nothing needs to be tolerated
    tolerance: float = 0
    # a tenth and 25 ms: with enough samples even 2 % is certain, and nobody would notice it
    min_ratio: float = 1.10
    min_shift: Nanoseconds = 25 * MILLISECOND

    def __post_init__(self) -> None:
        for name, value, least in (
            ("tolerance", self.tolerance, 0),
            ("min-ratio", self.min_ratio, 1),
            ("min-shift", self.min_shift, 0),
        ):
            if not least <= value < math.inf:  # false for NaN too
                raise LimitError(NOT_IN_RANGE.format(name=name, least=least, value=value))

    def with_text(self, name: str, text: str) -> Rules:
        """Return these rules with one of them as a user wrote it: `("min_shift", "50ms")`, `("min_ratio", "1.2")`.

        Raises:
            LimitError: the text is not understood.
        """
        if name == "min_shift":
            return replace(self, min_shift=duration.parse(text))
        try:
            value = float(text)
        except ValueError:
            raise LimitError(NOT_A_NUMBER.format(text=text, example=_EXAMPLES[name])) from None
        return replace(self, tolerance=value) if name == "tolerance" else replace(self, min_ratio=value)

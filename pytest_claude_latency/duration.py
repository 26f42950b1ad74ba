"""Durations: whole nanoseconds inside the package, text with a unit for people.

Sums of float seconds drift, so every instant and every span in this package is
an integer of nanoseconds. Floats appear only where users see them.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TypeAlias

from pytest_claude_latency.errors import LimitError

Nanoseconds: TypeAlias = int

SECOND: Nanoseconds = 1_000_000_000
MILLISECOND: Nanoseconds = 1_000_000
MICROSECOND: Nanoseconds = 1_000

_UNITS = {"us": MICROSECOND, "µs": MICROSECOND, "ms": MILLISECOND, "s": SECOND}
_UNITS |= {"m": 60 * SECOND, "min": 60 * SECOND, "h": 3600 * SECOND}
_TEXT = r"\s*(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>us|µs|ms|s|min|m|h)\s*"
_MOST_M = 10
"""How many minutes `m` may stand for. More is taken for a slip of the keyboard: in `800m` an `s` is missing."""
ACCEPTED = 'a string with a unit ("800ms", "1.5s", "2min", "1h"), a number of seconds, or a datetime.timedelta'


def parse(value: object) -> Nanoseconds:
    """Return the duration that a user wrote: `"800ms"`, `1.5` (seconds) or a `timedelta`.

    Raises:
        LimitError: it is not one of these, or it is negative, infinite or NaN.
    """
    # Decimals, not floats: 0.1 s is exactly 100,000,000 ns, and 1.001 s exactly 1,001,000,000 ns.
    if isinstance(value, str) and (of_text := _of_text(value)) is not None:
        span = of_text
    elif isinstance(value, timedelta):
        span = (value.days * 86_400 + value.seconds) * SECOND + value.microseconds * MICROSECOND
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise LimitError(f"{value!r} is not a duration; accepted: {ACCEPTED}")
    elif not abs(value) < float("inf"):  # true for NaN too
        raise LimitError(f"{value!r} is not a finite duration; accepted: {ACCEPTED}")
    else:
        span = int((Decimal(repr(float(value))) * SECOND).to_integral_value())
    if span < 0:
        raise LimitError(f"{value!r} is negative: a duration is at least 0; accepted: {ACCEPTED}")
    return span


@lru_cache(maxsize=256)  # the tests of a suite share a few limits
def _of_text(text: str) -> Nanoseconds | None:
    match = re.fullmatch(_TEXT, text)
    if match is None:
        return None
    number, unit = Decimal(match["number"]), match["unit"]
    if unit == "m" and number > _MOST_M:
        meant = f'"{number}ms" or "{number}min"'
        raise LimitError(f"{text!r} is {number} minutes: write {meant}; accepted: {ACCEPTED}")
    return int((number * _UNITS[unit]).to_integral_value())


def seconds(span: Nanoseconds) -> float:
    """Return the span in float seconds, for what users see."""
    return span / SECOND


def nanoseconds(span: float) -> Nanoseconds:
    """Return float seconds in whole nanoseconds, rounded. It undoes `seconds` for spans below 26 days (2**51 ns)."""
    return round(span * SECOND)


def show(span: Nanoseconds) -> str:
    """Return a span to the millisecond: `"1.240s"`, `"440ms"`; below 10 ms to the microsecond: `"0.25ms"`."""
    if span >= SECOND - MILLISECOND // 2:  # what rounds to "1000ms" is "1.000s"
        return f"{span / SECOND:.3f}s"
    if span >= 10 * MILLISECOND:
        return f"{span / MILLISECOND:.0f}ms"
    return f"{span / MILLISECOND:.3f}".rstrip("0").rstrip(".") + "ms"


def told_apart(span: Nanoseconds, other: Nanoseconds) -> tuple[str, str]:
    """Return both as `show` does, with as many more digits as it takes to see that they differ, if they do."""
    texts = show(span), show(other)
    for digits in (3, 6, 9):
        if span == other or texts[0] != texts[1]:
            break
        texts = _to_digits(span, digits), _to_digits(other, digits)
    return texts


def _to_digits(span: Nanoseconds, digits: int) -> str:
    unit, size = ("s", SECOND) if span >= SECOND else ("ms", MILLISECOND)
    return f"{Decimal(span) / size:.{digits}f}".rstrip("0").rstrip(".") + unit


def exact(span: Nanoseconds) -> str:
    """Return the shortest text that `parse` reads back as this span: `"800ms"`, `"1.5s"`, `"2min"`."""
    unit, size = ("s", SECOND) if span >= SECOND else ("ms", MILLISECOND)
    if span > 60 * SECOND:  # "60s" is read at a glance, "3600s" is not
        unit, size = next(((unit, _UNITS[unit]) for unit in ("h", "min") if span % _UNITS[unit] == 0), (unit, size))
    return f"{Decimal(span) / size:f}{unit}"

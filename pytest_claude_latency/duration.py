"""Durations: whole nanoseconds inside, text with a unit for people.

Float seconds drift as they are added up, so every instant and every span in
this package is an integer of nanoseconds; floats appear only at the edges.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import TypeAlias

from pytest_claude_latency.errors import LimitError

Nanoseconds: TypeAlias = int

SECOND: Nanoseconds = 1_000_000_000
MILLISECOND: Nanoseconds = 1_000_000
MICROSECOND: Nanoseconds = 1_000

_UNITS = {"us": MICROSECOND, "µs": MICROSECOND, "ms": MILLISECOND, "s": SECOND, "m": 60 * SECOND}
_TEXT = re.compile(r"\s*(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>us|µs|ms|s|m)\s*")
ACCEPTED = 'a string with a unit ("800ms", "1.5s", "2m"), a number of seconds, or a datetime.timedelta'


def parse(value: object) -> Nanoseconds:
    """The duration a user wrote: `"800ms"`, `1.5` (seconds) or a `timedelta`.

    Raises:
        LimitError: it is none of these, or negative, infinite or NaN.
    """
    if isinstance(value, str):
        return _parse_text(value)
    if isinstance(value, timedelta):
        return _not_negative((value.days * 86_400 + value.seconds) * SECOND + value.microseconds * MICROSECOND, value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LimitError(f"{value!r} is not a duration; accepted: {ACCEPTED}")
    if not abs(value) < float("inf"):  # true for NaN too
        raise LimitError(f"{value!r} is not a finite duration; accepted: {ACCEPTED}")
    return _not_negative(int((Decimal(repr(float(value))) * SECOND).to_integral_value()), value)


def _parse_text(text: str) -> Nanoseconds:
    match = _TEXT.fullmatch(text)
    if match is None:
        raise LimitError(f"{text!r} is not a duration; accepted: {ACCEPTED}")
    return int((Decimal(match["number"]) * _UNITS[match["unit"]]).to_integral_value())


def _not_negative(span: Nanoseconds, value: object) -> Nanoseconds:
    if span < 0:
        raise LimitError(f"{value!r} is negative: a duration is at least 0; accepted: {ACCEPTED}")
    return span


def seconds(span: Nanoseconds) -> float:
    """The span as float seconds, for the edges of the package."""
    return span / SECOND


def nanoseconds(span: float) -> Nanoseconds:
    """Float seconds as whole nanoseconds, rounded: the inverse of `seconds` for spans below 26 days (2**51 ns)."""
    return round(span * SECOND)


def show(span: Nanoseconds) -> str:
    """A measured span to the millisecond: `"1.240s"`, `"440ms"`; below 10 ms to the microsecond: `"0.25ms"`."""
    if span >= SECOND - MILLISECOND // 2:
        return f"{span / SECOND:.3f}s"
    if span >= 10 * MILLISECOND:
        return f"{span / MILLISECOND:.0f}ms"
    return f"{span / MILLISECOND:.3f}".rstrip("0").rstrip(".") + "ms"


def exact(span: Nanoseconds) -> str:
    """The shortest text that `parse` reads back as this span: `"800ms"`, `"1.5s"`, `"3s"`."""
    unit, size = ("s", SECOND) if span >= SECOND else ("ms", MILLISECOND)
    return f"{Decimal(span) / size:f}{unit}"

"""Clocks: the source of every number this package reports.

`WallClock` reads the machine. `VirtualClock` moves only when a replay moves it,
so a recorded two-second pause costs no real time and always reads 2.000 s.
Instants are whole nanoseconds: float seconds drift as they are added up.
"""

from __future__ import annotations

from time import perf_counter_ns  # bound here, before anything is patched, so it always reads the machine
from typing import TYPE_CHECKING, Protocol, final

if TYPE_CHECKING:
    from pytest_claude_latency.duration import Nanoseconds


class Clock(Protocol):
    """Something that tells the time, in nanoseconds since an origin of its own."""

    def now(self) -> Nanoseconds:
        """Return the current instant. It never decreases."""


@final
class WallClock:
    """The machine's clock without a date, by the name that no library sets."""

    def now(self) -> Nanoseconds:
        """Return the machine's current instant."""
        return perf_counter_ns()


@final
class VirtualClock:
    """A clock that stands still until a replay moves it."""

    def __init__(self, start: Nanoseconds = 0) -> None:
        self.instant = start
        """What it reads; a value, since each replayed chunk asks."""

    def now(self) -> Nanoseconds:
        """Return the instant the clock was last moved to."""
        return self.instant

    def advance_to(self, instant: Nanoseconds) -> None:
        """Move the clock to `instant`.

        Raises:
            ValueError: `instant` lies in the past.
        """
        if instant < self.instant:
            raise ValueError(f"a clock only moves forward: it reads {self.instant} ns, got {instant} ns")
        self.instant = instant

"""The dial of a world: what its members read when they ask for the time.

Virtual instants count from the entry into the world; a dial adds the origin
that programs expect. Whole readings (`…_ns`) are exact. Float readings run late
by a float skew, a little more at each new instant they are taken at: no machine wakes
a sleeper early, so programs ask `monotonic() >= deadline` after sleeping to it,
and rounding alone would answer that differently at different uptimes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, final

from pytest_claude_latency.duration import MICROSECOND, SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.scheduling.lock import LOCK
from pytest_claude_latency.virtual_time.scheduling.real_clock import monotonic_ns

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_claude_latency.virtual_time.scheduling.scheduler import Schedule

# A program that reads the clock this often without waiting is waiting for time to pass.
_PATIENCE = 10_000


@final
class ClockReadings:
    """Readings of one virtual world, before and after its end."""

    def __init__(
        self, schedule: Schedule, offer_turn: Callable[[], None], *, monotonic: Nanoseconds, date: Nanoseconds
    ) -> None:
        """`monotonic` and `date` are what members read at first, the former rounded up to a second.

        Whole seconds, so that the digits below are the same in every run.
        """
        self._schedule = schedule
        self._offer_turn = offer_turn
        self._clock = schedule.clock
        start = self._clock.now()
        self.origin = whole_second(monotonic) - start
        self._date = date - start
        self._ended_at: Nanoseconds | None = None
        self._read_after = -1  # moves of the clock
        self._reads = 0
        self._instants = 0
        self._float_skew = math.ceil(math.ulp(monotonic / SECOND) * SECOND)
        self._date_float_skew = math.ceil(math.ulp(date / SECOND) * SECOND)

    def now(self) -> Nanoseconds:
        """The instant in the world; after its end, time passes on it as on the machine."""
        if self._ended_at is None:
            return self._clock.now()
        return self._clock.now() + monotonic_ns() - self._ended_at

    def end(self) -> None:
        """From here on the machine's pace."""
        self._ended_at = monotonic_ns()

    def monotonic_ns(self) -> Nanoseconds:
        """What `time.monotonic_ns` and `time.perf_counter_ns` return."""
        return self.origin + self._read()

    def monotonic(self) -> float:
        """What `time.monotonic` and `time.perf_counter` return."""
        now = self._read()
        return (self.origin + now + self._instants * self._float_skew) / SECOND

    def time_ns(self) -> Nanoseconds:
        """What `time.time_ns` returns."""
        return self._date + self._read()

    def time(self) -> float:
        """What `time.time` returns."""
        now = self._read()
        return (self._date + now + self._instants * self._date_float_skew) / SECOND

    def loop_time(self, origin: Nanoseconds, *, float_skew: bool) -> float:
        """What a loop's `time` returns, on the loop's own origin."""
        now = self._read()
        return (origin + now + (self._instants * self._float_skew if float_skew else 0)) / SECOND

    def spin(self) -> None:
        """Count a reading, or a wait of no length: endless ones move the clock at last."""
        self._read()

    def _read(self) -> Nanoseconds:
        now = self.now()
        if self._schedule.times_moved != self._read_after:
            self._read_after = self._schedule.times_moved
            self._reads = 0
            self._instants += 1
        self._reads += 1
        if self._reads > _PATIENCE and self._ended_at is None:
            with LOCK:
                self._schedule.creep(MICROSECOND)
            self._offer_turn()
        return now


def whole_second(instant: Nanoseconds) -> Nanoseconds:
    """The first whole second that is not before `instant`."""
    return -(-instant // SECOND) * SECOND


def due(now: Nanoseconds, seconds: float) -> Nanoseconds:
    """The instant `seconds` from now, to the microsecond.

    Programs compute waits from float readings; rounding takes back what floats and float skews put in.
    Below half a one it is exact, and never `now` itself: a positive wait must make progress.
    """
    span = round(seconds * SECOND)
    if span < MICROSECOND // 2:
        return now + max(span, 1)
    return (now + span + MICROSECOND // 2) // MICROSECOND * MICROSECOND

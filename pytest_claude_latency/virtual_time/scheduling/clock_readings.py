"""What the members of a world read when they ask for the time.

Virtual instants count from the entry into the world. Readings add the origin that
programs expect. Whole readings (`…_ns`) are exact. Float readings run late by a
float skew of some nanoseconds, a little more at each new instant at which they
are taken. The reason: programs sleep to a deadline and then ask `monotonic() >=
deadline`. On a machine the answer is yes, since no machine wakes a sleeper early.
Rounding to float alone would sometimes make it no, depending on the uptime of the
machine, and the program would wait once more, or for ever.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, final

from pytest_claude_latency.duration import MICROSECOND, SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.scheduling.lock import LOCK
from pytest_claude_latency.virtual_time.scheduling.real_clock import monotonic_ns, time_ns

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_claude_latency.virtual_time.scheduling.scheduler import Schedule

# A program that reads the clock so often without waiting is waiting for time to pass.
_PATIENCE = 10_000


@final
class ClockReadings:
    """The readings of one virtual world, before and after its end."""

    def __init__(
        self, schedule: Schedule, offer_turn: Callable[[], None], *, monotonic: Nanoseconds, date: Nanoseconds
    ) -> None:
        """`monotonic` and `date` are what members read at first, the former rounded up to a second.

        `offer_turn` lets other threads go on that are ready to.
        """
        self._schedule = schedule
        self._offer_turn = offer_turn
        self._clock = schedule.clock
        start = self._clock.now()
        # A whole second, so that the digits after the point are the same in every run.
        self.origin = whole_second(monotonic) - start
        self._date = date - start
        self._ended_at: Nanoseconds | None = None
        self._move = -1  # the number of the clock's move at the last reading
        self._reads = 0  # since that move
        self._instants = 0  # at which the clock was read
        # The distance of two neighbouring floats, which is how far rounding can be off.
        self._float_skew = math.ceil(math.ulp(monotonic / SECOND) * SECOND)
        self._date_float_skew = math.ceil(math.ulp(date / SECOND) * SECOND)

    def now(self) -> Nanoseconds:
        """Return the instant in the world. After the world's end it goes on at the machine's pace."""
        if self._ended_at is None:
            return self._clock.now()
        return self._clock.now() + monotonic_ns() - self._ended_at

    def end(self) -> None:
        """Let time pass at the machine's pace from here on."""
        # Threads outlive the world. A clock that stood still for ever would make them wait for ever.
        self._ended_at = monotonic_ns()

    def lead(self) -> tuple[Nanoseconds, Nanoseconds]:
        """Return how far the latest readings, of the clocks and of the calendar, are ahead of the machine's."""
        now, instants = self.now(), self._instants + 1
        return (
            self.origin + now + instants * self._float_skew - monotonic_ns(),
            self._date + now + instants * self._date_float_skew - time_ns(),
        )

    def monotonic_ns(self) -> Nanoseconds:
        """Return what `time.monotonic_ns` and `time.perf_counter_ns` return."""
        return self.origin + self._read()

    def monotonic(self) -> float:
        """Return what `time.monotonic` and `time.perf_counter` return."""
        now = self._read()
        return (self.origin + now + self._instants * self._float_skew) / SECOND

    def time_ns(self) -> Nanoseconds:
        """Return what `time.time_ns` returns."""
        return self._date + self._read()

    def time(self) -> float:
        """Return what `time.time` returns."""
        now = self._read()
        return (self._date + now + self._instants * self._date_float_skew) / SECOND

    def loop_time(self, origin: Nanoseconds, *, float_skew: bool) -> float:
        """Return what a loop's `time` returns, in seconds since the loop's own origin."""
        now = self._read()
        return (origin + now + (self._instants * self._float_skew if float_skew else 0)) / SECOND

    def spin(self) -> None:
        """Count a wait of no length as a reading."""
        # A program that repeats either of them until enough time has passed would never end.
        self._read()

    def _read(self) -> Nanoseconds:
        now = self.now()
        if self._schedule.times_moved != self._move:
            self._move = self._schedule.times_moved
            self._reads = 0
            self._instants += 1
        # Counted without the lock, since this is called very often. Two threads may lose a count to each other; then
        # the clock starts to creep a little later.
        self._reads += 1
        if self._reads > _PATIENCE and self._ended_at is None:
            with LOCK:
                # The clock moves by a microsecond although a thread runs, but not past the earliest timer. While others
                # can run at this instant they come first, before time passes.
                if not self._schedule.turns:
                    target, wait = self._clock.now() + MICROSECOND, self._schedule.timers.first()
                    if wait is None or wait.instant is None or wait.instant > target:
                        self._clock.advance_to(target)
                    else:
                        self._clock.advance_to(max(wait.instant, self._clock.now()))
                        self._schedule.unpark(wait)
            self._offer_turn()
        return now


def whole_second(instant: Nanoseconds) -> Nanoseconds:
    """Return the first whole second that is not before `instant`."""
    return -(-instant // SECOND) * SECOND


def due(now: Nanoseconds, seconds: float) -> Nanoseconds:
    """Return the instant `seconds` from now, on a whole microsecond; exact for less than half a microsecond."""
    # Programs compute waits from float readings. Rounding takes back what floats and the skew added, so that a wait
    # ends at the instant that the program means. A positive wait never ends now, or a loop that waits for what is left
    # of a time-out would make no progress.
    span = round(seconds * SECOND)
    if span < MICROSECOND // 2:
        return now + max(span, 1)
    return (now + span + MICROSECOND // 2) // MICROSECOND * MICROSECOND

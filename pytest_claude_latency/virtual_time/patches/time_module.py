"""The `time` module for members of a world; the machine's for everybody else.

Its functions are replaced once, by objects. `from time import sleep` keeps the replacement for good, so it decides at
each call who asks. And `class A: clock = time.monotonic` must not make a method of it, which a Python function in the
place of one written in C would become.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Callable
from typing import Any

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time.patches.exempt_callers import exempt
from pytest_claude_latency.virtual_time.scheduling import waiting
from pytest_claude_latency.virtual_time.scheduling.clock_readings import ClockReadings
from pytest_claude_latency.virtual_time.scheduling.lead import LEADS
from pytest_claude_latency.virtual_time.scheduling.members import MEMBERS
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident, time_ns


class TimeFunction:
    """Stands in place of one function of the `time` module, which it keeps as `machine`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.machine = function
        self.__name__ = self.__qualname__ = function.__name__
        self.__doc__ = function.__doc__
        self.__module__ = "time"

    def __reduce__(self) -> str:
        return self.__name__  # pickled by name, as the function is

    def __repr__(self) -> str:
        return f"<time.{self.__name__}, virtual in latency tests>"


class ClockReading(TimeFunction):
    """A function that reads a clock without a date."""

    def __init__(self, function: Callable[..., Any], read: Callable[[ClockReadings], Any]) -> None:
        super().__init__(function)
        self._read = read

    def __call__(self) -> Any:
        """Return the time in the caller's world."""
        member = MEMBERS.get(get_ident())
        if member is None or (readings := member.world.readings) is None:
            return self.machine() if LEADS.latest.monotonic == 0 or exempt(1) else self._ahead()
        return self.machine() if exempt(1) else self._read(readings)

    def _ahead(self) -> Any:
        lead = LEADS.of(get_ident()).monotonic
        return self.machine() + (lead if self.__name__.endswith("_ns") else lead / SECOND)


class DateReading(TimeFunction):
    """A function that reads the date, which a world of real time may set too.

    `shift` turns `WorldState.offset`, which is in nanoseconds, into the unit of the function.
    """

    def __init__(
        self, function: Callable[..., Any], read: Callable[[ClockReadings], Any], shift: Callable[[int], Any]
    ) -> None:
        super().__init__(function)
        self._read = read
        self._shift = shift

    def __call__(self) -> Any:
        """Return the date in the caller's world."""
        member = MEMBERS.get(get_ident())
        if exempt(1):
            return self.machine()
        if member is None:
            return self.machine() + self._shift(LEADS.of(get_ident()).date)
        if (readings := member.world.readings) is None:
            return self.machine() + self._shift(member.world.offset)
        return self._read(readings)


class Sleep(TimeFunction):
    """The function `time.sleep`."""

    def __call__(self, seconds: Any, /) -> None:
        """Sleep in the caller's world.

        Raises:
            TypeError: `seconds` is no number.
            ValueError: `seconds` is negative, or not a number.
        """
        member = MEMBERS.get(get_ident())
        if member is None or exempt(1):
            self.machine(seconds)
            return
        if member.world.schedule is None:
            clock = member.world.clock
            began = clock.now()
            self.machine(seconds)
            member.world.holds.note_wait(began, clock.now(), "time.sleep")
            return
        if not isinstance(seconds, float):
            seconds = operator.index(seconds)
        if not seconds >= 0:  # also true for NaN
            raise ValueError("sleep length must be non-negative")
        waiting.sleep(member.world, seconds)


class CalendarFunction(TimeFunction):
    """A function that takes a time as its last argument, and uses now if it is left out.

    `to_argument` turns whole seconds since the epoch into that argument, and `leading` is how many come before it.
    """

    def __init__(self, function: Callable[..., Any], to_argument: Callable[[int], Any], leading: int) -> None:
        super().__init__(function)
        self._to_argument = to_argument
        self._leading = leading

    def __call__(self, *args: Any) -> Any:
        """Call the function, with now in the caller's world if no time is given."""
        member = MEMBERS.get(get_ident())
        given = args[self._leading :]
        if not (len(args) == self._leading or given == (None,)) or exempt(1):
            return self.machine(*args)
        if member is None:
            now = time_ns() + LEADS.of(get_ident()).date
        elif member.world.readings is None:
            now = time_ns() + member.world.offset
        else:
            now = member.world.readings.time_ns()
        return self.machine(*args[: self._leading], self._to_argument(now // SECOND))


def install() -> bool:
    """Replace the functions of the `time` module; return False if they were replaced before."""
    if hasattr(time.sleep, "machine"):
        return False
    to_local_time = time.localtime  # the machine's: it will be called with a time
    for function in (
        Sleep(time.sleep),
        ClockReading(time.monotonic, ClockReadings.monotonic),
        ClockReading(time.monotonic_ns, ClockReadings.monotonic_ns),
        ClockReading(time.perf_counter, ClockReadings.monotonic),
        ClockReading(time.perf_counter_ns, ClockReadings.monotonic_ns),
        DateReading(time.time, ClockReadings.time, shift=lambda offset: offset / SECOND),
        DateReading(time.time_ns, ClockReadings.time_ns, shift=int),
        CalendarFunction(time.localtime, int, leading=0),
        CalendarFunction(time.gmtime, int, leading=0),
        CalendarFunction(time.ctime, int, leading=0),
        CalendarFunction(time.asctime, to_local_time, leading=0),
        CalendarFunction(time.strftime, to_local_time, leading=1),
    ):
        setattr(time, function.__name__, function)
    return True

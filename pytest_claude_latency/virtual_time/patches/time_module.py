"""The `time` module for members of a world; the machine's for everybody else.

What stands in the places of its functions (`time_functions`) gets these classes when the first world begins.
"""

from __future__ import annotations

import operator
import sys
import time
from collections.abc import Callable
from typing import Any

from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.patches.exempt_callers import exempt
from pytest_claude_latency.virtual_time.patches.time_functions import FUNCTIONS, TimeFunction
from pytest_claude_latency.virtual_time.scheduling import waiting
from pytest_claude_latency.virtual_time.scheduling.clock_readings import ClockReadings
from pytest_claude_latency.virtual_time.scheduling.lead import LEADS, Lead
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS
from pytest_claude_latency.virtual_time.scheduling.real_clock import TRAVELS, get_ident, monotonic_ns, time_ns
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS


class ClockReading(TimeFunction):
    """A function that reads a clock without a date."""

    _read: Callable[[ClockReadings], Any]

    def __call__(self) -> Any:
        """Return the time in the caller's world."""
        member = MEMBERS.get(get_ident())
        if member is None or (readings := member.world.readings) is None:
            if LEADS.latest.monotonic == 0 or exempt(1):
                return self.machine()
            lead = LEADS.of(get_ident()).monotonic
            return self.machine() + (lead if self.__name__.endswith("_ns") else lead / SECOND)
        return self.machine() if exempt(1) else self._read(readings)


class DateReading(TimeFunction):
    """A function that reads the date, which a world of real time may set too.

    `_shift` turns `WorldState.offset`, which is in nanoseconds, into the unit of the function.
    """

    _read: Callable[[ClockReadings], Any]
    _shift: Callable[[int], Any]

    def __call__(self) -> Any:
        """Return the date in the caller's world, or the one to which it travels."""
        if TRAVELS.under_way or exempt(1):
            return self.machine()
        member = MEMBERS.get(get_ident())
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
        if member is not None and not member.world.ended and exempt(1):
            self.machine(seconds)
            return
        if member is None or exempt(1):
            ident = get_ident()
            OUTSIDERS.sleep(ident)  # so that no clock waits to see what this thread may still do
            try:
                self.machine(seconds)
            finally:
                OUTSIDERS.wake(ident)
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

    `_to_argument` turns whole seconds since the epoch into that argument, and `_leading` is how many come before it.
    """

    _to_argument: Callable[[int], Any]
    _leading: int

    def __call__(self, *args: Any) -> Any:
        """Call the function, with now in the caller's world if no time is given."""
        given = args[self._leading :]
        if not (len(args) == self._leading or given == (None,)) or TRAVELS.under_way or exempt(1):
            return self.machine(*args)
        member = MEMBERS.get(get_ident())
        if member is None:
            now = time_ns() + LEADS.of(get_ident()).date
        elif member.world.readings is None:
            now = time_ns() + member.world.offset
        else:
            now = member.world.readings.time_ns()
        return self.machine(*args[: self._leading], self._to_argument(now // SECOND))


# The clocks of `clock_gettime` that are no processor's: calendars, and those without a date. The numbers of Linux that
# have no name here read the others more coarsely, or may wake a machine that sleeps.
_CALENDARS = {getattr(time, name, None) for name in ("CLOCK_REALTIME", "CLOCK_TAI")}
_STOPWATCHES = {
    getattr(time, f"CLOCK_{name}", None)
    for name in ("MONOTONIC", "MONOTONIC_RAW", "BOOTTIME", "HIGHRES", "UPTIME", "UPTIME_RAW")
}
if sys.platform == "linux":
    _CALENDARS |= {5, 8}
    _STOPWATCHES |= {6, 9}


class AnyClock(TimeFunction):
    """The functions `time.clock_gettime` and `time.clock_gettime_ns`.

    A clock keeps its distance from the one that it resembles: `_date`, or `_stopwatch`. Clocks that measure the work of
    a processor, and those that are not known, stay the machine's. `_unit` is how many nanoseconds the function counts
    by.
    """

    _date: TimeFunction
    _stopwatch: TimeFunction
    _unit: Nanoseconds
    _distances: dict[int, Nanoseconds]  # as first seen

    def __call__(self, clock: int, /) -> Any:
        """Return the time of that clock in the caller's world.

        Raises:
            OSError: there is no such clock.
        """
        now = self.machine(clock)
        calendar = clock in _CALENDARS
        if not (calendar or clock in _STOPWATCHES) or (calendar and TRAVELS.under_way) or exempt(1):
            return now
        if MEMBERS.get(get_ident()) is None and LEADS.latest == Lead():
            return now  # nothing is ahead of the machine yet
        similar, its_time = (self._date, time_ns()) if calendar else (self._stopwatch, monotonic_ns())
        distance = self._distances.get(clock)
        if distance is None:
            distance = now * self._unit - its_time
            # Most often it is the same clock, and was read a moment ago.
            distance = self._distances[clock] = 0 if abs(distance) < MILLISECOND else round(distance)
        return similar() + (distance if self._unit == 1 else distance / self._unit)


def install() -> None:
    """Let the replaced functions ask in which world their caller lives."""
    functions = FUNCTIONS
    for name in ("monotonic", "perf_counter"):
        _become(functions[name], ClockReading, _read=ClockReadings.monotonic)
        _become(functions[f"{name}_ns"], ClockReading, _read=ClockReadings.monotonic_ns)
    _become(functions["time"], DateReading, _read=ClockReadings.time, _shift=lambda offset: offset / SECOND)
    _become(functions["time_ns"], DateReading, _read=ClockReadings.time_ns, _shift=int)
    to_local_time = functions["localtime"].machine  # it will be called with a time
    for name, to_argument in {"localtime": int, "gmtime": int, "ctime": int, "asctime": to_local_time}.items():
        _become(functions[name], CalendarFunction, _to_argument=to_argument, _leading=0)
    _become(functions["strftime"], CalendarFunction, _to_argument=to_local_time, _leading=1)
    if "sleep" in functions:
        _become(functions["sleep"], Sleep)
    for suffix, unit in {"": SECOND, "_ns": 1}.items():
        if (function := functions.get(f"clock_gettime{suffix}")) is not None:
            similar = {"_date": functions[f"time{suffix}"], "_stopwatch": functions[f"monotonic{suffix}"]}
            _become(function, AnyClock, **similar, _unit=unit, _distances={})


def _become(function: TimeFunction, kind: type[TimeFunction], **attributes: Any) -> None:
    vars(function).update(attributes)  # first: another thread may call it at any moment
    function.__class__ = kind

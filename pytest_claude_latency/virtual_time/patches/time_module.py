"""The `time` module for members of a world; the machine's for everybody else.

Its functions are replaced once, by objects. `from time import sleep` keeps the replacement for good, so it decides at
each call who asks. And `class A: clock = time.monotonic` must not make a method of it, which a Python function in the
place of one written in C would become.
"""

from __future__ import annotations

import operator
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import BuiltinFunctionType, ModuleType
from typing import Any

from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.patches.exempt_callers import EXEMPT, exempt
from pytest_claude_latency.virtual_time.scheduling import waiting
from pytest_claude_latency.virtual_time.scheduling.clock_readings import ClockReadings
from pytest_claude_latency.virtual_time.scheduling.lead import LEADS, Lead
from pytest_claude_latency.virtual_time.scheduling.members import MEMBERS
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS
from pytest_claude_latency.virtual_time.scheduling.real_clock import TRAVELS, get_ident, monotonic_ns, time_ns

_PACKAGE = sys.modules[__name__.partition(".")[0]]


def _below(package: ModuleType) -> Iterator[tuple[str, ModuleType]]:
    """Return a module, and those below it that were imported, by their names."""
    yield package.__name__, package
    for name, value in tuple(vars(package).items()):
        if isinstance(value, ModuleType) and value.__name__ == f"{package.__name__}.{name}":
            yield from _below(value)


class TimeFunction:
    """Stands in place of one function of the `time` module, which it keeps as `machine`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.machine = function
        self.__name__ = self.__qualname__ = function.__name__
        self.__doc__ = function.__doc__
        self.__module__ = "time"

    @property
    def modules(self) -> dict[str, ModuleType]:
        """The modules of this package, also where `sys.modules` has forgotten them."""
        return dict(_below(_PACKAGE))

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
            if LEADS.latest.monotonic == 0 or exempt(1):
                return self.machine()
            lead = LEADS.of(get_ident()).monotonic
            return self.machine() + (lead if self.__name__.endswith("_ns") else lead / SECOND)
        return self.machine() if exempt(1) else self._read(readings)


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

    `to_argument` turns whole seconds since the epoch into that argument, and `leading` is how many come before it.
    """

    def __init__(self, function: Callable[..., Any], to_argument: Callable[[int], Any], leading: int) -> None:
        super().__init__(function)
        self._to_argument = to_argument
        self._leading = leading

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

    A clock keeps its distance from the one that it resembles: `date`, or `stopwatch`. Clocks that measure the work of a
    processor, and those that are not known, stay the machine's. `unit` is how many nanoseconds the function counts by.
    """

    def __init__(
        self, function: Callable[..., Any], date: DateReading, stopwatch: ClockReading, unit: Nanoseconds
    ) -> None:
        super().__init__(function)
        self._date = date
        self._stopwatch = stopwatch
        self._unit = unit
        self._distances: dict[int, Nanoseconds] = {}  # as first seen

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


def install() -> bool:
    """Replace the functions of the `time` module; return False if they were replaced before."""
    if hasattr(time.monotonic, "machine"):
        return False
    to_local_time = time.localtime  # the machine's: it will be called with a time
    functions: list[TimeFunction] = [
        monotonic := ClockReading(time.monotonic, ClockReadings.monotonic),
        monotonic_ns := ClockReading(time.monotonic_ns, ClockReadings.monotonic_ns),
        ClockReading(time.perf_counter, ClockReadings.monotonic),
        ClockReading(time.perf_counter_ns, ClockReadings.monotonic_ns),
        date := DateReading(time.time, ClockReadings.time, shift=lambda offset: offset / SECOND),
        date_ns := DateReading(time.time_ns, ClockReadings.time_ns, shift=int),
        CalendarFunction(time.localtime, int, leading=0),
        CalendarFunction(time.gmtime, int, leading=0),
        CalendarFunction(time.ctime, int, leading=0),
        CalendarFunction(time.asctime, to_local_time, leading=0),
        CalendarFunction(time.strftime, to_local_time, leading=1),
    ]
    # gevent's own and eventlet's let other greenlets go on, which a world does not know.
    if isinstance(time.sleep, BuiltinFunctionType):
        functions.append(Sleep(time.sleep))
    if hasattr(time, "clock_gettime"):
        functions.append(AnyClock(time.clock_gettime, date, monotonic, unit=SECOND))
        functions.append(AnyClock(time.clock_gettime_ns, date_ns, monotonic_ns, unit=1))
    for function in functions:
        setattr(time, function.__name__, function)
    _EARLIER.extend(sys.modules)
    return True


# Modules that were imported before, and may have copies of the machine's functions; empty once these are replaced.
_EARLIER: list[str] = []
# Test tools are told apart by their names anyway, and this package needs the machine's functions.
_REAL = EXEMPT | {"time", __name__.partition(".")[0]}


def replace_copies() -> None:
    """Replace the copies that modules made by `from time import …` before `install`. Looking for them takes a while."""
    if not _EARLIER:
        return
    functions = {value.machine: value for value in vars(time).values() if isinstance(value, TimeFunction)}
    earlier = [name for name in _EARLIER if name in sys.modules and name.partition(".")[0] not in _REAL]
    _EARLIER.clear()
    for module in [sys.modules[name] for name in earlier]:
        # A module that is loaded when it is used first stays unloaded.
        names: dict[str, Any] = (
            ModuleType.__getattribute__(module, "__dict__") if isinstance(module, ModuleType) else {}
        )
        copies = [copy for copy, value in names.items() if type(value) is BuiltinFunctionType and value in functions]
        for copy in copies:
            names[copy] = functions[names[copy]]


@contextmanager
def left_to_the_machine() -> Iterator[None]:
    """Give the module its own functions back for so long, but for those that somebody else has replaced."""
    replaced = {name: function for name, function in vars(time).items() if isinstance(function, TimeFunction)}
    for name, function in replaced.items():
        setattr(time, name, function.machine)
    try:
        yield
    finally:
        for name, function in replaced.items():
            setattr(time, name, function)

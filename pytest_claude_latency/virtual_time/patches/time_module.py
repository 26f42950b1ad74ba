"""The `time` module for members of a world; the machine's for everybody else.

Patched once, with objects instead of functions: `from time import sleep` binds
the shim for good, and `class A: clock = time.monotonic` must not make a method
of it. A shim decides at each call who asks.
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
from pytest_claude_latency.virtual_time.scheduling.members import MEMBERS
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident, time_ns


class Shim:
    """Stands in for one function of the `time` module, which it keeps as `machine`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.machine = function
        self.__name__ = self.__qualname__ = function.__name__
        self.__doc__ = function.__doc__
        self.__module__ = "time"

    def __reduce__(self) -> str:
        return self.__name__  # pickles as the function does, by name

    def __repr__(self) -> str:
        return f"<time.{self.__name__}, virtual in latency tests>"


class Reading(Shim):
    """A function that reads a clock."""

    def __init__(self, function: Callable[..., Any], read: Callable[[ClockReadings], Any]) -> None:
        super().__init__(function)
        self._read = read

    def __call__(self) -> Any:
        """The time, as the caller's world has it."""
        member = MEMBERS.get(get_ident())
        if member is None or (readings := member.world.readings) is None or exempt(1):
            return self.machine()
        return self._read(readings)


class Dated(Reading):
    """A function that reads the calendar, which may be another one in real time too."""

    def __init__(
        self, function: Callable[..., Any], read: Callable[[ClockReadings], Any], off: Callable[[int], Any]
    ) -> None:
        super().__init__(function, read)
        self._off = off

    def __call__(self) -> Any:
        """The date, as the caller's world has it."""
        member = MEMBERS.get(get_ident())
        if member is None or exempt(1):
            return self.machine()
        if (readings := member.world.readings) is None:
            return self.machine() + self._off(member.world.offset)
        return self._read(readings)


class Sleep(Shim):
    """`time.sleep`."""

    def __call__(self, seconds: Any, /) -> None:
        """Sleep, in the caller's world."""
        member = MEMBERS.get(get_ident())
        if member is None or member.world.schedule is None or exempt(1):
            self.machine(seconds)
            return
        if not isinstance(seconds, float):
            seconds = operator.index(seconds)
        if not seconds >= 0:  # true for NaN too
            raise ValueError("sleep length must be non-negative")
        waiting.sleep(member.world, seconds)


class Calendar(Shim):
    """A function that takes a moment as its last argument, and now if it is left out."""

    def __init__(self, function: Callable[..., Any], moment: Callable[[int], Any], leading: int) -> None:
        super().__init__(function)
        self._moment = moment
        self._leading = leading

    def __call__(self, *args: Any) -> Any:
        """The function, of the caller's now where no moment is given."""
        member = MEMBERS.get(get_ident())
        given = args[self._leading :]
        if member is None or not (len(args) == self._leading or given == (None,)) or exempt(1):
            return self.machine(*args)
        world = member.world
        now = time_ns() + world.offset if world.readings is None else world.readings.time_ns()
        return self.machine(*args[: self._leading], self._moment(now // SECOND))


def install() -> bool:
    """Put the shims into the `time` module; False if they are there already."""
    if hasattr(time.sleep, "machine"):
        return False
    local, itself = time.localtime, int
    shims = (
        Sleep(time.sleep),
        Reading(time.monotonic, ClockReadings.monotonic),
        Reading(time.monotonic_ns, ClockReadings.monotonic_ns),
        Reading(time.perf_counter, ClockReadings.monotonic),
        Reading(time.perf_counter_ns, ClockReadings.monotonic_ns),
        Dated(time.time, ClockReadings.time, lambda offset: offset / SECOND),
        Dated(time.time_ns, ClockReadings.time_ns, itself),
        Calendar(time.localtime, itself, 0),
        Calendar(time.gmtime, itself, 0),
        Calendar(time.ctime, itself, 0),
        Calendar(time.asctime, local, 0),
        Calendar(time.strftime, local, 1),
    )
    for shim in shims:
        setattr(time, shim.__name__, shim)
    return True

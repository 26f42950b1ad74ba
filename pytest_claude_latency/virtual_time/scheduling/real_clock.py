"""The machine's own time and locks, bound before anything is patched.

Whatever must stay real whoever asks takes it from here: the watchdog, threads of
no world, the rest of a wait whose world has ended.
"""

from __future__ import annotations

import time as _time
from _thread import LockType, RLock, allocate_lock, get_ident, start_new_thread
from collections.abc import Callable, Sized
from typing import Any, final


def _unpatched(name: str) -> Any:
    # A replacement in `time` carries the function it replaced as `.machine`, so this module may also be imported late.
    function = getattr(_time, name)
    return getattr(function, "machine", function)


sleep: Callable[[float], None] = _unpatched("sleep")
# Most systems have one clock behind two names. One of the names some versions of time-machine set to other dates.
_SAME = _time.get_clock_info("perf_counter").implementation == _time.get_clock_info("monotonic").implementation
monotonic: Callable[[], float] = _unpatched("perf_counter" if _SAME else "monotonic")
monotonic_ns: Callable[[], int] = _unpatched("perf_counter_ns" if _SAME else "monotonic_ns")


@final
class _TimeTravels:
    """The travels of time-machine that are under way. It changes what the functions of `time` do, these here too."""

    under_way: Sized = ()
    machine_time_ns: Callable[[], int] = _unpatched("time_ns")  # gives the machine's date during a travel


process_time_ns: Callable[[], int] = _unpatched("process_time_ns")
thread_time_ns: Callable[[], int] = _unpatched("thread_time_ns")

TRAVELS = _TimeTravels()
_time_ns: Callable[[], int] = _unpatched("time_ns")


def time_ns() -> int:
    """Return the machine's date, in nanoseconds since the epoch."""
    return TRAVELS.machine_time_ns() if TRAVELS.under_way else _time_ns()


__all__ = [
    "TRAVELS",
    "LockType",
    "RLock",
    "allocate_lock",
    "get_ident",
    "monotonic",
    "monotonic_ns",
    "process_time_ns",
    "sleep",
    "start_new_thread",
    "thread_time_ns",
    "time_ns",
]

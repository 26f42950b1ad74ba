"""The machine's own time and locks, bound before anything is patched.

Whatever must stay real whoever asks takes it from here: the watchdog, threads of
no world, the rest of a wait whose world has ended.
"""

from __future__ import annotations

import _thread as _patched_thread
import sys
import time as _patched_time
from collections.abc import Callable, Sized
from importlib.machinery import BuiltinImporter
from importlib.util import module_from_spec
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any, final


def _as_python_has_it(module: Any, name: str) -> Any:
    """Return the module if what it has under this name is written in C, else a fresh one: gevent has patched it."""
    if isinstance(getattr(module, name), BuiltinFunctionType) or hasattr(getattr(module, name), "machine"):
        return module
    spec = BuiltinImporter.find_spec(module.__name__)
    if spec is None or spec.loader is None:
        return module
    # A second module made of the same code in C, which `sys.modules` does not get: nobody else sees it, or patches it.
    fresh = module_from_spec(spec)
    spec.loader.exec_module(fresh)
    return fresh


_time = _as_python_has_it(_patched_time, "sleep")
_thread = _as_python_has_it(_patched_thread, "allocate_lock")
if TYPE_CHECKING:
    from _thread import LockType, RLock, allocate_lock, get_ident, start_new_thread
else:
    LockType, RLock = _thread.LockType, _thread.RLock
    allocate_lock, get_ident, start_new_thread = _thread.allocate_lock, _thread.get_ident, _thread.start_new_thread


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


def sleep_beside_greenlets(seconds: float) -> None:
    """Sleep for real; where gevent or eventlet has patched the process, let other greenlets go on meanwhile."""
    # A sleep of the machine's would stop every greenlet of this thread, and with them the one that is waited for.
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if gevent is not None and gevent.is_module_patched("time"):
        sys.modules["gevent"].sleep(seconds)
    elif eventlet is not None and eventlet.is_monkey_patched("time"):
        sys.modules["eventlet"].sleep(seconds)
    else:
        sleep(seconds)


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
    "sleep_beside_greenlets",
    "start_new_thread",
    "thread_time_ns",
    "time_ns",
]

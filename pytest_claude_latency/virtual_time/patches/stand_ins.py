"""What stands in the place of the machine's functions from the start of a run, before the first latency test is known.

A program copies `time.sleep` or `threading.Lock` when it is imported, so the copies must be ours by then. They do what
the machine does, and cost next to nothing to import. What they do in a world (`machinery`) is loaded when the first
world begins, or the program makes its first thread or pool of threads: from then on somebody may wait or work beside a
world, and must be known to it. What no program copies is patched only then.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, final

# The clock binds the machine's function as it is imported, so it comes before anything stands in its place.
from pytest_claude_latency.virtual_time import clock  # noqa: F401
from pytest_claude_latency.virtual_time.patches import import_hook, time_functions
from pytest_claude_latency.virtual_time.patches.blocking import plain_locks
from pytest_claude_latency.virtual_time.patches.patching import stand_in
from pytest_claude_latency.virtual_time.scheduling.real_clock import RLock

_THREADING = (
    *("Condition.wait", "Condition.notify", "Condition.__enter__"),
    *("Thread._bootstrap_inner", "Thread.join", "Thread.is_alive", "Thread.__repr__"),
)
_SIGNAL = ("pthread_kill", "sigtimedwait", "setitimer", "getitimer", "alarm")


@final
class _Process:
    """State of the process, since the patches are."""

    older: tuple[list[threading.Thread], set[int]] | None = None  # None until something stands in
    machinery: Any = None  # the module, once it is loaded
    loading = RLock()


def install() -> None:
    """Put the stand-ins in place, once: when the plugin is loaded, before the program under test is imported.

    A program that has copied `time.sleep` before would keep the unpatched function for good.
    """
    if time_functions.install():
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forget_worlds)
        _Process.older = threading.enumerate(), _unlisted_threads()
        for path in _THREADING:
            stand_in(threading, path)
        stand_in(threading, "Thread.start", load)
        stand_in(_thread, "start_new_thread", load)
        below: Any = _thread
        below.start_new = below.start_new_thread
        plain_locks.install()
        for name in ("kill", "killpg"):
            stand_in(os, name)
    # Each time: pytester takes the hooks out again at the end of a run in its own process that has put them in.
    _WATCHER.watch()
    if _Process.machinery is not None:
        _Process.machinery.watch()


def load() -> None:
    """Load what the stand-ins do in a world, once they are in place."""
    with _Process.loading:
        if _Process.older is not None and _Process.machinery is None:
            from pytest_claude_latency.virtual_time.patches import machinery

            machinery.install(*_Process.older)
            _Process.machinery = machinery


def require_supported() -> None:
    """Make sure that each module that is loaded could be patched.

    Raises:
        InterceptionError: one lacks a name that is needed, and stayed as it was.
    """
    from pytest_claude_latency.virtual_time.patches import unsupported

    load()
    unsupported.require_supported()


def _unlisted_threads() -> set[int]:
    """Return the kernel's identifiers of threads that run now and that `threading` does not list."""
    try:
        tasks = os.listdir("/proc/self/task")  # noqa: PTH208 - `pathlib` costs more than all the rest of this
    except OSError:  # Linux only: elsewhere they cannot be listed, and nobody looks at them
        return set()
    # Eventlet lists threads of its own, which have no such identifier.
    listed = {threading.get_native_id(), *(getattr(thread, "native_id", None) for thread in threading.enumerate())}
    return {ident for ident in map(int, tasks) if ident not in listed}


def _forget_worlds() -> None:
    # Looked up by name: a process that has never made a world has not imported the module, and has nothing to forget.
    lifecycle = sys.modules.get(f"{__name__.partition('.')[0]}.virtual_time.lifecycle")
    if lifecycle is not None:
        lifecycle.forget_all()


def _patch_signal(module: Any) -> None:
    for name in _SIGNAL:
        if hasattr(module, name):  # not every system has each
            stand_in(module, name)
            getattr(module, name).__module__ = module.__name__  # and not `_signal`, where the machine's come from


def _imported(function: str) -> Callable[[ModuleType], None]:
    """Return what patches a module by this function, below `patches`, which is imported only then."""

    def patch(module: ModuleType) -> None:
        path, _, name = function.rpartition(".")
        getattr(import_module(f"{__package__}.{path}"), name)(module)

    return patch


def _patch_freezegun(module: ModuleType) -> None:
    from pytest_claude_latency.virtual_time.patches import unsupported

    if not unsupported.lacks(module.__name__):
        _imported("dates.frozen_time.install")(module)


def _machines_functions() -> Any:
    from pytest_claude_latency.virtual_time.patches.dates import time_travel

    return time_travel.machines_functions()


# Names that must be checked before are patched with the machinery, but for those of freezegun.
_WATCHER = import_hook.Watcher(
    {
        "signal": _patch_signal,
        "queue": _imported("blocking.simple_queue.install"),
        "uuid": lambda module: stand_in(module, "uuid1"),
        "concurrent.futures.thread": lambda module: stand_in(module, "ThreadPoolExecutor.__init__", load),
        "uvloop": _imported("loops.uvloop_loops.install"),
        "ddtrace._trace.span": _imported("dates.datadog_spans.install"),
        "_time_machine": _imported("dates.time_travel.install_c_code"),
        "time_machine": _imported("dates.time_travel.install"),
        "freezegun.api": _patch_freezegun,
    },
    surroundings={"_time_machine": _machines_functions},
)

"""Virtual time: lets a program live on a clock that a replay moves.

`install` patches, once and early, what programs wait with. For threads that live
in no `World`, everything stays the machine's. Time in a world moves only when all
its members wait, and then to the earliest instant that one waits for.
"""

from __future__ import annotations

import os
import sys
import time
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pytest_claude_latency import required_names
from pytest_claude_latency.errors import InterceptionError
from pytest_claude_latency.virtual_time.patches import conditions, import_hook, raw_threads, threads, time_module
from pytest_claude_latency.virtual_time.patches.blocking import plain_locks, signals
from pytest_claude_latency.virtual_time.patches.dates import time_travel
from pytest_claude_latency.virtual_time.scheduling.errors import Deadlock, UnsupportedLoop
from pytest_claude_latency.virtual_time.scheduling.holds import EVERY_THREAD, Hold
from pytest_claude_latency.virtual_time.scheduling.members import current
from pytest_claude_latency.virtual_time.scheduling.world import WorldState

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.lifecycle import World
    from pytest_claude_latency.virtual_time.watch.real_waits import RealWait
    from pytest_claude_latency.virtual_time.watch.source_location import place_of_hold

__all__ = [
    "EVERY_THREAD",
    "Deadlock",
    "Hold",
    "RealWait",
    "UnsupportedLoop",
    "World",
    "WorldState",
    "current",
    "install",
    "place_of_hold",
    "require_supported",
]


def __getattr__(name: str) -> Any:
    """Import a name that only a run with a world needs, when it is first used."""
    if name == "World":
        from pytest_claude_latency.virtual_time.lifecycle import World

        return World
    if name == "RealWait":
        from pytest_claude_latency.virtual_time.watch.real_waits import RealWait

        return RealWait
    if name == "place_of_hold":
        from pytest_claude_latency.virtual_time.watch.source_location import place_of_hold

        return place_of_hold
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def install() -> None:
    """Patch the process, once: when the plugin is loaded, before the program under test is imported.

    A program that has copied `time.sleep` before would keep the unpatched function for good.
    """
    if time_module.install():
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forget_worlds)
        conditions.install(time.monotonic)
        threads.install()
        raw_threads.install()
        plain_locks.install()
        signals.install_kill()
    # Each time: pytester takes the hook out again at the end of a run in its own process that has put it in.
    _WATCHER.watch()


def _forget_worlds() -> None:
    # Looked up by name: a process that has never made a world has not imported the module, and has nothing to forget.
    lifecycle = sys.modules.get("pytest_claude_latency.virtual_time.lifecycle")
    if lifecycle is not None:
        lifecycle.forget_all()


# What patches each module, below `patches`. It is imported only when the module is, since it imports what it patches:
# no run pays for a library that it does not use.
_PATCHES = {
    "signal": "blocking.signals.install",
    "queue": "blocking.simple_queue.install",
    "concurrent.futures.thread": "thread_pools.install",
    "asyncio.base_events": "asyncio_loops.install_loops",
    "asyncio.selector_events": "asyncio_loops.install_wake_up",
    "asyncio.proactor_events": "asyncio_loops.install_wake_up",
    "trio": "trio_runs.install",
    "uvloop": "loops.uvloop_loops.install",
    "uuid": "dates.uuids.install",
    "ddtrace._trace.span": "dates.datadog_spans.install",
    "_time_machine": "dates.time_travel.install_c_code",
    "time_machine": "dates.time_travel.install",
    "freezegun.api": "dates.frozen_time.install",
    "gevent.hub": "blocking.greenlets.install_gevent",
    "eventlet.hubs.poll": "blocking.greenlets.install_eventlet",
    "eventlet.hubs.selects": "blocking.greenlets.install_eventlet",
    "eventlet.hubs.kqueue": "blocking.greenlets.install_eventlet",
}


_UNSUPPORTED: list[InterceptionError] = []


def require_supported() -> None:
    """Make sure that each module that is loaded could be patched.

    Raises:
        InterceptionError: one lacks a name that is needed, and stayed as it was.
    """
    if _UNSUPPORTED:
        raise _UNSUPPORTED[0]


def _patch(module: ModuleType) -> None:
    """Patch a module that has just been imported."""
    # An error here would come in the midst of the program's import: each latency test tells it.
    try:
        required_names.check(module.__name__)
    except InterceptionError as error:
        _UNSUPPORTED.append(error)
        return
    path, _, function = _PATCHES[module.__name__].rpartition(".")
    getattr(import_module(f"{__name__}.patches.{path}"), function)(module)


_WATCHER = import_hook.Watcher(
    dict.fromkeys(_PATCHES, _patch), surroundings={"_time_machine": time_travel.machines_functions}
)

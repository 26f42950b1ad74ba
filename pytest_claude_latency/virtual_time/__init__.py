"""Virtual time: lets a program live on a clock that a replay moves.

`install` patches, once and early, what programs wait with. For threads that live
in no `World`, everything stays the machine's. Time in a world moves only when all
its members wait, and then to the earliest instant that one waits for.
"""

from __future__ import annotations

import os
import sys
import time
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pytest_claude_latency.virtual_time.patches import conditions, import_hook, threads, time_module
from pytest_claude_latency.virtual_time.patches.blocking import plain_locks, signals
from pytest_claude_latency.virtual_time.patches.dates import time_travel
from pytest_claude_latency.virtual_time.scheduling.errors import Deadlock, UnsupportedLoop
from pytest_claude_latency.virtual_time.scheduling.holds import Hold
from pytest_claude_latency.virtual_time.scheduling.members import current
from pytest_claude_latency.virtual_time.scheduling.world import WorldState

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.lifecycle import World
    from pytest_claude_latency.virtual_time.watch.real_waits import RealWait
    from pytest_claude_latency.virtual_time.watch.source_location import place_of_hold

__all__ = [
    "Deadlock",
    "Hold",
    "RealWait",
    "UnsupportedLoop",
    "World",
    "WorldState",
    "current",
    "install",
    "place_of_hold",
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
    if not time_module.install():
        return
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget_worlds)
    conditions.install(time.monotonic)
    threads.install()
    plain_locks.install()
    signals.install_kill()
    import_hook.on_import(
        dict.fromkeys(_LIBRARIES, _patch), surroundings={"_time_machine": time_travel.machines_functions}
    )


def _forget_worlds() -> None:
    # Looked up by name: a process that has never made a world has not imported the module, and has nothing to forget.
    lifecycle = sys.modules.get("pytest_claude_latency.virtual_time.lifecycle")
    if lifecycle is not None:
        lifecycle.forget_all()


_LIBRARIES = (
    "signal",
    "queue",
    "concurrent.futures.thread",
    "asyncio.base_events",
    "asyncio.selector_events",
    "asyncio.proactor_events",
    "trio",
    "uvloop",
    "uuid",
    "_time_machine",
    "time_machine",
    "freezegun.api",
)


def _patch(module: ModuleType) -> None:
    """Patch a module that has just been imported.

    Each patch is imported only here, since it imports what it patches: no run pays for a library that it does not use.
    """
    match module.__name__:
        case "signal":
            signals.install(module)
        case "queue":
            from pytest_claude_latency.virtual_time.patches.blocking import simple_queue

            module.time = time.monotonic  # type: ignore[attr-defined] # bound as a name of its own
            simple_queue.install(module)
        case "concurrent.futures.thread":
            from pytest_claude_latency.virtual_time.patches import thread_pools

            thread_pools.install(module)
        case "asyncio.base_events":
            from pytest_claude_latency.virtual_time.patches import asyncio_loops

            asyncio_loops.install_loops(module)
        case "asyncio.selector_events":
            from pytest_claude_latency.virtual_time.patches import asyncio_loops

            asyncio_loops.install_wake_up(module.BaseSelectorEventLoop)
        case "asyncio.proactor_events":
            from pytest_claude_latency.virtual_time.patches import asyncio_loops

            asyncio_loops.install_wake_up(module.BaseProactorEventLoop)
        case "trio":
            from pytest_claude_latency.virtual_time.patches import trio_runs

            trio_runs.install()
        case "uvloop":
            from pytest_claude_latency.virtual_time.patches import uvloop_loops

            uvloop_loops.install(module)
        case "uuid":
            from pytest_claude_latency.virtual_time.patches.dates import uuids

            uuids.install(module)
        case "_time_machine":
            time_travel.install_c_code(module)
        case "time_machine":
            time_travel.install(module)
        case "freezegun.api":
            from pytest_claude_latency.virtual_time.patches.dates import frozen_time

            frozen_time.install(module)

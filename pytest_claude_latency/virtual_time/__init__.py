"""Virtual time: makes a program live on a clock that a replay moves.

`install` patches, once and early, what programs wait with; everything stays the
machine's for threads that live in no `World`. Time in a world moves only when
all its members wait, and then to the earliest wake-up.
"""

from __future__ import annotations

import os
import sys
import time
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pytest_claude_latency.virtual_time.patches import conditions, import_hook, threads, time_module
from pytest_claude_latency.virtual_time.scheduling.errors import Deadlock, UnsupportedLoop
from pytest_claude_latency.virtual_time.scheduling.members import current
from pytest_claude_latency.virtual_time.scheduling.world import WorldState

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.lifecycle import World
    from pytest_claude_latency.virtual_time.watch.real_waits import RealWait

__all__ = ["Deadlock", "RealWait", "UnsupportedLoop", "World", "WorldState", "current", "install"]


def __getattr__(name: str) -> Any:
    """The names that only a run with a world needs."""
    if name == "World":
        from pytest_claude_latency.virtual_time.lifecycle import World

        return World
    if name == "RealWait":
        from pytest_claude_latency.virtual_time.watch.real_waits import RealWait

        return RealWait
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def install() -> None:
    """Patch the process, once: at plugin load, before the program under test is imported."""
    if time_module.install():
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forget_worlds)
        conditions.install(time.monotonic)
        threads.install()
        if "queue" in sys.modules:
            sys.modules["queue"].time = time.monotonic  # type: ignore[attr-defined] # bound as a name of its own
        import_hook.on_import(
            {
                "concurrent.futures.thread": _patch_pools,
                "asyncio.base_events": _patch_loops,
                "asyncio.selector_events": _patch_selector_loops,
                "asyncio.proactor_events": _patch_proactor_loops,
                "trio": _patch_trio,
                "uvloop": _patch_uvloop,
            }
        )


def _forget_worlds() -> None:
    # Looked up by name: a process that has not entered a world has not imported the module, and has nothing to forget.
    lifecycle = sys.modules.get("pytest_claude_latency.virtual_time.lifecycle")
    if lifecycle is not None:
        lifecycle.forget_all()


def _patch_loops(module: ModuleType) -> None:
    from pytest_claude_latency.virtual_time.patches import asyncio_loops

    asyncio_loops.install_loops(module)


def _patch_selector_loops(module: ModuleType) -> None:
    from pytest_claude_latency.virtual_time.patches import asyncio_loops

    asyncio_loops.install_wake_up(module.BaseSelectorEventLoop)


def _patch_proactor_loops(module: ModuleType) -> None:
    from pytest_claude_latency.virtual_time.patches import asyncio_loops

    asyncio_loops.install_wake_up(module.BaseProactorEventLoop)


def _patch_pools(module: ModuleType) -> None:
    from pytest_claude_latency.virtual_time.patches import thread_pools

    thread_pools.install(module)


def _patch_trio(_: ModuleType) -> None:
    from pytest_claude_latency.virtual_time.patches import trio_runs

    trio_runs.install()


def _patch_uvloop(module: ModuleType) -> None:
    from pytest_claude_latency.virtual_time.patches import uvloop_loops

    uvloop_loops.install(module)

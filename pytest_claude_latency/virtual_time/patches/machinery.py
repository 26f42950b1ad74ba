"""What patched functions do in a world, and what is patched only when the first world begins.

All of it is imported with this module, so a run without latency tests does not import it.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from threading import Thread
from types import ModuleType

from pytest_claude_latency.virtual_time.patches import (
    conditions,
    import_hook,
    raw_threads,
    threads,
    time_module,
    unsupported,
)
from pytest_claude_latency.virtual_time.patches.blocking import signals
from pytest_claude_latency.virtual_time.patches.time_functions import FUNCTIONS

# What patches each module, below `patches`. It is imported only when the module is, since it imports what it patches:
# no run pays for a library that it does not use.
_PATCHES = {
    "signal": "blocking.signals.install",
    "uuid": "dates.uuids.install",
    "concurrent.futures.thread": "thread_pools.install",
    "asyncio.base_events": "asyncio_loops.install_loops",
    "asyncio.selector_events": "asyncio_loops.install_wake_up",
    "asyncio.proactor_events": "asyncio_loops.install_wake_up",
    "trio": "loops.trio_runs.install",
    "gevent.hub": "blocking.greenlets.install_gevent",
    "eventlet.hubs.poll": "blocking.greenlets.install_eventlet",
    "eventlet.hubs.selects": "blocking.greenlets.install_eventlet",
    "eventlet.hubs.kqueue": "blocking.greenlets.install_eventlet",
}

_PATCHED_IN_WORLDS = ("multiprocessing.connection", "multiprocessing.synchronize")
"""Modules that the first world patches (`blocking/real_limits.py`): their names are only checked."""


def install(older: Iterable[Thread], unlisted: Iterable[int]) -> None:
    """Give the stand-ins what they do in a world, and patch the rest.

    `older` are the threads that ran when the stand-ins were put in place, and `unlisted` the kernel's identifiers of
    those that `threading` did not list. If `threading` lacks a name that is needed, nothing is patched.
    """
    if unsupported.lacks("threading"):
        return
    time_module.install()
    conditions.install(FUNCTIONS["monotonic"])
    threads.install(older)
    raw_threads.install(unlisted)
    signals.install_kill()
    watch()


def watch() -> None:
    """Patch modules that are imported, now and later."""
    _WATCHER.watch()


def _patch(module: ModuleType) -> None:
    """Patch a module that has just been imported."""
    if unsupported.lacks(module.__name__) or module.__name__ in _PATCHED_IN_WORLDS:
        return
    path, _, function = _PATCHES[module.__name__].rpartition(".")
    getattr(import_module(f"{__package__}.{path}"), function)(module)


_WATCHER = import_hook.Watcher(dict.fromkeys((*_PATCHES, *_PATCHED_IN_WORLDS), _patch))

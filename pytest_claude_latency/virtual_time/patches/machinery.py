"""What patched functions do in a world, and what is patched only when the first world begins.

All of it is imported with this module, so a run without latency tests does not import it.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from threading import Thread
from types import ModuleType

from pytest_claude_latency import required_names
from pytest_claude_latency.errors import InterceptionError
from pytest_claude_latency.virtual_time.patches import conditions, import_hook, raw_threads, threads, time_module
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
    "trio": "trio_runs.install",
    "gevent.hub": "blocking.greenlets.install_gevent",
    "eventlet.hubs.poll": "blocking.greenlets.install_eventlet",
    "eventlet.hubs.selects": "blocking.greenlets.install_eventlet",
    "eventlet.hubs.kqueue": "blocking.greenlets.install_eventlet",
}


_UNSUPPORTED: list[InterceptionError] = []


def install(older: Iterable[Thread], unlisted: Iterable[int]) -> None:
    """Give the stand-ins what they do in a world, and patch the rest.

    `older` are the threads that ran when the stand-ins were put in place, and `unlisted` the kernel's identifiers of
    those that `threading` did not list.
    """
    time_module.install()
    conditions.install(FUNCTIONS["monotonic"])
    threads.install(older)
    raw_threads.install(unlisted)
    signals.install_kill()
    watch()


def watch() -> None:
    """Patch modules that are imported, now and later."""
    _WATCHER.watch()


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
    getattr(import_module(f"{__package__}.{path}"), function)(module)


_WATCHER = import_hook.Watcher(dict.fromkeys(_PATCHES, _patch))

"""What carries a miss from a loop or a process to the test, where the library itself would break or hang over it.

A miss is no `Exception`. A portal of anyio (Starlette's `TestClient`) hands it to the test and then stops its event
loop, so that the next request and the end of the fixture fail too. A pool of `multiprocessing` loses it together with
the worker, and the test waits for ever.
"""

from __future__ import annotations

import functools
from typing import Any, final

from pytest_claude_latency.measurement.miss import Miss, is_made_of_misses
from pytest_claude_latency.virtual_time.patches.import_hook import Watcher

_MARK = "_claude_latency_misses"


class PoolMissError(RuntimeError):
    """A miss of a worker process. A pool of `multiprocessing` hands over nothing but an `Exception`."""


def install() -> None:
    """Patch what is imported, and the rest as soon as it is."""
    _WATCHER.watch()


def _portal(module: Any) -> None:
    """Let a portal go on after a miss, which the caller's future has by then."""
    portal = module.BlockingPortal
    if hasattr(portal, _MARK) or not hasattr(portal, "_call_func"):
        return
    setattr(portal, _MARK, True)
    call_func = portal._call_func

    @functools.wraps(call_func)
    async def call(self: Any, func: Any, args: Any, kwargs: Any, future: Any) -> None:
        try:
            await call_func(self, func, args, kwargs, future)
        except BaseException as error:
            # Only if its caller has it: a miss that nobody is told of must still stop the loop.
            if not (future.done() and is_made_of_misses(error)):
                raise

    portal._call_func = call


def _pool(module: Any) -> None:
    """Let a worker of a pool survive a miss and hand it over."""
    if hasattr(module, _MARK):
        return
    setattr(module, _MARK, True)
    # A worker catches what derives from `Exception`. Anything else ends it, and whoever waits for the result of its job
    # would wait for ever.
    worker = module.worker

    @functools.wraps(worker)
    def work(inqueue: Any, *args: Any, **kwargs: Any) -> Any:
        return worker(_Jobs(inqueue), *args, **kwargs)

    module.worker = work


@final
class _Jobs:
    """The queue from which a worker takes its jobs."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    def get(self) -> Any:
        """Return the next job, whose misses become exceptions that the pool hands over."""
        task = self._queue.get()
        if task is None:  # the worker is to end
            return None
        job, place, function, args, kwargs = task
        return job, place, functools.partial(_with_misses_handed_over, function), args, kwargs


def _with_misses_handed_over(function: Any, /, *args: Any, **kwargs: Any) -> Any:
    try:
        return function(*args, **kwargs)
    except Miss as miss:
        raise PoolMissError(str(miss)) from None


_WATCHER = Watcher({"anyio.from_thread": _portal, "multiprocessing.pool": _pool})

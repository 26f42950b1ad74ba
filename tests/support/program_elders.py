"""Threads, pools and loops that are older than the world of a random program, and what hands them work."""

from __future__ import annotations

import asyncio
import os
import queue
import socket
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from multiprocessing.pool import ThreadPool
from typing import Any, Protocol, TypeAlias

from pytest_claude_latency.virtual_time.scheduling import real_clock
from pytest_claude_latency.virtual_time.scheduling.members import mark_background
from tests.support.program_threads import Run

Need: TypeAlias = tuple[str, int]
"""What a program needs one of: its name in `CHANNELS`, `OLDER_POOLS` or `LOOP`, and how many workers it has."""

CHANNELS = ("event", "queue", "simple queue", "pipe", "socket")
_LONG = 10**6  # seconds: a limit that must never pass


class _Pipe:
    """A queue whose other side is told through a pipe."""

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._out, self._in = os.pipe()

    def put(self, item: Any) -> None:
        self._items.append(item)
        os.write(self._in, b"1")

    def get(self, timeout: float | None = None) -> Any:
        os.read(self._out, 1)
        return self._items.pop(0)

    def close(self) -> None:
        os.close(self._out)
        os.close(self._in)


class _Pair:
    """A queue whose other side is told through a pair of sockets."""

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._out, self._in = socket.socketpair()

    def put(self, item: Any) -> None:
        self._items.append(item)
        self._in.send(b"1")

    def get(self, timeout: float | None = None) -> Any:
        self._out.settimeout(timeout)
        self._out.recv(1)
        return self._items.pop(0)

    def close(self) -> None:
        self._out.close()
        self._in.close()


class _Told:
    """A queue of one item, with an event."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._item: Any = None

    def put(self, item: Any) -> None:
        self._item = item
        self._event.set()

    def get(self, timeout: float | None = None) -> Any:
        assert self._event.wait(timeout)
        self._event.clear()
        return self._item


_MAKERS: dict[str, Callable[[], Any]] = {
    "event": _Told,
    "queue": queue.Queue,
    "simple queue": queue.SimpleQueue,
    "pipe": _Pipe,
    "socket": _Pair,
}


class _Elder:
    """A thread that does what it is handed until it is handed None."""

    def __init__(self, how: str, *, library: bool = False) -> None:
        self._jobs, self._answers = _MAKERS[how](), _MAKERS[how]()
        self._thread = threading.Thread(target=self._work, daemon=True)
        if library:
            mark_background(self._thread)
        self._thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            self._answers.put("done")

    def do(self, job: Callable[[], object]) -> None:
        """Let the thread do the job, and wait for it, with a limit that must not pass."""
        self._jobs.put(job)
        assert self._answers.get(timeout=_LONG) == "done"

    def stop(self) -> None:
        """Let the thread end."""
        self._jobs.put(None)
        self._thread.join()
        for channel in (self._jobs, self._answers):
            if isinstance(channel, _Pipe | _Pair):
                channel.close()


# ── older pools and loops ──


class _Executor:
    """An executor; all its workers wait for work already, or none has begun yet."""

    def __init__(self, size: int, *, begun: bool) -> None:
        self.executor = ThreadPoolExecutor(size)
        if begun:
            together = threading.Barrier(size)  # so that no worker takes two of them
            list(self.executor.map(lambda _: together.wait(), range(size)))

    def map(self, run: Run, parts: Iterable[object]) -> None:
        """Let the workers do the parts, and wait until all are done."""
        list(self.executor.map(run, parts))

    def stop(self) -> None:
        """Let the workers end."""
        self.executor.shutdown()


class _ThreadPool:
    """A pool of `multiprocessing`, which has begun."""

    def __init__(self, size: int) -> None:
        self._pool = ThreadPool(size)

    def map(self, run: Run, parts: Iterable[object]) -> None:
        """Let the workers do the parts, and wait until all are done."""
        self._pool.map(run, parts, chunksize=1)

    def stop(self) -> None:
        """Let the workers end."""
        self._pool.close()
        self._pool.join()


class _Loop:
    """A loop that runs in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Let the loop run it, and wait until it is done."""
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def stop(self) -> None:
        """Let the loop end, and its own workers before."""
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Stops(Protocol):
    def stop(self) -> None:
        """Let all threads of it end."""


LOOP = "loop"
OLDER_POOLS: dict[str, Callable[[int], _Stops]] = {
    "older executor": lambda size: _Executor(size, begun=True),
    "older executor without workers": lambda size: _Executor(size, begun=False),
    "older thread pool": _ThreadPool,
}


def _made(how: str, size: int) -> _Stops:
    if how == LOOP:
        return _Loop()
    return _Elder(how) if how in CHANNELS else OLDER_POOLS[how](size)


class Elders:
    """What was there before the world: threads, pools and loops of the program, and one thread of a library."""

    def __init__(self, needs: Iterable[Need] = ()) -> None:
        self._free: dict[Need, list[Any]] = {}
        for how, size in needs:
            self._free.setdefault((how, size), []).append(_made(how, size))
        self._library = _Elder("event", library=True)
        self._turn = threading.Lock()

    @contextmanager
    def one(self, how: str, size: int = 1) -> Iterator[Any]:
        """Return one that is free: most often the one that was used last, and is on its way to its rest."""
        free = self._free[how, size]
        elder = free.pop()
        yield elder
        free.append(elder)

    def send(self) -> None:
        """Let the thread of a library work for a moment, and wait until it is done."""
        with self._turn:
            self._library.do(lambda: real_clock.sleep(0.002))

    def stop(self) -> None:
        """Let them all end."""
        for elder in [*chain.from_iterable(self._free.values()), self._library]:
            elder.stop()

"""What the threads of a random program wait with, share their work with, and hand it to."""

from __future__ import annotations

import multiprocessing
import os
import queue
import select
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import chain
from multiprocessing.pool import ThreadPool
from typing import Any

from pytest_claude_latency.virtual_time import World
from pytest_claude_latency.virtual_time.scheduling import real_clock
from pytest_claude_latency.virtual_time.scheduling.members import mark_background

Run = Callable[[Any], object]


# ── waits of so many milliseconds ──


def _answer(world: World, ms: int) -> None:
    world.sleep_until(world.clock.now() + ms * 1_000_000)


def _lock(_: World, ms: int) -> None:
    lock = threading.Lock()
    lock.acquire()
    assert not lock.acquire(timeout=ms / 1000)


def _simple_queue(_: World, ms: int) -> None:
    with suppress(queue.Empty):
        queue.SimpleQueue[None]().get(timeout=ms / 1000)


def _file(_: World, ms: int) -> None:
    here, there = socket.socketpair()
    with here, there, suppress(TimeoutError):
        here.settimeout(ms / 1000)
        raise AssertionError(here.recv(1))


def _semaphore(_: World, ms: int) -> None:
    assert not threading.Semaphore(0).acquire(timeout=ms / 1000)


WAITS: dict[str, Callable[[World, int], object]] = {
    "answer": _answer,
    "sleep": lambda _, ms: time.sleep(ms / 1000),
    "lock": _lock,
    "simple queue": _simple_queue,
    "file": _file,
    "semaphore": _semaphore,
    "event": lambda _, ms: threading.Event().wait(ms / 1000),
}


# ── waits whose limit passes in reality ──


class Outside:
    """A process that says nothing: what waits for its end, or for the files that it has open, waits in vain."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(["sleep", "600"], stdin=theirs.fileno(), stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.pipe = self.process.stdout.fileno()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()
        self.socket.close()


def _selector(outside: Outside, ms: float) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(outside.pipe, selectors.EVENT_READ)
        assert selector.select(ms / 1000) == []


def _poll(outside: Outside, ms: int) -> None:
    poll = select.poll()
    poll.register(outside.pipe, select.POLLIN)
    assert poll.poll(ms) == []


def _receive(outside: Outside, ms: int) -> None:
    with closing(outside.socket.dup()) as own:  # a time-out is the object's, and several threads may wait here
        own.settimeout(ms / 1000)
        with suppress(TimeoutError):
            raise AssertionError(own.recv(1))


def _end_of_a_process(outside: Outside, ms: int) -> None:
    with suppress(subprocess.TimeoutExpired):
        raise AssertionError(outside.process.wait(ms / 1000))


def _event_of_processes(_: Outside, ms: int) -> None:
    assert not multiprocessing.Event().wait(ms / 1000)


def _signal(_: Outside, ms: int) -> None:
    assert signal.sigtimedwait([signal.SIGUSR2], ms / 1000) is None


def _deadline(outside: Outside, ms: int) -> None:
    deadline = time.monotonic() + ms / 1000
    while (left := deadline - time.monotonic()) > 0:
        _selector(outside, min(4, 1000 * left))


REAL_WAITS: dict[str, Callable[[Outside, int], object]] = {
    "selector": _selector,
    "poll": _poll,
    "receive": _receive,
    "end of a process": _end_of_a_process,
    "event of processes": _event_of_processes,
    "signal": _signal,
    "deadline": _deadline,
}


# ── pools ──


def _executor(size: int, run: Run, parts: Iterable[object]) -> None:
    with ThreadPoolExecutor(size) as pool:
        list(pool.map(run, parts))


def _thread_pool(size: int, run: Run, parts: Iterable[object]) -> None:
    with ThreadPool(size) as pool:
        pool.map(run, parts, chunksize=1)


def _workers(size: int, run: Run, parts: Iterable[object]) -> None:
    jobs: queue.SimpleQueue[object] = queue.SimpleQueue()
    for part in parts:
        jobs.put(part)

    def work() -> None:
        with suppress(queue.Empty):
            while True:
                run(jobs.get_nowait())

    threads = [threading.Thread(target=work) for _ in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


POOLS: dict[str, Callable[[int, Run, Iterable[object]], None]] = {
    "executor": _executor,
    "thread pool": _thread_pool,
    "workers": _workers,
}


# ── older threads ──

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


class Elders:
    """Threads that were there before the world: some of the program, and one of a library."""

    def __init__(self, number: int) -> None:
        self._free = {how: [_Elder(how) for _ in range(number)] for how in CHANNELS} if number else {}
        self._busy: list[_Elder] = []
        self._library = _Elder("event", library=True)
        self._turn = threading.Lock()

    def hand(self, how: str, run: Run, part: object) -> None:
        """Let one that is free do this part, and wait until it is done."""
        elder = self._free[how].pop()
        self._busy.append(elder)
        elder.do(lambda: run(part))

    def send(self) -> None:
        """Let the thread of a library work for a moment, and wait until it is done."""
        with self._turn:
            self._library.do(lambda: real_clock.sleep(0.002))

    def stop(self) -> None:
        """Let them all end."""
        for elder in [*chain.from_iterable(self._free.values()), *self._busy, self._library]:
            elder.stop()

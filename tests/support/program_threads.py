"""What the threads of a random program wait with, share their work with, and hand it to."""

from __future__ import annotations

import multiprocessing
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
from multiprocessing.pool import ThreadPool
from typing import Any

from pytest_claude_latency.virtual_time import World

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

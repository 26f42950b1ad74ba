"""Forked children of a test: they live in real time, and nothing that other threads were doing harms them."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator

import pytest

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time import World

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked on POSIX only"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),  # these tests are about just that
]

LONG = 30.0  # seconds that no child needs


def succeeds(child: Callable[[], object]) -> bool:
    """Return whether this does not fail in a forked child, which is killed if it takes too long."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            threading.Thread(target=kill_late, daemon=True).start()
            child()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


def kill_late() -> None:
    time.sleep(LONG)
    print("the child hangs", file=sys.stderr)
    os._exit(2)


@contextlib.contextmanager
def beside(work: Callable[[], object]) -> Iterator[None]:
    """Let another thread do this meanwhile, and wait until it has begun to wait."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    time.sleep(1)  # the thread goes as far as it can: it lives in this world too
    yield
    thread.join()


def lives() -> None:
    """Wait in each of the ways that this package has patched."""
    began = time.monotonic()
    time.sleep(0.001)
    assert not threading.Event().wait(0.001)
    lock = threading.Lock()
    assert lock.acquire()
    assert not lock.acquire(timeout=0.001)
    with contextlib.suppress(queue.Empty):
        queue.SimpleQueue[None]().get(timeout=0.001)
    results: list[float] = []
    thread = threading.Thread(target=lambda: results.append(time.monotonic()))
    thread.start()
    thread.join()

    async def in_time() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.001)
        await asyncio.to_thread(time.sleep, 0.001)

    asyncio.run(in_time())
    assert began < results[0] < time.monotonic() < began + LONG


def test_a_child_waits_in_reality(world: World) -> None:
    assert succeeds(lives)


def test_a_child_of_a_child_waits_in_reality(world: World) -> None:
    def forks() -> None:
        lives()
        assert succeeds(lives)

    assert succeeds(forks)


def test_a_child_that_a_thread_forks_waits_in_reality(world: World) -> None:
    ends: list[bool] = []
    thread = threading.Thread(target=lambda: ends.append(succeeds(lives)))
    thread.start()
    thread.join()

    assert ends == [True]


def test_the_clocks_of_a_child_do_not_go_back(world: World) -> None:
    time.sleep(3600)
    before = (time.monotonic(), time.time(), time.perf_counter_ns(), time.clock_gettime(time.CLOCK_MONOTONIC))

    def reads_later() -> None:
        loop = asyncio.new_event_loop()
        now = (time.monotonic(), time.time(), time.perf_counter_ns(), time.clock_gettime(time.CLOCK_MONOTONIC))
        for early, late in zip((*before, before[0]), (*now, loop.time()), strict=True):
            assert early <= late
        assert now[0] < before[0] + LONG
        loop.close()

    assert succeeds(reads_later)
    assert succeeds(lambda: succeeds(reads_later) or 1 / 0)


def test_a_child_gives_back_a_lock_for_which_a_thread_of_its_parent_waits(world: World) -> None:
    lock = threading.Lock()

    def takes() -> None:
        with lock:
            pass

    def gives_back() -> None:
        lock.release()
        assert lock.acquire()
        thread = threading.Thread(target=takes)
        thread.start()
        lock.release()
        thread.join()

    lock.acquire()
    with beside(takes):
        ended = succeeds(gives_back)
        lock.release()

    assert ended


def test_a_child_gets_what_it_puts_into_a_queue_for_which_a_thread_of_its_parent_waits(world: World) -> None:
    items: queue.SimpleQueue[int] = queue.SimpleQueue()

    def gets() -> None:
        got: list[int] = []
        thread = threading.Thread(target=lambda: got.append(items.get()))
        thread.start()
        while len(items.line._places) < 2:  # type: ignore[attr-defined] # until it waits
            time.sleep(0.001)
        items.put(1)
        thread.join()
        assert got == [1]

    with beside(items.get):
        ended = succeeds(gets)
        items.put(0)

    assert ended


def test_a_child_that_is_forked_while_others_are_counted_waits_in_reality(world: World) -> None:
    over = threading.Event()

    def wait_often() -> None:
        while not over.is_set():
            time.sleep(0.001)
            threading.Event().wait(0.001)

    threads = [threading.Thread(target=wait_often) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        ends = []
        for _ in range(10):
            time.sleep(0.01)
            ends.append(succeeds(lives))
    finally:
        over.set()
        for thread in threads:
            thread.join()

    assert ends == [True] * 10


def test_processes_of_multiprocessing_are_forked_and_waited_for(world: World) -> None:
    forking = multiprocessing.get_context("fork")
    time.sleep(5)
    with forking.Pool(2) as pool:
        numbers = pool.map_async(abs, [-1, -2, -3]).get(LONG)
    process = forking.Process(target=lives)
    process.start()
    process.join()

    assert (numbers, process.exitcode) == ([1, 2, 3], 0)
    assert world.clock.now() < 5 * SECOND + LONG * SECOND

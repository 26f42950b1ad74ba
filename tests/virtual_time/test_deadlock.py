from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import suppress
from queue import Queue

import pytest
import trio

from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.virtual_time import Deadlock, World
from pytest_claude_latency.virtual_time.watch import watchdog


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of the test runner, of a worker say, cannot end what these programs wait for."""
    monkeypatch.setattr(watchdog, "_LONG_PATIENCE", 900 * MILLISECOND)


def line(error: BaseException, start: str) -> str:
    (found,) = [line for line in str(error).splitlines() if line.strip().startswith(start)]
    return found


def test_an_event_that_nobody_sets_is_told(world: World) -> None:
    with pytest.raises(Deadlock, match="nothing can wake this program") as told:
        threading.Event().wait()

    assert "Event.wait" in line(told.value, "MainThread")
    assert "in test_an_event_that_nobody_sets_is_told" in line(told.value, "MainThread")


def test_no_handler_of_exceptions_hides_it(world: World) -> None:
    def careless() -> None:
        with suppress(Exception):
            Queue().get()

    with pytest.raises(Deadlock, match=r"Queue\.get"):
        careless()


def test_each_thread_is_told_with_its_line(world: World) -> None:
    first, second, met = threading.Lock(), threading.Lock(), threading.Barrier(2)

    def cross(mine: threading.Lock, other: threading.Lock) -> None:
        with mine:
            met.wait()
            other.acquire()

    threads = [
        threading.Thread(target=cross, args=locks, name=name, daemon=True)
        for name, locks in {"left": (first, second), "right": (second, first)}.items()
    ]
    for thread in threads:
        thread.start()
    with pytest.raises(Deadlock) as told:
        threads[0].join()

    assert "joins left" in line(told.value, "MainThread")
    assert "in cross" in line(told.value, "left")
    assert "in cross" in line(told.value, "right")


def test_the_main_thread_is_reached_on_a_plain_lock(world: World) -> None:
    lock = threading.Lock()
    lock.acquire()

    with pytest.raises(Deadlock, match="blocked, by a lock or in C code"):
        lock.acquire()


def test_the_tasks_of_a_loop_are_told(world: World) -> None:
    async def other() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await asyncio.create_task(other(), name="the other task")

    with pytest.raises(Deadlock) as told:
        asyncio.run(main())

    assert "in other" in line(told.value, "the other task")


def test_a_trio_run_is_told(world: World) -> None:
    with pytest.raises(Deadlock, match="a trio run with nothing to do"):
        trio.run(trio.sleep_forever)


def test_the_world_remembers(world: World) -> None:
    with pytest.raises(Deadlock):
        threading.Event().wait()

    assert world.deadlock is not None


def test_waiting_in_vain_again_is_told_again(world: World) -> None:
    for _ in range(2):
        with pytest.raises(Deadlock):
            threading.Event().wait()


def test_a_thread_that_can_still_come_is_waited_for(world: World) -> None:
    event = threading.Event()
    threading.Timer(3600, event.set).start()

    assert event.wait()


def test_a_signal_that_is_still_to_come_is_waited_for(world: World) -> None:
    event = threading.Event()
    before = signal.signal(signal.SIGALRM, lambda *_: event.set())
    signal.setitimer(signal.ITIMER_REAL, 0.6)
    try:
        assert event.wait()
    finally:
        signal.signal(signal.SIGALRM, before)

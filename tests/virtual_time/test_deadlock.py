from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Queue, SimpleQueue
from typing import Any

import pytest
import trio

from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.virtual_time import Deadlock, World
from pytest_claude_latency.virtual_time.scheduling import real_clock
from pytest_claude_latency.virtual_time.watch import deadlock, watchdog


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outsiders, for example threads of the test runner, cannot end what these programs wait for."""
    monkeypatch.setattr(watchdog, "_LONG_PATIENCE", 900 * MILLISECOND)


def row(error: BaseException, name: str) -> str:
    """Return the row of the message about the thread or task `name`."""
    (row,) = [line for line in str(error).splitlines() if line.strip().startswith(name)]
    return row


def test_an_event_that_nobody_sets_is_a_deadlock(world: World) -> None:
    with pytest.raises(Deadlock, match=re.escape(deadlock.VERDICT)) as caught:
        threading.Event().wait()

    assert "Event.wait" in row(caught.value, "MainThread")
    assert "in test_an_event_that_nobody_sets_is_a_deadlock" in row(caught.value, "MainThread")


def test_a_handler_of_exceptions_does_not_hide_a_deadlock(world: World) -> None:
    def careless() -> None:
        with suppress(Exception):
            Queue().get()

    with pytest.raises(Deadlock, match=r"Queue\.get"):
        careless()


def test_the_message_names_each_thread_with_its_line(world: World) -> None:
    first, second, met = threading.Lock(), threading.Lock(), threading.Barrier(2)

    def cross(own: threading.Lock, others: threading.Lock) -> None:
        with own, suppress(Deadlock):
            met.wait()
            others.acquire()

    threads = [
        threading.Thread(target=cross, args=locks, name=name, daemon=True)
        for name, locks in {"left": (first, second), "right": (second, first)}.items()
    ]
    for thread in threads:
        thread.start()
    with pytest.raises(Deadlock) as caught:
        threads[0].join()

    assert "joins left" in row(caught.value, "MainThread")
    assert "in cross" in row(caught.value, "left")
    assert "in cross" in row(caught.value, "right")


def test_the_main_thread_is_reached_on_a_plain_lock(world: World) -> None:
    lock = real_clock.allocate_lock()
    lock.acquire()

    with pytest.raises(Deadlock, match=re.escape(deadlock.BLOCKED)):
        lock.acquire()


@pytest.mark.parametrize("make", [threading.Lock, SimpleQueue])
def test_waits_that_python_does_in_c_are_named(world: World, make: Callable[[], Any]) -> None:
    waited_for = make()

    with pytest.raises(Deadlock, match=r"Lock\.acquire|SimpleQueue\.get") as caught:
        take_twice(waited_for)

    assert "in take_twice" in row(caught.value, "MainThread")


def take_twice(waited_for: Any) -> None:
    take = waited_for.acquire if hasattr(waited_for, "acquire") else waited_for.get
    take()
    take()


def test_the_message_names_the_tasks_of_a_loop(world: World) -> None:
    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await asyncio.create_task(wait_for_ever(), name="the waiting task")

    with pytest.raises(Deadlock) as caught:
        asyncio.run(main())

    assert "in wait_for_ever" in row(caught.value, "the waiting task")


def test_the_message_names_a_trio_run(world: World) -> None:
    with pytest.raises(Deadlock, match="a trio run with nothing to do"):
        trio.run(trio.sleep_forever)


def test_the_world_keeps_the_message(world: World) -> None:
    with pytest.raises(Deadlock):
        threading.Event().wait()

    assert world.deadlock is not None


def test_a_second_wait_in_vain_is_a_deadlock_again(world: World) -> None:
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


def test_the_end_of_an_outsiders_work_is_waited_for(world: World) -> None:
    done = real_clock.allocate_lock()
    done.acquire()

    def work() -> None:
        real_clock.sleep(0.4)
        done.release()

    for _ in range(2):
        real_clock.start_new_thread(work, ())
        done.acquire()

    assert world.clock.now() == 0


def test_a_thread_that_computes_for_long_after_a_wait_in_c_code_is_no_deadlock(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "_PATIENCE", 50 * MILLISECOND)
    lock = real_clock.allocate_lock()
    lock.acquire()

    def release() -> None:
        time.sleep(5)  # passes as soon as the main thread is seen as blocked
        lock.release()

    thread = threading.Thread(target=release)
    thread.start()
    lock.acquire()
    finished = real_clock.monotonic() + 0.3
    while real_clock.monotonic() < finished:
        pass

    assert world.deadlock is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked on POSIX only")
def test_a_pipe_that_only_an_ended_child_could_fill_is_a_deadlock() -> None:
    program = textwrap.dedent("""
        import os, time
        from pytest_claude_latency import virtual_time
        from pytest_claude_latency.virtual_time.clock import VirtualClock
        from pytest_claude_latency.virtual_time.watch import watchdog
        watchdog._LONG_PATIENCE = 200_000_000
        virtual_time.install()
        reads, writes = os.pipe()
        world = virtual_time.World(VirtualClock(), name="test_it")
        world.enter()
        if os.fork() == 0:
            time.sleep(0.3)  # for so long the parent waits for what is outside
            os._exit(0)
        try:
            os.read(reads, 1)
        except virtual_time.Deadlock as error:
            print(str(error).splitlines()[0])
    """)

    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60)

    assert done.stdout.strip() == deadlock.VERDICT

"""Threads that a program starts below `threading`."""

from __future__ import annotations

import _thread
import sys
import threading
import time
from typing import Any

import pytest

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time import World, current
from pytest_claude_latency.virtual_time.scheduling import real_clock


def test_a_raw_thread_is_not_jumped_past(world: World) -> None:
    done: list[float] = []

    def work(started: float, *, more: int = 0) -> None:
        sum(range(1_000_000))  # computes for many milliseconds of the machine's time
        time.sleep(0.1)
        done.append(time.monotonic() - started + more)

    _thread.start_new_thread(work, (time.monotonic(),), {"more": 1})
    while not done:
        time.sleep(0.05)

    assert done == [pytest.approx(1.1)]
    assert world.clock.now() <= SECOND // 5


def test_a_raw_thread_hands_on_what_others_wait_for(world: World) -> None:
    lock, told = _thread.allocate_lock(), threading.Event()
    lock.acquire()

    def work() -> None:
        time.sleep(2)
        lock.release()
        time.sleep(3)
        told.set()

    _thread.start_new_thread(work, ())
    lock.acquire()
    at_first = world.clock.now()
    was_told = told.wait(60)

    assert at_first == 2 * SECOND
    assert (was_told, world.clock.now()) == (True, 5 * SECOND)


def test_the_limit_of_a_raw_lock_is_virtual(world: World) -> None:
    class Own:
        make: Any = _thread.allocate_lock

    lock = Own().make()
    lock.acquire()
    taken = lock.acquire(timeout=3600)

    assert not taken
    assert world.clock.now() == 3600 * SECOND
    assert isinstance(lock, threading.Lock)


def test_a_raw_thread_that_is_blocked_for_real_does_not_hold_the_clock(world: World) -> None:
    lock, ended = real_clock.allocate_lock(), threading.Event()
    lock.acquire()

    def work() -> None:
        lock.acquire()
        ended.set()

    _thread.start_new_thread(work, ())
    time.sleep(1)
    lock.release()

    assert ended.wait(60)
    assert world.clock.now() == SECOND


def test_a_raw_thread_that_has_ended_is_counted_no_more(world: World) -> None:
    before = _thread._count()
    for _ in range(50):
        ended = threading.Event()
        _thread.start_new_thread(ended.set, ())
        ended.wait()
        time.sleep(1)

        assert _thread._count() == before


def test_an_exception_of_a_raw_thread_is_reported_with_the_function_that_it_ran(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda error: seen.append((str(error.exc_value), f"{error.err_msg} {error.object!r}"))
    )

    def work() -> None:
        raise ValueError("work failed")

    def leave() -> None:
        raise SystemExit

    for function in (work, leave):
        _thread.start_new_thread(function, ())
        time.sleep(1)

    ((error, text),) = seen
    assert error == "work failed"
    assert text.startswith("Exception ignored in thread started by")
    assert repr(work) in text


def test_a_raw_thread_that_outlives_its_test_stays_a_thread_of_that_test() -> None:
    from pytest_claude_latency.virtual_time.clock import VirtualClock

    world = World(VirtualClock(), name="brief")
    worlds: list[object] = []
    ended = real_clock.allocate_lock()
    ended.acquire()

    def work() -> None:
        time.sleep(0.05)
        worlds.append(current())
        ended.release()

    world.enter()
    _thread.start_new_thread(work, ())
    world.leave()
    ended.acquire()

    assert worlds == [world]


@pytest.mark.parametrize("arguments", [(print,), (print, []), ("print", ()), (print, (), 1), ()])
def test_what_is_no_call_is_refused_as_it_is_without_a_world(world: World, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        _thread.start_new_thread(*arguments)

    time.sleep(1)
    assert world.clock.now() == SECOND

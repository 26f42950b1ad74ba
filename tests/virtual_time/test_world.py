from __future__ import annotations

import _thread
import gc
import queue
import threading
import time
import weakref
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency import virtual_time
from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time import World, WorldState
from pytest_claude_latency.virtual_time.clock import VirtualClock, WallClock
from pytest_claude_latency.virtual_time.scheduling import real_clock
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS


def test_waiting_moves_the_clock_to_the_very_nanosecond(world: World) -> None:
    world.sleep_until(1_234_567_891)

    assert world.clock.now() == 1_234_567_891


def test_an_instant_that_has_passed_is_not_waited_for(world: World) -> None:
    world.sleep_until(5)
    world.sleep_until(3)

    assert world.clock.now() == 5


@given(st.lists(st.integers(0, 10**12)))
def test_any_waits_leave_the_clock_at_the_latest(instants: list[int]) -> None:
    world = World(VirtualClock(), name="any waits")
    world.enter()
    try:
        for instant in instants:
            world.sleep_until(instant)

        assert world.clock.now() == max([0, *instants])
    finally:
        world.leave()


def test_one_world_is_active_at_a_time(world: World) -> None:
    with pytest.raises(RuntimeError, match=f"second: the world of {world.name} is still active"):
        World(VirtualClock(), name="second").enter()


def test_a_world_is_entered_once() -> None:
    world = World(VirtualClock(), name="once")
    world.enter()
    world.leave()

    with pytest.raises(RuntimeError, match="entered once"):
        world.enter()


def test_leaving_twice_does_nothing() -> None:
    world = World(VirtualClock(), name="twice")
    world.enter()
    world.leave()
    world.leave()

    assert world.ended


def test_the_first_member_is_an_outsider_again_after_the_end() -> None:
    world = World(VirtualClock(), name="brief")
    world.enter()
    inside = virtual_time.current()
    world.leave()

    assert inside is world
    assert virtual_time.current() is None


def test_a_thread_started_inside_belongs_to_the_ended_world() -> None:
    world = World(VirtualClock(), name="outlived")
    worlds: list[WorldState | None] = []
    end = threading.Event()

    def outlive() -> None:
        end.wait()
        worlds.append(virtual_time.current())

    world.enter()
    thread = threading.Thread(target=outlive)
    thread.start()
    world.leave()
    end.set()
    thread.join()

    assert worlds == [world]
    assert world.ended


def test_a_thread_started_outside_belongs_to_no_world(world: World) -> None:
    worlds: list[WorldState | None] = []
    done = real_clock.allocate_lock()
    done.acquire()

    def note() -> None:
        worlds.append(virtual_time.current())
        done.release()

    start_unseen(note)
    done.acquire()

    assert worlds == [None]


def start_unseen(target: Callable[[], object]) -> None:
    """Start a thread behind the back of `threading` and of virtual time."""
    real_clock.start_new_thread(target, ())


def test_an_interrupted_wait_gives_the_clock_back(world: World) -> None:
    event = threading.Event()
    schedule = world.schedule
    assert schedule is not None

    class Interrupt(BaseException):
        pass

    def interrupt() -> None:
        world.sleep_until(SECOND)
        for wait in tuple(schedule.parked):
            wait.failure = Interrupt()
        event.set()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupt):
        event.wait()
    thread.join()
    world.sleep_until(2 * SECOND)

    assert world.clock.now() == 2 * SECOND


def test_a_thread_asleep_at_the_end_sleeps_on_for_real() -> None:
    world = World(VirtualClock(), name="short")
    woken = real_clock.allocate_lock()
    woken.acquire()

    def sleep() -> None:
        world.sleep_until(SECOND // 20)
        woken.release()

    world.enter()
    threading.Thread(target=sleep).start()
    before = real_clock.monotonic_ns()
    world.leave()
    woken.acquire()

    assert real_clock.monotonic_ns() - before >= SECOND // 20


def test_a_world_of_real_time_waits_for_real() -> None:
    world = World(WallClock(), name="real")
    world.enter()
    before = real_clock.monotonic_ns()
    world.sleep_until(world.clock.now() + SECOND // 50)
    inside = virtual_time.current()
    world.leave()

    assert real_clock.monotonic_ns() - before >= SECOND // 50
    assert inside is world


def test_a_world_of_real_time_knows_its_threads() -> None:
    world = World(WallClock(), name="real")
    worlds: list[WorldState | None] = []
    world.enter()
    thread = threading.Thread(target=lambda: worlds.append(virtual_time.current()))
    thread.start()
    thread.join()
    world.leave()

    assert worlds == [world]


def test_a_thread_that_has_ended_calls_itself_stopped(world: World) -> None:
    thread = threading.Thread(target=time.sleep, args=(0.1,), name="short")
    thread.start()
    running = repr(thread)
    time.sleep(0.5)

    assert "(short, started" in running
    assert "(short, stopped" in repr(thread)


def test_the_watchdog_is_not_counted_among_the_programs_threads() -> None:
    before = (_thread._count(), threading.active_count(), threading.enumerate())
    world = World(VirtualClock(), name="counted")
    world.enter()
    try:
        assert (_thread._count(), threading.active_count(), threading.enumerate()) == before
    finally:
        world.leave()


def test_an_ended_world_is_not_kept_by_what_outlives_it() -> None:
    items: queue.SimpleQueue[int] = queue.SimpleQueue()
    world = World(VirtualClock(), name="a test")
    ended = weakref.ref(world)

    world.enter()
    items.put(1)
    OUTSIDERS.serve(-1, items, world)
    world.leave()
    del world

    for _ in range(100):  # its watchdog, a thread of its own, may be about to end
        gc.collect()
        if ended() is None:
            break
        real_clock.sleep(0.05)
    assert ended() is None

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import anyio
import anyio.from_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time import World
from pytest_claude_latency.virtual_time.clock import VirtualClock
from pytest_claude_latency.virtual_time.scheduling import real_clock
from pytest_claude_latency.virtual_time.scheduling.real_work import RealWork


def test_a_task_goes_on_at_the_exact_nanosecond(world: World) -> None:
    asyncio.run(_reach(world, 1_234_567_891))

    assert world.clock.now() == 1_234_567_891


async def _reach(world: World, instant: int) -> None:
    await world.async_sleep_until(instant)


def test_a_task_that_runs_alone_is_not_suspended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = 0
    monkeypatch.setattr(
        RealWork, "possible", lambda self, *, limits: False
    )  # a thread that an earlier test left behind could work

    async def main() -> None:
        loop = asyncio.get_running_loop()
        iterations = _count_turns(loop)
        before = iterations()
        for second in range(1, 100):
            await world.async_sleep_until(second * SECOND)
        nonlocal turns
        turns = iterations() - before

    asyncio.run(main())

    assert turns == 0
    assert world.clock.now() == 99 * SECOND


def _count_turns(loop: Any) -> Callable[[], int]:
    turns, select = [0], loop._selector.select

    def counted(timeout: float | None) -> Any:
        turns[0] += 1
        return select(timeout)

    loop._selector.select = counted
    return lambda: turns[0]


@given(alone=st.integers(1, 50), timer=st.integers(1, 50))
def test_a_wait_does_not_jump_over_an_earlier_timer(alone: int, timer: int) -> None:
    world = World(VirtualClock(), name="a timer")
    order: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().call_later(timer / 1000, order.append, "timer")
        await world.async_sleep_until(alone * 1_000_000)
        order.append("task")
        await asyncio.sleep(1)

    world.enter()
    try:
        asyncio.run(main())
    finally:
        world.leave()

    if timer != alone:
        assert order == (["timer", "task"] if timer < alone else ["task", "timer"])
    assert sorted(order) == ["task", "timer"]


def test_a_task_that_cancelled_itself_does_not_wait(world: World) -> None:
    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await world.async_sleep_until(SECOND)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())

    assert world.clock.now() == 0


def test_the_time_of_a_loop_is_the_time_of_its_program(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        await asyncio.sleep(2)

        assert loop.time() - before == pytest.approx(2, abs=1e-6)
        assert loop.time() == pytest.approx(time.monotonic(), abs=1e-6)

    asyncio.run(main())


@given(st.lists(st.integers(0, 100), max_size=8))
def test_the_time_of_a_loop_never_goes_back(sleeps: list[int]) -> None:
    loop = asyncio.new_event_loop()
    readings = [loop.time()]
    try:
        for seconds in sleeps:
            readings.append(_time_after_sleeping(loop, seconds))
            readings.append(loop.time())
            loop.run_until_complete(asyncio.sleep(0))
            readings.append(loop.time())
    finally:
        loop.close()

    assert readings == sorted(readings)


def _time_after_sleeping(loop: asyncio.AbstractEventLoop, seconds: int) -> float:
    world = World(VirtualClock(), name="one of several")
    world.enter()
    try:
        loop.run_until_complete(asyncio.sleep(seconds))
        return loop.time()
    finally:
        world.leave()


def test_timers_set_before_the_world_fire_when_they_are_due() -> None:
    loop = asyncio.new_event_loop()
    fired: list[int] = []
    world = World(VirtualClock(), name="later")
    loop.call_later(100, lambda: fired.append(world.clock.now()))
    world.enter()
    loop.run_until_complete(asyncio.sleep(60))
    fired_early = list(fired)
    loop.run_until_complete(asyncio.sleep(60))
    world.leave()
    loop.close()

    assert fired_early == []
    assert 99 * SECOND < fired[0] <= 100 * SECOND


def test_a_loop_is_unchanged_when_its_world_has_ended() -> None:
    loop: Any = asyncio.new_event_loop()
    resolution = loop._clock_resolution
    world = World(VirtualClock(), name="brief")
    world.enter()
    loop.run_until_complete(asyncio.sleep(5))
    world.leave()
    before = real_clock.monotonic_ns()
    loop.run_until_complete(asyncio.sleep(0.02))

    assert real_clock.monotonic_ns() - before >= SECOND // 50
    assert loop._clock_resolution == resolution
    assert "select" not in vars(loop._selector)
    loop.close()


def test_a_selector_that_is_a_mock_is_asked_and_left_as_it_was(world: World) -> None:
    loop: Any = asyncio.new_event_loop()
    machine, loop._selector = loop._selector, mock.Mock()
    loop._selector.select.return_value = []
    loop._process_events = mock.Mock()
    loop.call_later(3, loop.stop)
    loop.run_forever()
    limit = loop._selector.select.call_args_list[0].args[0]
    loop._selector = machine
    loop.close()

    assert world.clock.now() == 3 * SECOND
    assert limit == 0


@pytest.mark.parametrize("earlier", [0, 100])  # seconds by which the clocks are ahead when the world begins
def test_the_first_timer_of_a_loop_may_be_computed_from_the_clock(earlier: int) -> None:
    _spend(earlier)
    world = World(VirtualClock(), name="makes a loop")
    world.enter()
    loop: Any = asyncio.new_event_loop()
    loop._scheduled.append(asyncio.TimerHandle(time.monotonic() + 1, loop.stop, (), loop))
    loop.run_forever()
    loop.close()
    world.leave()

    assert world.clock.now() == SECOND


def test_the_traceback_of_a_handle_ends_with_the_program() -> None:
    loop = asyncio.new_event_loop()
    loop.set_debug(True)
    handle: Any = loop.call_soon_threadsafe(print)
    loop.close()

    assert handle._source_traceback[-1].filename == __file__


def _spend(seconds: int) -> None:
    world = World(VirtualClock(), name="earlier")
    world.enter()
    time.sleep(seconds)
    world.leave()


def test_a_new_loop_outside_of_a_world_reads_what_the_clock_reads() -> None:
    _spend(3600)
    loop = asyncio.new_event_loop()
    ahead = loop.time() - time.monotonic()
    loop.close()

    assert abs(ahead) < 60


def test_a_wait_whose_world_ends_goes_on_for_real() -> None:
    world = World(VirtualClock(), name="brief")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    world.enter()
    thread.start()
    future = asyncio.run_coroutine_threadsafe(_reach(world, SECOND // 20), loop)
    before = real_clock.monotonic_ns()
    world.leave()
    future.result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()

    assert real_clock.monotonic_ns() - before >= SECOND // 20


def test_a_loop_older_than_the_world_waits_for_its_turn_in_each_world() -> None:
    order: list[str] = []
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    for _ in range(3):
        world = World(VirtualClock(), name="it takes its turn")
        world.enter()
        loop.call_soon_threadsafe(order.append, "the loop")
        for _ in range(20):
            real_clock.sleep(0.002)  # a loop that does not wait for its turn comes now
        order.append("the caller")
        later = threading.Thread(target=order.append, args=["a thread started later"])
        later.start()
        later.join()
        world.leave()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()

    assert order == 3 * ["the caller", "the loop", "a thread started later"]


def test_one_loop_serves_several_worlds_in_turn() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    ends = []
    for name in ("first", "second", "third"):
        world = World(VirtualClock(), name=name)
        world.enter()
        asyncio.run_coroutine_threadsafe(_reach(world, 3 * SECOND), loop).result()
        ends.append(world.clock.now())
        world.leave()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()

    assert ends == [3 * SECOND] * 3


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_portal_serves_threads(world: World, backend: str) -> None:
    async def wait(seconds: int) -> int:
        await world.async_sleep_until(seconds * SECOND)
        return seconds

    with anyio.from_thread.start_blocking_portal(backend) as portal:
        futures = [portal.start_task_soon(wait, seconds) for seconds in (3, 1)]
        first = (futures[1].result(), world.clock.now())
        second = (futures[0].result(), world.clock.now())

    assert [first, second] == [(1, SECOND), (3, 3 * SECOND)]


def test_a_loop_that_no_member_calls_into_keeps_the_time_of_the_machine(world: World) -> None:
    world.sleep_until(3600 * SECOND)
    readings: list[float] = []
    done = real_clock.allocate_lock()
    done.acquire()

    def run() -> None:
        loop = asyncio.new_event_loop()
        readings.append(loop.time() - time.monotonic())
        loop.close()
        done.release()

    real_clock.start_new_thread(run, ())
    done.acquire()

    assert abs(readings[0]) < 60


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(spans=st.lists(st.integers(1, 10**7), min_size=1, max_size=6))
def test_tasks_of_any_length_end_with_the_longest(backend: str, spans: list[int]) -> None:
    world = World(VirtualClock(), name="a group")

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for span in spans:
                group.start_soon(anyio.sleep, span / 1e6)

    world.enter()
    try:
        anyio.run(main, backend=backend)
        assert world.clock.now() == max(spans) * 1000
    finally:
        world.leave()


@pytest.mark.parametrize("delay", [0, -1])
def test_a_time_out_that_is_over_at_once_lies_between_the_readings_around_it(world: World, delay: float) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(100):
            await asyncio.sleep(0.1)
            before = loop.time()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(delay) as limit:
                    await asyncio.sleep(10)
            when = limit.when()
            assert when is not None
            assert before + delay <= when <= loop.time()

    asyncio.run(main())

    assert world.clock.now() == 10 * SECOND

"""A stream goes from chunk to chunk without a wait where nobody else could go on in between, and only there."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time import World
from pytest_claude_latency.virtual_time.clock import VirtualClock, WallClock
from pytest_claude_latency.virtual_time.scheduling import real_clock
from pytest_claude_latency.virtual_time.scheduling.real_work import RealWork
from tests.virtual_time.test_awaiting import ByHand


@pytest.fixture(autouse=True)
def _nobody_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at no thread that an earlier test left behind: it could do something."""
    monkeypatch.setattr(RealWork, "possible", lambda self, *, limits: self.pending)


def test_whoever_is_alone_moves_the_clock(world: World) -> None:
    skip = world.skipping()

    assert [skip(1 * SECOND), skip(2 * SECOND), skip(1 * SECOND)] == [1 * SECOND, 2 * SECOND, 2 * SECOND]
    assert world.clock.now() == 2 * SECOND


def test_a_timer_in_between_comes_first(world: World) -> None:
    skip = world.skipping()
    assert skip(1) == 1
    thread = threading.Thread(target=lambda: world.sleep_until(2 * SECOND))
    thread.start()
    world.sleep_until(1 * SECOND)  # meanwhile the thread gets to its own wait

    assert skip(3 * SECOND) is None
    assert world.clock.now() == 1 * SECOND
    thread.join()


def test_a_thread_of_no_world_moves_no_clock(world: World) -> None:
    skip = world.skipping()
    assert skip(1 * SECOND) == 1 * SECOND  # what is remembered of this thread holds for no other
    found: list[int | None] = []
    done = real_clock.allocate_lock()
    done.acquire()

    def ask() -> None:
        found.append(skip(2 * SECOND))
        done.release()

    real_clock.start_new_thread(ask, ())
    done.acquire()

    assert found == [None]
    assert world.clock.now() == 1 * SECOND


def test_a_world_that_has_ended_has_no_shortcut() -> None:
    world = World(VirtualClock(), name="ends")
    world.enter()
    try:
        skip = world.skipping()
        assert skip(1 * SECOND) == 1 * SECOND
    finally:
        world.leave()

    assert skip(2 * SECOND) is None


def test_a_world_of_real_time_has_none() -> None:
    world = World(WallClock(), name="real")

    assert world.skipping()(0) is None
    assert world.async_skipping(sys._getframe())(0) is None


async def chunks(world: World, skipped: list[bool]) -> AsyncIterator[int]:
    """Yield a chunk each second, as a replayed stream does."""
    await world.async_sleep_until(1 * SECOND)  # the loop is in the world from here on
    skip = world.async_skipping(sys._getframe())
    try:
        for second in range(2, 10):
            skipped.append(skip(second * SECOND) is not None)
            if not skipped[-1]:
                await world.async_sleep_until(second * SECOND)
            yield second
    finally:
        del skip


async def handed_on(stream: AsyncIterator[int]) -> AsyncIterator[int]:
    async for chunk in stream:
        yield chunk


def test_a_task_that_only_awaits_is_not_suspended(world: World) -> None:
    skipped: list[bool] = []

    async def main() -> None:
        async for _ in handed_on(chunks(world, skipped)):
            pass

    asyncio.run(main())

    assert skipped == [True] * 8


def test_another_task_goes_on_in_between(world: World) -> None:
    skipped: list[bool] = []
    instants: list[int] = []

    async def main() -> None:
        async for chunk in chunks(world, skipped):
            if chunk == 4:
                asyncio.get_running_loop().call_soon(lambda: instants.append(world.clock.now()))

    asyncio.run(main())

    assert instants == [4 * SECOND]
    assert skipped == [True, True, True, False, True, True, True, True]


def test_whoever_asks_for_one_chunk_by_hand_goes_on_at_once(world: World) -> None:
    skipped: list[bool] = []
    instants: list[int] = []

    async def main() -> None:
        stream: Any = chunks(world, skipped)
        # From as deep as before and after: only who asks is another.
        first = handed_on(stream)
        assert [await anext(first), await anext(first)] == [2, 3]
        await ByHand(anext(stream), then=lambda: instants.append(world.clock.now()))
        assert await anext(first) == 5

    asyncio.run(main())

    assert instants == [3 * SECOND]
    assert skipped == [True, True, False, True]


def test_a_cancelled_task_meets_its_suspension(world: World) -> None:
    skipped: list[bool] = []

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        async for chunk in chunks(world, skipped):
            if chunk == 3:
                task.cancel()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())

    assert skipped == [True, True, False]
    assert world.clock.now() == 3 * SECOND

"""A wait moves the clock itself only if nobody above the running coroutine can go on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from types import coroutine
from typing import Any

import pytest
import trio

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time import World
from pytest_claude_latency.virtual_time.patches.loops.alarms import Alarms
from pytest_claude_latency.virtual_time.scheduling.real_work import RealWork

needs_eager_tasks = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
EAGER: Any = vars(asyncio).get("eager_task_factory")
RUNNERS = {"asyncio": lambda main: asyncio.run(main()), "trio": trio.run}
Run = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=RUNNERS)
def run(request: pytest.FixtureRequest) -> Run:
    return RUNNERS[request.param]


async def wait(world: World, seconds: float) -> None:
    await world.async_sleep_until(world.clock.now() + round(seconds * SECOND))


@needs_eager_tasks
def test_eager_tasks_wait_side_by_side(world: World) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(EAGER)
        await wait(world, 1)  # the loop is in the world from here on
        await asyncio.gather(*(wait(world, seconds) for seconds in (3, 2, 1)))

    asyncio.run(main())

    assert world.clock.now() == 4 * SECOND


@needs_eager_tasks
def test_whoever_starts_an_eager_task_goes_on_at_once(world: World) -> None:
    instants: list[int] = []

    async def starts() -> None:
        task = asyncio.create_task(wait(world, 2))
        instants.append(world.clock.now())
        await task

    async def main() -> None:
        await wait(world, 1)
        asyncio.get_running_loop().set_task_factory(EAGER)
        await asyncio.create_task(starts())  # an eager task inside an eager task

    asyncio.run(main())

    assert instants == [1 * SECOND]
    assert world.clock.now() == 3 * SECOND


@needs_eager_tasks
def test_a_callback_that_starts_an_eager_task_goes_on_at_once(world: World) -> None:
    instants: list[int] = []

    async def main() -> None:
        await wait(world, 1)
        loop = asyncio.get_running_loop()
        loop.set_task_factory(EAGER)
        tasks: list[asyncio.Task[None]] = []

        def start() -> None:
            tasks.append(loop.create_task(wait(world, 2)))
            instants.append(world.clock.now())

        loop.call_soon(start)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await tasks[0]

    asyncio.run(main())

    assert instants == [1 * SECOND]
    assert world.clock.now() == 3 * SECOND


class ByHand:
    """Starts a coroutine as far as its first wait, does something else, and only then awaits the rest."""

    def __init__(self, first: Coroutine[Any, Any, None], then: Callable[[], None]) -> None:
        self._first = first
        self._then = then

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self._first.send(None)
        self._then()
        while True:
            answer = yield waits_for
            try:
                waits_for = self._first.send(answer)
            except StopIteration:
                return


def test_whoever_drives_a_coroutine_by_hand_goes_on_at_once(world: World, run: Run) -> None:
    instants: list[int] = []

    async def main() -> None:
        await wait(world, 1)
        await ByHand(wait(world, 2), then=lambda: instants.append(world.clock.now()))

    run(main)

    assert instants == [1 * SECOND]
    assert world.clock.now() == 3 * SECOND


class Entered:
    def __init__(self, world: World) -> None:
        self._world = world

    async def __aenter__(self) -> None:
        await wait(self._world, 1)

    async def __aexit__(self, *_: object) -> None:
        await wait(self._world, 1)


class Awaitable:
    def __init__(self, world: World) -> None:
        self._world = world

    def __await__(self) -> Generator[Any, Any, None]:
        yield from wait(self._world, 1).__await__()


@coroutine
def old_coroutine(world: World) -> Generator[Any, Any, None]:
    yield from wait(world, 1).__await__()


async def items(world: World) -> AsyncIterator[int]:
    await wait(world, 1)
    yield 1


async def by_object(world: World) -> None:
    await Awaitable(world)


async def by_generator(world: World) -> None:
    await old_coroutine(world)


async def by_iteration(world: World) -> None:
    async for _ in items(world):
        pass


async def by_comprehension(world: World) -> None:
    assert [item async for item in items(world)] == [1]


async def by_next(world: World) -> None:
    rest = items(world)
    assert [await anext(rest, 0), await anext(rest, 0)] == [1, 0]


async def by_block(world: World) -> None:
    async with Entered(world):
        pass


@pytest.mark.parametrize("way", [by_object, by_generator, by_iteration, by_comprehension, by_next, by_block])
def test_what_only_awaits_is_not_suspended(
    world: World, monkeypatch: pytest.MonkeyPatch, way: Callable[[World], Coroutine[Any, Any, None]]
) -> None:
    alarms: list[int] = []

    async def main() -> None:
        await wait(world, 1)
        monkeypatch.setattr(Alarms, "add", lambda self, instant, alarm: alarms.append(instant))
        for _ in range(40):  # the interpreter specializes what it runs often
            await way(world)

    monkeypatch.setattr(
        RealWork, "possible", lambda self, *, limits: False
    )  # a thread that an earlier test left behind could work
    asyncio.run(main())

    assert alarms == []

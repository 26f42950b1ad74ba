from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
import trio
import uvloop

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time import UnsupportedLoop, World
from pytest_claude_latency.virtual_time.clock import VirtualClock, WallClock
from pytest_claude_latency.virtual_time.scheduling import real_clock


async def wait(world: World, seconds: float) -> None:
    await world.async_sleep_until(world.clock.now() + round(seconds * SECOND))


async def everything(world: World) -> None:
    """Groups, time limits and threads, through anyio; ends at 19 s."""
    async with anyio.create_task_group() as group:
        for seconds in (5, 1, 3.5):
            group.start_soon(wait, world, seconds)
    assert world.clock.now() == 5 * SECOND
    with anyio.move_on_after(2) as scope:
        await wait(world, 5)
    assert scope.cancelled_caught
    with pytest.raises(TimeoutError), anyio.fail_after(1):
        await wait(world, 5)
    assert world.clock.now() == 8 * SECOND
    before = anyio.current_time()
    await anyio.sleep(0.1)
    await wait(world, 1.9)
    assert anyio.current_time() - before == pytest.approx(2, abs=1e-6)
    async with anyio.create_task_group() as group:
        for seconds in (5, 1, 3):
            group.start_soon(anyio.to_thread.run_sync, sleep, world, seconds)
    assert world.clock.now() == 15 * SECOND
    await anyio.to_thread.run_sync(there_and_back, world)
    assert world.clock.now() == 18 * SECOND
    with anyio.move_on_after(1):
        await anyio.to_thread.run_sync(sleep, world, 2, abandon_on_cancel=True)


def sleep(world: World, seconds: int) -> None:
    world.sleep_until(world.clock.now() + seconds * SECOND)


def there_and_back(world: World) -> None:
    anyio.from_thread.run(wait, world, 2)
    sleep(world, 1)


def on_trio(main: Callable[[World], Awaitable[None]], world: World) -> None:
    trio.run(main, world)


def on_anyio(main: Callable[[World], Awaitable[None]], world: World) -> None:
    anyio.run(main, world, backend="trio")


def on_asyncio(main: Callable[[World], Any], world: World) -> None:
    asyncio.run(main(world))


def on_uvloop(main: Callable[[World], Any], world: World) -> None:
    uvloop.run(main(world))


def on_uvloop_by_anyio(main: Callable[[World], Awaitable[None]], world: World) -> None:
    anyio.run(main, world, backend="asyncio", backend_options={"use_uvloop": True})


def on_uvloop_by_hand(main: Callable[[World], Any], world: World) -> None:
    loop = uvloop.new_event_loop()
    loop.run_until_complete(main(world))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def on_trio_as_a_guest(main: Callable[[World], Awaitable[None]], world: World) -> None:
    async def host() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
        trio.lowlevel.start_guest_run(
            main,
            world,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=done.set_result,
            host_uses_signal_set_wakeup_fd=True,
        )
        (await done).unwrap()

    asyncio.run(host())


RUNNERS = [on_trio, on_anyio, on_asyncio, on_uvloop, on_uvloop_by_anyio, on_uvloop_by_hand, on_trio_as_a_guest]


@pytest.mark.parametrize("run", RUNNERS)
def test_every_runner_takes_the_same_time(world: World, run: Callable[..., None]) -> None:
    run(everything, world)

    assert world.clock.now() in {19 * SECOND, 20 * SECOND}  # asyncio's own executor waits for what was abandoned


def test_a_task_of_trio_goes_on_at_the_exact_nanosecond(world: World) -> None:
    trio.run(world.async_sleep_until, 1_234_567_891)

    assert world.clock.now() == 1_234_567_891


def test_a_trio_run_in_a_thread_follows_the_clock(world: World) -> None:
    thread = threading.Thread(target=trio.run, args=(wait, world, 2))
    thread.start()
    thread.join()

    assert world.clock.now() == 2 * SECOND


def test_the_clock_of_a_run_never_goes_back() -> None:
    readings: list[float] = []

    async def main() -> None:
        for name in ("first", "second"):
            world = World(VirtualClock(), name=name)
            readings.append(trio.current_time())
            world.enter()
            await trio.sleep(3600)
            readings.append(trio.current_time())
            world.leave()
            readings.append(trio.current_time())

    trio.run(main)

    assert readings == sorted(readings)
    assert readings[-1] - readings[0] == pytest.approx(7200, abs=60)


def test_trio_runs_the_tasks_of_a_batch_in_the_same_order_in_every_world() -> None:
    orders = set()
    for _ in range(5):
        world = World(VirtualClock(), name="a batch")
        world.enter()
        orders.add(tuple(trio.run(_order_of_a_batch)))
        world.leave()

    assert len(orders) == 1


async def _order_of_a_batch() -> list[int]:
    order: list[int] = []

    async def note(number: int) -> None:
        await trio.sleep(1)
        order.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(note, number)
    return order


def test_a_loop_made_by_uvloops_own_type_fails_with_the_reason(world: World) -> None:
    loop = uvloop.Loop()
    try:
        with pytest.raises(UnsupportedLoop, match=r"uvloop\.Loop, which does not follow virtual time"):
            loop.run_until_complete(wait(world, 1))
    finally:
        loop.close()


def test_outside_a_world_uvloop_is_uvloop() -> None:
    async def main() -> type:
        return type(asyncio.get_running_loop())

    assert uvloop.run(main()) is uvloop.Loop


@pytest.mark.parametrize("run", [on_trio, on_asyncio, on_uvloop])
def test_a_world_of_real_time_waits_for_real(run: Callable[..., None]) -> None:
    world = World(WallClock(), name="real")
    world.enter()
    before = real_clock.monotonic_ns()
    run(lambda world: wait(world, 0.02), world)
    world.leave()

    assert real_clock.monotonic_ns() - before >= SECOND // 50


def test_outside_a_world_trio_sleeps_for_real() -> None:
    before = real_clock.monotonic_ns()
    trio.run(trio.sleep, 0.02)

    assert real_clock.monotonic_ns() - before >= SECOND // 50

"""What the clocks read after a world has ended: never less than what its members read."""

from __future__ import annotations

import asyncio
import datetime
import threading
import time
from collections.abc import Callable

import pytest

from pytest_claude_latency.virtual_time import World
from pytest_claude_latency.virtual_time.clock import VirtualClock


def live(hours: int, date: datetime.datetime | None = None) -> World:
    """Return a world in which the calling thread has slept for so long."""
    world = World(VirtualClock(), name="before", date=date)
    world.enter()
    time.sleep(hours * 3600)
    return world


@pytest.mark.parametrize(
    "read",
    [
        time.monotonic,
        time.monotonic_ns,
        time.perf_counter,
        time.perf_counter_ns,
        time.time,
        time.time_ns,
        datetime.datetime.now,
        lambda: time.strftime("%Y-%m-%d %H:%M:%S"),
    ],
)
def test_no_clock_goes_back_when_a_world_ends(read: Callable[[], float]) -> None:
    world = live(hours=1)
    in_world = read()
    world.leave()
    after = read()
    later = live(hours=1)
    in_later = read()
    later.leave()

    assert in_world <= after <= in_later <= read()


def test_an_instant_of_a_world_is_over_after_it() -> None:
    world = live(hours=1)
    deadline = time.monotonic()
    world.leave()
    rest = deadline - time.monotonic()

    assert rest <= 0


def test_a_thread_beside_a_world_keeps_its_clock() -> None:
    seen: list[float] = []
    stop = threading.Event()

    def watch() -> None:
        seen.append(time.monotonic())
        stop.wait(30)
        seen.append(time.monotonic())

    thread = threading.Thread(target=watch)
    thread.start()
    while not seen:
        time.sleep(0.001)
    live(hours=1).leave()
    stop.set()
    thread.join()

    assert seen[1] - seen[0] < 30


def test_a_new_thread_and_a_new_loop_read_what_their_starter_reads() -> None:
    live(hours=1).leave()
    seen: list[float] = []
    before = time.monotonic()
    thread = threading.Thread(target=lambda: seen.append(time.monotonic()))
    thread.start()
    thread.join()

    async def main() -> None:
        seen.append(asyncio.get_running_loop().time())

    asyncio.run(main())

    assert all(before <= reading <= before + 30 for reading in seen)


def test_a_calendar_that_a_test_has_set_is_its_own() -> None:
    before = time.time()
    live(hours=1, date=datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)).leave()

    assert before <= time.time() < before + 60


def test_a_loop_never_goes_back() -> None:
    loop = asyncio.new_event_loop()
    readings = []

    async def read() -> None:
        readings.append(loop.time())

    for _ in range(2):
        loop.run_until_complete(read())
        world = live(hours=1)
        loop.run_until_complete(read())
        world.leave()
        loop.run_until_complete(read())
    loop.close()

    assert readings == sorted(readings)

"""Waiting for an exact instant inside a task."""

from __future__ import annotations

from asyncio import _get_running_loop, current_task, sleep
from typing import TYPE_CHECKING

from pytest_claude_latency.duration import SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.loops import Seat, seat_of
from pytest_claude_latency.virtual_time.schedule import LOCK

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.world import Virtual, World


async def sleep_until(world: World, instant: Nanoseconds) -> None:
    """Let the running task wait until the clock of `world` reads `instant`."""
    if world.virtual is None:
        await _really_sleep_until(world, instant)
        return
    seat = _seat(world)
    if instant > world.virtual.dial.now() and not _passed_alone(world.virtual, seat, instant):
        await seat.alarm(instant)


def _passed_alone(virtual: Virtual, seat: Seat, instant: Nanoseconds) -> bool:
    """Move the clock without a turn of the loop, where a turn could run nothing but this task again."""
    schedule = virtual.schedule
    with LOCK:
        if not schedule.free_until(instant) or not seat.idle_until(instant) or seat.world.ended or _cancelled():
            return False
        schedule.move_to(instant)
        return True


def _cancelled() -> bool:
    """Whether the running task is to be cancelled at its next wait."""
    task = current_task()
    return task is None or bool(getattr(task, "_must_cancel", True))


async def _really_sleep_until(world: World, instant: Nanoseconds) -> None:
    while (rest := instant - world.clock.now()) > 0:
        await sleep(rest / SECOND)


def _seat(world: World) -> Seat:
    loop = _get_running_loop()
    seat = None if loop is None else seat_of(loop)  # type: ignore[arg-type] # asyncio's own are BaseEventLoops
    if seat is None or seat.world is not world:
        raise RuntimeError(f"{loop!r} does not live in the world of {world.name}")
    return seat

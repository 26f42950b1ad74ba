"""Waiting for an exact instant inside a task, of asyncio or of trio."""

from __future__ import annotations

import sys
from asyncio import _get_running_loop, current_task, sleep
from typing import TYPE_CHECKING, Any

from pytest_claude_latency.duration import SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.patches.asyncio_loops import SEAT, Seat, seat_of, take_seat, works_for
from pytest_claude_latency.virtual_time.scheduling.errors import UnsupportedLoop
from pytest_claude_latency.virtual_time.scheduling.lock import LOCK
from pytest_claude_latency.virtual_time.scheduling.members import current

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState


async def sleep_until(world: WorldState, instant: Nanoseconds) -> None:
    """Let the running task wait until the clock of `world` reads `instant`.

    Raises:
        UnsupportedLoop: the loop is neither asyncio's own nor trio's.
    """
    loop: Any = _get_running_loop()
    seat: Seat | None = getattr(loop, SEAT, None)
    if seat is not None and seat.world is world and _passed_alone(seat, instant):
        return
    await _sleep_until(world, loop, instant)


async def _sleep_until(world: WorldState, loop: Any, instant: Nanoseconds) -> None:
    """The long way: find out where the task runs, and let others run meanwhile."""
    task = None if loop is None else current_task()
    if task is None and "trio" in sys.modules:
        await _sleep_in_trio(world, instant)
    elif world.readings is None:
        await _really_sleep_until(world, instant)
    else:
        seat = _seat(world, loop)
        if instant > world.readings.now():
            await seat.alarm(instant)


async def _sleep_in_trio(world: WorldState, instant: Nanoseconds) -> None:
    from pytest_claude_latency.virtual_time.patches import trio_runs

    if world.schedule is None:
        await trio_runs.really_sleep_until(world, instant)
    else:
        await trio_runs.sleep_until(world, instant)


async def _really_sleep_until(world: WorldState, instant: Nanoseconds) -> None:
    while (rest := instant - world.clock.now()) > 0:
        await sleep(rest / SECOND)


def _seat(world: WorldState, loop: Any) -> Seat:
    if hasattr(loop, "_scheduled") and not world.ended and works_for(world, loop):
        return take_seat(loop, world)
    seat = seat_of(loop) if hasattr(loop, "_scheduled") else None
    if seat is None or seat.world is not world:
        raise UnsupportedLoop(
            f"a replayed answer is awaited on {type(loop).__module__}.{type(loop).__qualname__}, "
            f"which does not follow virtual time\n"
            f"  test      {world.name}\n"
            f"  why       it is no loop of asyncio's own, or its thread works for pytest or another library\n"
            f"  mend      let the test create its loop (uvloop is then replaced), or pass --latency-clock=real"
        )
    return seat


def _passed_alone(seat: Seat, instant: Nanoseconds) -> bool:
    """Move the clock without a turn of the loop, where a turn could run nothing but this task again."""
    schedule = seat.schedule
    with LOCK:
        if schedule.running != 1 or seat.world.ended:
            return False  # looked at first, as the likeliest
        if instant <= schedule.clock.now():
            return True
        if not (schedule.free_until(instant) and seat.idle_until(instant) and current() is seat.world):
            return False
        if getattr(current_task(seat.loop), "_must_cancel", True):
            return False
        schedule.jump_to(instant)
        return True

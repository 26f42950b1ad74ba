"""How a task, of asyncio or of trio, waits for an exact instant."""

from __future__ import annotations

import sys
from asyncio import Handle, _get_running_loop, current_task, sleep
from typing import TYPE_CHECKING, Any

from pytest_claude_latency.duration import SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.patches.asyncio_loops import (
    STATE,
    LoopState,
    enter_world,
    join_world,
    state_of,
)
from pytest_claude_latency.virtual_time.patches.awaiting import reaches_loop
from pytest_claude_latency.virtual_time.patches.loops import unsupported_loops
from pytest_claude_latency.virtual_time.scheduling.lock import LOCK
from pytest_claude_latency.virtual_time.scheduling.members import current

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

_RUN = Handle._run.__code__  # from where a loop runs its tasks


async def sleep_until(world: WorldState, instant: Nanoseconds) -> None:
    """Let the running task wait until the clock of `world` reads `instant`; return at once if it does.

    Raises:
        UnsupportedLoop: the loop is neither asyncio's own nor trio's.
    """
    loop: Any = _get_running_loop()
    state: LoopState | None = getattr(loop, STATE, None)
    if state is not None and state.world is world:
        # The short way, which most waits for a recorded chunk take. If this task is the only thing in the world that
        # could run until `instant`, a turn of the loop would run nothing but this task again. All of it is asked under
        # one lock, so nobody can change the answer before the clock moves.
        schedule = state.schedule
        with LOCK:
            if schedule.running == 1 and not world.ended:  # asked first, since it is most often what fails
                if instant <= schedule.clock.now():
                    return
                if (
                    schedule.free_until(instant)
                    and state.idle_until(instant)
                    and current() is world
                    and _waits_alone(loop)
                ):
                    schedule.move_to(instant)
                    state.awake = instant  # the loop had nothing else to do: nobody held it
                    return
    task = None if loop is None else current_task()
    if task is None and "trio" in sys.modules:  # also a trio run in guest mode, where asyncio's loop is the host
        from pytest_claude_latency.virtual_time.patches import trio_runs

        await trio_runs.sleep_until(world, instant)
    elif world.readings is None:
        while (rest := instant - world.clock.now()) > 0:
            await sleep(rest / SECOND)
    else:
        state = _state_in(world, loop)
        if instant > world.readings.now():
            alarm = loop.create_future()
            state.alarms.add(instant, alarm)
            await alarm


def _waits_alone(loop: Any) -> bool:
    """Return whether nothing but the running task goes on where that task would be suspended."""
    task: Any = current_task(loop)  # the loop is given, since `current_task` would have to search for it
    # A task that was cancelled must meet a suspension, where asyncio raises.
    if getattr(task, "_must_cancel", True):
        return False
    return reaches_loop(getattr(task.get_coro(), "cr_frame", None), _RUN)


def _state_in(world: WorldState, loop: Any) -> LoopState:
    if hasattr(loop, "_scheduled"):
        if not world.ended and join_world(world, loop):
            return enter_world(loop, world)
        state = state_of(loop)
        if state is not None and state.world is world:  # the world has ended, and what is left of the wait is real
            return state
    raise unsupported_loops.error(world, loop)

"""How a task, of asyncio or of trio, waits for an exact instant."""

from __future__ import annotations

import sys
from asyncio import Handle, _get_running_loop, current_task, sleep
from typing import TYPE_CHECKING, Any, final

from pytest_claude_latency.duration import SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.patches.asyncio_loops import (
    STATE,
    LoopState,
    enter_world,
    join_world,
    state_of,
)
from pytest_claude_latency.virtual_time.patches.awaiting import LAST, Chain
from pytest_claude_latency.virtual_time.patches.loops import unsupported_loops
from pytest_claude_latency.virtual_time.scheduling.lock import LOCK
from pytest_claude_latency.virtual_time.scheduling.table import current
from pytest_claude_latency.virtual_time.scheduling.waiting import Shortcut

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

_RUN = Handle._run.__code__  # from where a loop runs its tasks


async def sleep_until(world: WorldState, instant: Nanoseconds, since: Nanoseconds | None = None) -> None:
    """Let the running task wait until the clock of `world` reads `instant`; return at once if it does.

    `since` is since when that for which it waits may have been there, where the program was late to take it while it
    was recorded. Then the wait ends with the hold that made it late.

    Raises:
        UnsupportedLoop: the loop is neither asyncio's own nor trio's.
    """
    loop: Any = _get_running_loop()
    state: LoopState | None = getattr(loop, STATE, None)
    if state is not None and state.world is world:
        # The short way. If this task is the only thing in the world that could run until `instant`, a turn of the loop
        # would run nothing but this task again. All of it is asked under one lock, so nobody can change the answer
        # before the clock moves.
        schedule = state.schedule
        with LOCK:
            if schedule.running == 1 and not world.ended:  # asked first, since it is most often what fails
                if instant <= schedule.clock.instant:
                    return
                waiting = sys._getframe()
                if (
                    schedule.free_until(instant)
                    and current() is world
                    and _InLoop(state, waiting, LAST).is_alone(instant)
                ):
                    schedule.move_to(instant)
                    return
    task = None if loop is None else current_task()
    if task is None and "trio" in sys.modules:  # also a trio run in guest mode, where asyncio's loop is the host
        from pytest_claude_latency.virtual_time.patches.loops import trio_runs

        await trio_runs.sleep_until(world, instant, since)
    elif world.readings is None:
        while (rest := instant - world.clock.now()) > 0:
            await sleep(rest / SECOND)
    else:
        state = _state_in(world, loop)
        if instant > world.readings.now() and (since is None or not state.alarms.is_there(instant, since)):
            alarm = loop.create_future()
            state.alarms.add(instant, alarm, since)
            await alarm


def skipping(world: WorldState, player: FrameType) -> Callable[[Nanoseconds], Nanoseconds | None] | None:
    """Return the shortcut of a stream that the running task reads, through the generator whose frame is `player`.

    None if its loop is not, or not yet, in the world.
    """
    state: LoopState | None = getattr(_get_running_loop(), STATE, None)
    if state is None or state.world is not world:
        return None
    return Shortcut(world, state.schedule, _InLoop(state, player, Chain()).is_alone).skip_to


@final
class _InLoop:
    """A task of a loop that is about to wait; `waiting` is the frame that would be suspended."""

    __slots__ = ("_chain", "_state", "_waiting")

    def __init__(self, state: LoopState, waiting: FrameType, chain: Chain) -> None:
        self._state = state
        self._waiting = waiting
        self._chain = chain

    def is_alone(self, instant: Nanoseconds) -> bool:
        """Return whether a wait until `instant` would run nothing else in the loop. Then the clock is about to move."""
        state = self._state
        if not state.idle_until(instant):
            return False
        task: Any = current_task(state.loop)  # the loop is given, since `current_task` would have to search for it
        # A task that was cancelled must meet a suspension, where asyncio raises.
        if getattr(task, "_must_cancel", True) or not self._chain.reaches_loop(self._waiting, task.get_coro(), _RUN):
            return False
        state.awake = instant  # the loop has nothing else to do: nobody holds it
        return True


def _state_in(world: WorldState, loop: Any) -> LoopState:
    if hasattr(loop, "_scheduled"):
        if not world.ended and join_world(world, loop):
            return enter_world(loop, world)
        state = state_of(loop)
        if state is not None and state.world is world:  # the world has ended, and what is left of the wait is real
            return state
    raise unsupported_loops.error(world, loop)

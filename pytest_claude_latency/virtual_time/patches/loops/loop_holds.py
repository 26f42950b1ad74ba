"""How long the program held an event loop: the time from one turn of its selector to the next.

In virtual time computing takes none, so whatever passes between two turns is a wait that blocked the loop's thread,
exact to the nanosecond. In a run that calls the API it is the loop's lag: what came in that time may have come earlier.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

from pytest_claude_latency.duration import SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.scheduling.holds import LEAST, LEAST_LAG, Due
from pytest_claude_latency.virtual_time.watch import source_location

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

_NUMBERED = re.compile(r"Task-\d+")  # asyncio counts the tasks of the process
_AWAKE = "_claude_latency_awake"  # when the loop last came back from its selector, in a world of real time


class State(Protocol):
    """What is known of a loop in a world of virtual time: `asyncio_loops.LoopState`, whose module is on top of this."""

    world: WorldState
    origin: Nanoseconds
    awake: Nanoseconds


def goes_on(loop: Any, world: WorldState, state: State | None) -> None:
    """Note that the loop comes back from its selector and runs what is ready."""
    if world.schedule is None:
        loop.__dict__[_AWAKE] = world.clock.now()
    elif state is not None and state.world is world:
        state.awake = world.clock.now()


def look(loop: Any, world: WorldState, state: State | None) -> None:
    """Note if the program held the loop since it came back from its selector; it is about to ask that again."""
    now = world.clock.now()
    if world.schedule is None:
        awake = loop.__dict__.get(_AWAKE, now)
        if now - awake >= LEAST_LAG:
            world.holds.note_loop(awake, now)
    elif state is not None and state.world is world and now - state.awake >= LEAST:
        world.holds.note_loop(state.awake, now, _due(loop, state, now))


def _due(loop: Any, state: State, now: Nanoseconds) -> tuple[Due, ...]:
    """Return the timers of the loop, and the tasks that wait for one, that were due by now; the earliest first.

    Tasks that wait for a replayed answer are left out: the answer itself says that it was late.
    """
    # None of them has run yet: the loop moves what is due to its queue only after it has asked the selector.
    named, waiting = [], []
    for timer in loop._scheduled:
        instant = round(timer._when * SECOND) - state.origin
        if instant > now or timer.cancelled():
            continue
        future = next((argument for argument in timer._args or () if hasattr(argument, "add_done_callback")), None)
        if future is None:
            callback = timer._callback
            owner = getattr(getattr(callback, "__self__", None), "_task", None)  # of `asyncio.timeout`
            what = _task(owner) if owner is not None else getattr(callback, "__qualname__", repr(callback))
            named.append(Due(f"the timer of {what}", instant))
        else:
            waiting.append((instant, future))
    if waiting:
        from asyncio import all_tasks  # a loop runs, so it is imported already

        # A task that waits keeps the future that it waits for.
        tasks = {id(getattr(task, "_fut_waiter", None)): task for task in all_tasks(loop)}
        named += [Due(_task(tasks[id(future)]), instant) for instant, future in waiting if id(future) in tasks]
    return tuple(sorted(named, key=lambda due: (due.instant, due.name)))


def _task(task: Any) -> str:
    """Return the task's own name, else its coroutine's: the number in asyncio's names is another in each run."""
    coroutine = task.get_coro()
    name = task.get_name()
    if _NUMBERED.fullmatch(name):
        name = f"the task {getattr(coroutine, '__qualname__', type(coroutine).__name__)}"
    stack = task.get_stack(limit=1)
    is_program = bool(stack) and source_location.is_program(stack[0])
    return f"{name} at {source_location.of_frame(stack[0])}" if is_program else str(name)

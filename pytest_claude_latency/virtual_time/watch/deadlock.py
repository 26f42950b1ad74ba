"""What happens when nothing can wake a world any more: the message, and how each thread gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_claude_latency.virtual_time.scheduling.errors import Deadlock
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS
from pytest_claude_latency.virtual_time.watch import main_thread_signal, source_location
from pytest_claude_latency.virtual_time.watch.real_waits import thread_name

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

VERDICT = "deadlock: every thread and task is waiting, and no timer can wake one"
BLOCKED = "blocked, by a lock or in C code"


def fail(world: WorldState) -> None:
    """Raise `Deadlock` in every thread of the world that waits. The caller must hold LOCK."""
    schedule = world.schedule
    assert schedule is not None
    world.deadlock = describe(world)
    # First, while the main thread is still where it waits. If one of our waits were ended first, the main thread would
    # look as if it were blocked outside our waits, and the signal would raise in it a second time.
    main_thread_signal.interrupt()
    for wait in tuple(schedule.parked):
        wait.failure = Deadlock(world.deadlock)
        schedule.unpark(wait)


def describe(world: WorldState) -> str:
    """Return the message: a line for each thread of the world, and one for each task of its loops."""
    lines = [VERDICT]
    for member in [member for member in MEMBERS.values() if member.world is world]:
        wait, ident = member.wait, member.ident
        what = BLOCKED if wait is None else wait.what or source_location.call_of_thread(ident)
        lines.append(_row(thread_name(ident), what, source_location.of_thread(ident)))
        lines += [] if wait is None else ["  " + _row(*detail) for detail in wait.details()]
    return "\n".join(lines)


def _row(who: str, what: str, where: str) -> str:
    return f"  {who:<24} {what:<36} {where}".rstrip()

"""Standing still: what a thread does from parking until its turn has come again.

Parking and standing are two steps. A thread parks under LOCK, which may already let the clock move. Then it stands
without LOCK, since whoever ends its wait needs the lock for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_claude_latency.virtual_time.scheduling.lock import LOCK

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.scheduler import Schedule
    from pytest_claude_latency.virtual_time.scheduling.wait import Wait


def stand(schedule: Schedule, wait: Wait) -> None:
    """Stand still in a parked wait until the thread's turn has come.

    Raises:
        BaseException: the wait's `failure`, or what a signal handler raised.
    """
    try:
        wait.block()
        while wait.interruptions:
            interruptions, wait.interruptions = wait.interruptions, ()
            for interruption in interruptions:
                interruption()
            if _resume(schedule, wait):
                wait.block()
    except BaseException:
        # A signal handler raised. The thread runs, so it must be counted, and must keep no place in the queue.
        with LOCK:
            schedule.unpark(wait)
            schedule.turns.drop(wait)
        raise
    if wait.holds and wait.parked_at is not None and wait.member is not None:
        wait.member.holds.note_wait(wait.parked_at, schedule.clock.now(), wait.what)
    if wait.failure is not None:
        raise wait.failure


def _resume(schedule: Schedule, wait: Wait) -> bool:
    """Park again in an interrupted wait; return False if it has ended meanwhile."""
    member = wait.member
    with LOCK:
        if not wait.interrupted or member is None or member.schedule is not schedule:
            return False
        wait.interrupted = wait.over = False
        wait.rearm()
        schedule.park(wait, member)
        return True

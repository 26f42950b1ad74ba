"""Members that are blocked for real, outside every wait we know: in C code, on a plain lock, in a read.

Counted as running they would stop the world; so they are excused, and looked at
again before every move of the clock.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.scheduling import real_clock
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import MEMBERS, OURS, adoptable, is_background, is_worker
from pytest_claude_latency.virtual_time.watch import open_files, thread_state
from pytest_claude_latency.virtual_time.watch.thread_state import Sight, Waiting

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.scheduler import Schedule, Wait

_MOMENT = 0.0005  # seconds: enough for a thread that only waits for the interpreter to move


def least_age(waiting: Waiting) -> Nanoseconds:
    """How long a wait must have lasted to be believed."""
    if waiting is Waiting.LIMITED:  # a thread in want of the interpreter looks so too, but moves at each interval
        return max(20 * MILLISECOND, round(4 * sys.getswitchinterval() * SECOND))
    return 50 * MILLISECOND if waiting is Waiting.UNKNOWN else 0  # a frame does not move during a long call either


def at_work(wait: Wait) -> bool:
    """Whether a parked wait could be ended by a file of the outside."""
    return any(open_files.use(file) is open_files.Use.OUTSIDE for file in wait.files())


def by_work(schedule: Schedule) -> bool:
    """Whether anybody in a world where nobody runs waits for something real that will take its time."""
    uses = {open_files.use(file) for wait in schedule.watched for file in wait.files()}
    blockers = schedule.excused.values()
    if open_files.Use.OUTSIDE in uses or any(blocker.takes_time for blocker in blockers):
        return True
    # What is neither idle nor takes time waits for a socket whose other end is in this process.
    peers = open_files.Use.INSIDE in uses or not all(blocker.idle for blocker in blockers)
    return (peers and outsiders_work()) or _somebody_comes(schedule)


def _somebody_comes(schedule: Schedule) -> bool:
    """Whether an outsider that a member called may be on its way; forget those that are not."""
    for condition, idents in tuple(schedule.missed_notifications.items()):
        waiting = {ident: thread_state.look(ident) for ident in idents if adoptable(ident)}
        real_clock.sleep(_MOMENT)
        if any(not sight.blocked or thread_state.look(ident) != sight for ident, sight in waiting.items()):
            return True
        schedule.missed_notifications.pop(condition, None)
    return False


def outsiders_work() -> bool:
    """Whether a thread of this process that is no member is doing something."""
    before = outsiders()
    if TRACKED_LOCK.waiting or any(sight.waiting() in {Waiting.NOTHING, Waiting.WORK} for sight in before):
        return True
    real_clock.sleep(_MOMENT)
    return bool(TRACKED_LOCK.waiting) or outsiders() != before


def outsiders_stir() -> bool:
    """Whether one of them runs, or would if it got its turn: it may hold the lock that a member waits for."""
    before = outsiders()
    if TRACKED_LOCK.waiting or not all(sight.blocked for sight in before):
        return True
    real_clock.sleep(_MOMENT)
    return outsiders() != before


def outsiders_rest() -> bool:
    """Whether each of them waits for something that may never come."""
    threads = tuple(threading._active.values())  # type: ignore[attr-defined] # by identifier
    programs = {thread.native_id for thread in threads if not is_worker(thread)}
    return bool(thread_state.tasks()) and all(_rests(sight, sight.native_id in programs) for sight in outsiders())


def _rests(sight: Sight, of_program: bool) -> bool:
    waiting = sight.waiting()
    if waiting is Waiting.LIMITED:
        return not of_program  # an idle worker, or a thread of some library in C: it notifies nobody here
    return waiting in {Waiting.IDLE, Waiting.PEER}


def outsiders() -> list[Sight]:
    """A look at each thread of the process that is no member, works for no library, and is not asking."""
    threads = tuple(threading._active.values())  # type: ignore[attr-defined] # by identifier
    known = {thread.native_id for thread in threads if thread.ident in MEMBERS or is_background(thread)}
    known |= {threading.get_native_id(), *OURS}
    looks = [thread_state.look_at_task(task) for task in thread_state.tasks() if task not in known]
    return [sight for sight in looks if sight is not None]

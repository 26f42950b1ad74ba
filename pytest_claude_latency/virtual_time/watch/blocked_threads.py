"""What the threads of a world that are blocked for real, and its outsiders, are doing.

A member can be blocked outside every wait we know: in C code, on a plain lock, in
a read. Counted as running it would stop the world for ever. So the watchdog marks
it as blocked, and it is looked at again before every move of the clock.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pytest_claude_latency.virtual_time.scheduling import real_clock
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import OURS, adoptable, is_background, is_worker
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS
from pytest_claude_latency.virtual_time.watch import children, open_files, thread_state
from pytest_claude_latency.virtual_time.watch.bystanders import MOMENT
from pytest_claude_latency.virtual_time.watch.thread_state import ThreadState, Waiting

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.real_work import RealWork
    from pytest_claude_latency.virtual_time.scheduling.wait import Wait


def waits_for_outside(wait: Wait) -> bool:
    """Return whether something outside this process could end a parked wait, by way of a file."""
    return any(open_files.use(file) is open_files.Use.OUTSIDE for file in wait.files())


def real_work_goes_on(real_work: RealWork) -> bool:
    """Return whether somebody, in a world where nobody runs, waits for something real that takes its time.

    Forgets missed notifications for which nobody will come.
    """
    if any(children.runs(child) for seen in real_work.pollers.values() for child in seen):
        return True  # a member looks for it again and again
    uses = {open_files.use(file) for wait in real_work.watched for file in wait.files()}
    blockers = real_work.blocked.values()
    if open_files.Use.OUTSIDE in uses or any(blocker.takes_time for blocker in blockers):
        return True
    # What neither takes time nor is idle waits for a socket whose other end is in this process.
    on_a_peer = open_files.Use.INSIDE in uses or not all(blocker.idle for blocker in blockers)
    if on_a_peer and outsiders_work():
        return True
    for condition, idents in tuple(real_work.missed_notifications.items()):
        states = {ident: thread_state.look(ident) for ident in idents if adoptable(ident)}
        real_clock.sleep(MOMENT)
        if any(not state.blocked or thread_state.look(ident) != state for ident, state in states.items()):
            return True  # an outsider that is awake may be on its way to the condition
        real_work.remove_missed_notification(condition)
    return False


def outsiders_work() -> bool:
    """Return whether a thread of this process that is no member is doing something."""
    states = outsiders()
    # A thread that waits for our own lock looks idle from outside, so the lock lists those that wait for it.
    if TRACKED_LOCK.waiting or any(state.waiting() in {Waiting.NOTHING, Waiting.WORK} for state in states):
        return True
    # A thread between two steps may look blocked. If it is on its way, it has moved a moment later.
    real_clock.sleep(MOMENT)
    return bool(TRACKED_LOCK.waiting) or outsiders() != states


def outsiders_stir() -> bool:
    """Return whether an outsider runs, or would if it got the interpreter.

    It may hold the lock that a member waits for.
    """
    states = outsiders()
    if TRACKED_LOCK.waiting or not all(state.blocked for state in states):
        return True
    real_clock.sleep(MOMENT)
    return outsiders() != states


def outsiders_rest() -> bool:
    """Return whether each outsider waits for something that may never come; False where threads cannot be listed."""
    threads = tuple(threading._active.values())  # type: ignore[attr-defined] # by identifier
    # What a library that patches threads puts among them need not have all that a thread has.
    programs = {getattr(thread, "native_id", None) for thread in threads if not is_worker(thread)}
    for state in outsiders(dormant=True):
        waiting = state.waiting()
        # A lock with a limit: an idle worker, or a thread of some library in C, notifies nobody when the limit passes;
        # a thread of the program may.
        if waiting is Waiting.LIMITED and state.native_id not in programs:
            continue
        if waiting not in {Waiting.IDLE, Waiting.PEER}:
            return False
    return bool(thread_state.native_ids())


def outsiders(*, dormant: bool = False) -> list[ThreadState]:
    """Look at each thread of the process that is no member, works for no library, does not rest and is not the caller.

    `dormant` includes those that have slept since before the world began.
    """
    threads = tuple(threading._active.values())  # type: ignore[attr-defined] # by identifier
    known = {ident for ident, member in tuple(MEMBERS.items()) if not member.world.ended} | OUTSIDERS.resting
    if not dormant:
        known |= OUTSIDERS.dormant
    ours = [thread for thread in threads if thread.ident in known or is_background(thread)]
    excluded = {getattr(thread, "native_id", None) for thread in ours}
    excluded |= {threading.get_native_id(), *OURS}
    states = [thread_state.look_at_native(ident) for ident in thread_state.native_ids() if ident not in excluded]
    return [state for state in states if state is not None]

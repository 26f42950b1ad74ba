"""Members: threads that live in a world, and how a thread becomes one and an outsider again."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, final

from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident
from pytest_claude_latency.virtual_time.scheduling.standing import stand
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS, Member, scheduled
from pytest_claude_latency.virtual_time.scheduling.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Thread

    from pytest_claude_latency.virtual_time.scheduling.wait import Wait
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState


# What a thread that nobody woke is borrowed through: it leaves at the next condition where it waits without a limit.
ANYTHING = object()

# State of the process, as the table of members is.
NATIVE_IDS: dict[int, int] = {}  # the kernel's identifiers of members that `threading` does not list
OURS: set[int] = set()  # the kernel's identifiers of threads that no table of Python's lists: our own, and pytest's

_BACKGROUND = "_claude_latency_background"
_TOOL = "_claude_latency_tool"
_WORKER = "_claude_latency_worker"


@contextmanager
def as_ours() -> Iterator[None]:
    """Count the calling thread among our own."""
    native_id = threading.get_native_id()
    OURS.add(native_id)
    try:
        yield
    finally:
        OURS.discard(native_id)


def mark_background(thread: Thread) -> None:
    """Mark a thread that works beside the program, for a library or for pytest: it is never a member."""
    thread.__dict__[_BACKGROUND] = True
    OUTSIDERS.changed()


def mark_tool(thread: Thread) -> None:
    """Mark a background thread that works for a test tool: nothing it does can end a wait of the program."""
    thread.__dict__[_BACKGROUND] = thread.__dict__[_TOOL] = True
    OUTSIDERS.changed()


def is_background(thread: Thread | None) -> bool:
    """Return whether the thread was marked as a background thread."""
    return thread is not None and _BACKGROUND in thread.__dict__


def thread_is_background(ident: int) -> bool:
    """Return whether the thread with this identifier was marked as a background thread."""
    return is_background(threading._active.get(ident))  # type: ignore[attr-defined] # threads by identifier


def mark_worker(thread: Thread) -> None:
    """Mark a thread of a pool or cache: if it waits on a lock, for however long, it is idle."""
    thread.__dict__[_WORKER] = True
    OUTSIDERS.changed()


def is_worker(thread: Thread | None) -> bool:
    """Return whether the thread was marked as a worker."""
    return thread is not None and _WORKER in thread.__dict__


class Bystanders(NamedTuple):
    """The threads that are no members of an active world but may do something for one.

    These are threads of libraries, threads that are older than the world, and those that such threads started. Idle
    workers are left out, since pools and caches know whom they give a job. So are the threads of test tools, and those
    that rest. `asleep` are those that nobody can hand anything before they wake up by themselves, `dormant` those of
    them that have slept since before the world began; `awake` are all others, whatever they do.
    """

    awake: list[int]
    asleep: list[int]
    dormant: list[int]


@final
class _Roll:
    """The bystanders as they were listed last, and what tells whether the list still holds."""

    # With a thousand idle threads it costs more to list them than to replay a chunk.
    version = threads = -1
    listed = Bystanders([], [], [])


def bystanders() -> Bystanders:
    """Return the bystanders. Caller must hold LOCK."""
    threads: dict[int, Thread] = threading._active  # type: ignore[attr-defined] # threads by identifier
    version = OUTSIDERS.version
    if _Roll.version == version and _Roll.threads == len(threads):
        return _Roll.listed
    listed = Bystanders([], [], [])
    table = threads.copy()
    # The sets first: what is left are a few, most often.
    for ident in table.keys() - OUTSIDERS.resting:
        member, marks = MEMBERS.get(ident), table[ident].__dict__
        if (member is not None and not member.world.ended) or _TOOL in marks:
            continue
        if _WORKER in marks and ident not in OUTSIDERS.busy_workers:
            continue
        if ident not in OUTSIDERS.sleeping:
            listed.awake.append(ident)
        elif ident in OUTSIDERS.dormant:
            listed.dormant.append(ident)
        else:
            listed.asleep.append(ident)
    listed.awake.extend(OUTSIDERS.joined - table.keys())  # in their last steps, which cannot be seen
    _Roll.version, _Roll.threads, _Roll.listed = version, len(table), listed
    return listed


def served() -> WorldState | None:
    """Return the active world for which the calling thread does something; None if there is none.

    It is that of a member, or the one whose member has woken the thread of a library. What such a thread hands on, as
    those do with which a pool manages its workers, comes from that member.
    """
    ident = get_ident()
    member, service = MEMBERS.get(ident), OUTSIDERS.serving.get(ident)
    world = member.world if member is not None else None if service is None else service.world
    return None if world is None or world.ended else world


def adoptable(ident: int) -> bool:
    """Return whether a member that wakes this thread makes it work for the member's world; not background threads."""
    # A member of an ended world may be borrowed again: a thread that an earlier test started can serve this test too.
    member = MEMBERS.get(ident)
    thread = threading._active.get(ident)  # type: ignore[attr-defined] # threads by identifier
    return (member is None or member.world.ended) and not is_background(thread)


def admit(world: WorldState, ident: int, *, borrowed_through: object = None, counted: bool = False) -> Member:
    """Make a running thread a member; `counted` says that it is counted already. Caller must hold LOCK."""
    member = MEMBERS[ident] = Member(world, ident, borrowed_through)
    OUTSIDERS.wake(ident)
    if not counted and member.schedule is not None:
        member.schedule.join()
    return member


def dismiss(ident: int) -> None:
    """Make a running thread an outsider again. Caller must hold LOCK."""
    member = MEMBERS.pop(ident, None)
    OUTSIDERS.serving.pop(ident, None)
    OUTSIDERS.changed()
    if member is not None and member.schedule is not None:
        member.schedule.leave(member)


def arrive(world: WorldState, reservation: Wait) -> None:
    """Make the calling thread the member that the reservation counted, and wait for its turn."""
    # In one step under the lock: nobody may withdraw the reservation between the look at it and the arrival.
    with TRACKED_LOCK:
        member = admit(world, get_ident(), counted=True)
        schedule = member.schedule
        wait = None if schedule is None else schedule.arrive(reservation, member)
    if schedule is not None and wait is not None:
        stand(schedule, wait)


def line_up() -> None:
    """Let the calling thread, if it is a member that runs without a turn, wait for one."""
    _wait_for_turn(Turns.line_up)


def offer_turn() -> None:
    """Let the calling thread, if it is a member, wait until all that are ready to go on have had a turn."""
    _wait_for_turn(Turns.offer)


def _wait_for_turn(choose: Callable[[Turns, Member], Wait | None]) -> None:
    member = scheduled()
    if member is None:
        return
    with TRACKED_LOCK:
        schedule = member.schedule  # looked up again under the lock: the world may have ended meanwhile
        wait = None if schedule is None else choose(schedule.turns, member)
    if schedule is not None and wait is not None:
        stand(schedule, wait)

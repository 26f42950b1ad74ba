"""Members: which thread lives in which world.

The table is keyed by thread identifier and belongs to the process, since any
code may start threads, and threads outlive the tests that made them. A thread
that is not in it is an outsider: it sees the machine's time.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, final

from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident

if TYPE_CHECKING:
    from threading import Thread

    from pytest_claude_latency.virtual_time.scheduling.scheduler import Schedule, Wait
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState


@final
class Member:
    """A thread (or a pool thread, for one job) that lives in `world`.

    `wait` is what it is parked in. `borrowed_through` is the condition or the loop in which a member found an
    outsider that it woke: such a thread belongs to the world until it waits there again. While `really` is
    true its waits are the machine's although it counts as running. A `visiting` thread, which had a life of
    its own before, is an outsider again as soon as the world ends.
    """

    __slots__ = ("borrowed_through", "ident", "really", "visiting", "wait", "world")

    def __init__(self, world: WorldState, ident: int, borrowed_through: object = None) -> None:
        self.world = world
        self.ident = ident
        self.borrowed_through = borrowed_through
        self.wait: Wait | None = None
        self.really = False
        self.visiting = False

    @property
    def schedule(self) -> Schedule | None:
        """The schedule that counts this thread; None in a world of real time, or one that has ended."""
        return None if self.world.ended else self.world.schedule


ANYTHING = object()  # what lends a thread that nobody woke: it leaves at the next condition it waits on without limit

MEMBERS: dict[int, Member] = {}
OURS: set[int] = set()  # native identifiers of this package's own threads, which no table of Python's lists

_BACKGROUND = "_claude_latency_background"
_WORKER = "_claude_latency_worker"


def mark_background(thread: Thread) -> None:
    """Remember that the thread works beside the program, for a library or for pytest: it is never a member."""
    thread.__dict__[_BACKGROUND] = True


def is_background(thread: Thread | None) -> bool:
    """Whether the thread was so marked."""
    return thread is not None and _BACKGROUND in thread.__dict__


def mark_worker(thread: Thread) -> None:
    """Remember that the thread belongs to a pool or cache: if it waits on a lock, for however long, it is idle."""
    thread.__dict__[_WORKER] = True


def is_worker(thread: Thread | None) -> bool:
    """Whether the thread was so marked."""
    return thread is not None and _WORKER in thread.__dict__


def current() -> WorldState | None:
    """The world the calling thread works for, active or ended; None for an outsider."""
    member = MEMBERS.get(get_ident())
    return None if member is None else member.world


def scheduled() -> Member | None:
    """The calling thread as a member whose waits are virtual; None if they are the machine's."""
    member = MEMBERS.get(get_ident())
    return None if member is None or member.really or member.schedule is None else member


def adoptable(ident: int) -> bool:
    """Whether a member that wakes this thread makes it work for the member's world: outsiders, but no library's.

    A thread that an earlier test started may serve this one too.
    """
    member = MEMBERS.get(ident)
    thread = threading._active.get(ident)  # type: ignore[attr-defined] # threads by identifier
    return (member is None or member.world.ended) and not is_background(thread)


def admit(world: WorldState, ident: int, *, borrowed_through: object = None, counted: bool = False) -> Member:
    """Make a running thread a member; `counted` if it is in the count already. Wants the lock."""
    member = MEMBERS[ident] = Member(world, ident, borrowed_through)
    if not counted and member.schedule is not None:
        member.schedule.running += 1
    return member


def arrive(world: WorldState, reservation: Wait) -> None:
    """The calling thread is the one that was promised: a member from now on, that goes on when its turn comes."""
    with TRACKED_LOCK:
        member = admit(world, get_ident(), counted=True)
        schedule = member.schedule
        wait = None if schedule is None else schedule.arrive(reservation, member)
    if schedule is not None and wait is not None:
        schedule.stand(wait)


def line_up() -> None:
    """The calling thread, if it is a member that runs out of turn, goes on when its turn comes."""
    member = scheduled()
    if member is None:
        return
    with TRACKED_LOCK:
        schedule = member.schedule
        wait = None if schedule is None else schedule.line_up(member)
    if schedule is not None and wait is not None:
        schedule.stand(wait)


def offer_turn() -> None:
    """The calling thread, if it is a member, lets those go first that are ready to go on."""
    member = scheduled()
    if member is None:
        return
    with TRACKED_LOCK:
        schedule = member.schedule
        wait = None if schedule is None else schedule.offer_turn(member)
    if schedule is not None and wait is not None:
        schedule.stand(wait)


def dismiss(ident: int) -> None:
    """Let a running thread be an outsider again. Wants the lock."""
    member = MEMBERS.pop(ident, None)
    if member is not None and member.schedule is not None:
        member.schedule.leave(member)

"""The table of members: which thread lives in which world.

It is keyed by thread identifier and belongs to the process: any code may start threads, and threads outlive the tests
that made them. A thread that is not in it is an outsider: it sees the machine's time.

What stands in the place of the machine's functions from the start of a run asks here, so this module imports next to
nothing. How a thread gets into the table, and out of it, is in `members`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.holds import Holds
    from pytest_claude_latency.virtual_time.scheduling.scheduler import Schedule
    from pytest_claude_latency.virtual_time.scheduling.wait import Wait
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState


@final
class Member:
    """A thread (or a thread of a pool, for one job) that lives in `world`.

    `wait` is what it is parked in, or stands in until its turn comes; None while it goes on. `borrowed_through` is the
    condition or the loop in which another member found an outsider that it woke: the outsider belongs to the world
    until it waits there again. While `really` is true, its waits are the machine's although it counts as running. A
    `visiting` thread, which had a life of its own before, is an outsider again as soon as the world ends. `in_vain` is
    how many of its waits for files, one after the other, have brought nothing.
    """

    __slots__ = ("borrowed_through", "ident", "in_vain", "really", "visiting", "wait", "world")

    def __init__(self, world: WorldState, ident: int, borrowed_through: object = None) -> None:
        self.world = world
        self.ident = ident
        self.borrowed_through = borrowed_through
        self.wait: Wait | None = None
        self.really = False
        self.visiting = False
        self.in_vain = 0

    @property
    def schedule(self) -> Schedule | None:
        """The schedule that counts this thread; None in a world of real time, or one that has ended."""
        return None if self.world.ended else self.world.schedule

    @property
    def holds(self) -> Holds:
        """Where it is noted that the program held this thread."""
        return self.world.holds


# State of the process, as `threading`'s own table of threads is. A thread finds its world by its identifier alone:
# context variables are not handed on to new threads, and thread locals cannot be set from outside.
MEMBERS: dict[int, Member] = {}


def current() -> WorldState | None:
    """Return the world the calling thread works for, active or ended; None for an outsider."""
    member = MEMBERS.get(get_ident())
    return None if member is None else member.world


def scheduled() -> Member | None:
    """Return the calling thread as a member whose waits are virtual; None if they are the machine's."""
    member = MEMBERS.get(get_ident())
    return None if member is None or member.really or member.schedule is None else member


def spin() -> None:
    """Count an attempt that a member makes without a wait: if it repeats it for ever, time must pass."""
    member = scheduled()
    if member is not None and member.world.readings is not None:
        member.world.readings.spin()

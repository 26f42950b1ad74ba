"""Members: which thread lives in which world.

The table is keyed by thread identifier and belongs to the process, since any
code may start threads, and threads outlive the tests that made them. A thread
that is not in it is an outsider: it sees the machine's time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pytest_claude_latency.virtual_time.machine import get_ident

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.schedule import Wait
    from pytest_claude_latency.virtual_time.world import World


@final
class Member:
    """A thread (or a pool thread, for one job) that lives in `world`; `wait` is what it is parked in."""

    __slots__ = ("ident", "wait", "world")

    def __init__(self, world: World, ident: int) -> None:
        self.world = world
        self.ident = ident
        self.wait: Wait | None = None


MEMBERS: dict[int, Member] = {}


def current() -> World | None:
    """The world the calling thread works for, active or ended; None for an outsider."""
    member = MEMBERS.get(get_ident())
    return None if member is None else member.world

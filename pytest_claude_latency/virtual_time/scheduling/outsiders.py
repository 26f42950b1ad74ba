"""Outsiders: what is known of the threads that live in no world, without a look at them.

Before each move of the clock somebody asks who could still do something for a
member. To look at a thread from outside costs more than to replay a chunk, and a
process may have a thousand threads that wait all day. Most of them wait in a
function that this package has patched: who wakes them there, says so here. Only
the others have to be looked at.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, NamedTuple, final

from pytest_claude_latency.virtual_time.scheduling.real_clock import monotonic_ns

if TYPE_CHECKING:
    from pytest_claude_latency.duration import Nanoseconds
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState


class Service(NamedTuple):
    """What a thread of a library waited in when a member woke it, when that was, and the member's world."""

    source: object
    woken: Nanoseconds  # in the machine's time
    world: WorldState


@final
class Outsiders:
    """Which threads rest where this package would know if they were woken, by Python's identifiers.

    Each of these sets may be read without LOCK. Whoever wakes a thread says so before the thread can run.
    """

    def __init__(self) -> None:
        # They wait without a limit on a condition or a queue, and nobody has notified them yet. A member that becomes
        # an outsider there has nothing more to do although it still runs for a moment.
        self.resting: set[int] = set()
        # They sleep, or wait there with a limit. Nobody hands them anything by waking them, but they may do something
        # when they wake up by themselves.
        self.sleeping: set[int] = set()
        # Those of `sleeping` that have slept since before the active world began.
        self.dormant: set[int] = set()
        # Workers of pools and caches that are doing a job of an outsider. An idle worker can do nothing for a member.
        self.busy_workers: set[int] = set()
        # Threads of libraries that a member has woken: they do something that a member may wait for, until they wait
        # again where they were.
        self.serving: dict[int, Service] = {}
        # Threads that outsiders are starting, and pools with a job of an outsider and a free worker: somebody is about
        # to run whom no table lists yet, while whoever waits for that may rest.
        self.coming: set[object] = set()
        # Those whose end a member waits for, until they have ended. They leave the table of `threading` just before.
        self.joined: set[int] = set()
        # Changes with each of these sets, and with the table of members: what was derived from them is out of date.
        self.version = 0
        self._versions = count(1)
        # Changes when a member writes into a pipe or socket, or puts something where an outsider may find it. The
        # outsider is awake from then on, but may not have run yet, which nobody could see from outside.
        self.handed_over = 0

    def rest(self, ident: int) -> None:
        """Note that a thread is about to wait without a limit."""
        self.resting.add(ident)
        self.changed()

    def sleep(self, ident: int) -> None:
        """Note that a thread is about to wait with a limit, or to sleep."""
        self.sleeping.add(ident)
        self.changed()

    def wake(self, ident: int) -> None:
        """Note that a thread goes on, or is about to."""
        self.resting.discard(ident)
        self.sleeping.discard(ident)
        self.dormant.discard(ident)
        self.changed()

    def serve(self, ident: int, source: object, world: WorldState) -> None:
        """Note that a member of `world` wakes a thread that never works in its time, where it waits in `source`."""
        self.serving[ident] = Service(source, monotonic_ns(), world)
        self.changed()

    def served(self, ident: int, source: object) -> None:
        """Note that a thread waits in `source`, again perhaps: then it has done what it was woken for."""
        if ident in self.serving and self.serving[ident].source is source:
            del self.serving[ident]

    def expect(self, source: object, *, comes: bool) -> None:
        """Note whether a thread is about to run that `source` starts, or wakes, for an outsider."""
        if comes is (source in self.coming):
            return
        if comes:
            self.coming.add(source)
        else:
            self.coming.discard(source)
        self.changed()

    def join(self, ident: int) -> None:
        """Note that a member waits for the end of a thread."""
        self.joined.add(ident)
        self.changed()

    def begin_world(self) -> None:
        """Note who sleeps, since a world begins. Caller must hold LOCK."""
        self.dormant = set(self.sleeping)
        self.serving.clear()
        self.changed()

    def end_world(self) -> None:
        """Forget what was done for a world that ends: nobody asks for it again. Caller must hold LOCK."""
        self.serving.clear()
        self.changed()

    def changed(self) -> None:
        """Note that a set, or the table of members, has changed."""
        # After the change, and without the lock: who has read the number before the change finds another one after it.
        # No number comes twice, also where two threads do this at once.
        self.version = next(self._versions)

    def hand_over(self) -> None:
        """Note that a member has done something that may wake an outsider."""
        self.handed_over += 1

    def forget_all(self) -> None:
        """Forget every thread, in the child after a fork."""
        for idents in (self.resting, self.sleeping, self.dormant, self.busy_workers, self.joined):
            idents.clear()
        self.coming.clear()
        self.serving.clear()
        self.changed()


# State of the process, as `threading`'s own table of threads is.
OUTSIDERS = Outsiders()

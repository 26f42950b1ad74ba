"""`queue.SimpleQueue` as programs make it: members wait in virtual time for what comes into it.

Everything about its items stays with the type written in C, so it is as safe in signal handlers and finalizers as
before. Only a thread that finds it empty waits next to the queue. An outsider does so too: when a member puts something
in, the outsider works for the member's world until it finds the queue empty again.
"""

from __future__ import annotations

import _queue
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, final

from pytest_claude_latency.virtual_time.patches.blocking.lines import Line, Place, instant_after, seconds_left, spin
from pytest_claude_latency.virtual_time.patches.exempt_callers import EXEMPT, package
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import (
    MEMBERS,
    Member,
    admit,
    adoptable,
    dismiss,
    line_up,
    scheduled,
    served,
)
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident, monotonic

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

# Whose queues stay the machine's. Thread pools have theirs in `concurrent`: an idle worker waits there as an outsider,
# and `thread_pools` counts it.
_OTHERS = (EXEMPT - {"multiprocessing"}) | {"concurrent", __name__.partition(".")[0]}

_put = _queue.SimpleQueue.put
_take = _queue.SimpleQueue.get_nowait


@final
class SimpleQueue(_queue.SimpleQueue[Any]):
    """An unbounded queue, first in, first out."""

    def __new__(cls) -> Any:
        """Make a queue, for thread pools one of the machine's."""
        return _queue.SimpleQueue() if package(sys._getframe(1)) in _OTHERS else super().__new__(cls)

    def __init__(self) -> None:
        self._line = Line()
        self._giver: WorldState | None = None  # the world for which something was put in last

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put the item into the queue; it never blocks, so the other arguments are ignored."""
        world = served()
        if world is not None:
            self._giver = world
        _put(self, item)  # `super()` costs more than the call
        if self._line:
            with TRACKED_LOCK:
                self._wake_first()

    def put_nowait(self, item: Any) -> None:
        """Put the item into the queue."""
        self.put(item)

    def get_nowait(self) -> Any:
        """Take the first item.

        Raises:
            queue.Empty: there is none.
        """
        item, world = _take(self), self._giver
        if world is None or world.ended:
            return item
        # If the calling thread is an outsider, it works for the world that gave it something. It did not wait here when
        # that was put in: it had just begun, or had something else to do.
        ident = get_ident()
        member = MEMBERS.get(ident)
        if world.schedule is not None and (member is None or member.world.ended):
            with TRACKED_LOCK:
                if not world.ended and adoptable(ident):
                    admit(world, ident, borrowed_through=self).visiting = True
                elif not world.ended:
                    OUTSIDERS.serve(ident, self, world)
            line_up()
        return item

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the first item, after a wait if need be.

        Raises:
            queue.Empty: there is none, and none came in time.
        """
        if not self.empty():
            try:
                return self.get_nowait()
            except _queue.Empty:  # another thread was faster
                pass
        member = scheduled() if block else None
        if not block or (timeout is not None and timeout <= 0):
            if not block or timeout == 0:
                spin()
            return super().get(block, timeout)  # also raises for a negative limit
        if member is not None and member.borrowed_through is not self:
            return self._wait(member, timeout)
        if member is not None:  # an outsider that has done what it was given
            with TRACKED_LOCK:
                dismiss(member.ident)
        return self._wait_outside(timeout)

    def _wait(self, member: Member, timeout: float | None) -> Any:
        instant = instant_after(member, timeout)
        while not member.world.ended and (instant is None or member.world.clock.now() < instant):
            try:
                self._line.wait(member, Place(instant, "SimpleQueue.get"), lambda: not self.empty())
            except BaseException:
                with TRACKED_LOCK:
                    if not self.empty():
                        self._wake_first()  # what this thread was woken for goes to the next
                raise
            with suppress(_queue.Empty):  # another thread may have been faster
                return self.get_nowait()
        if member.world.ended:
            return self._wait_outside(seconds_left(member, instant))
        raise _queue.Empty

    def _wait_outside(self, seconds: float | None) -> Any:
        OUTSIDERS.served(get_ident(), self)
        end = None if seconds is None else monotonic() + seconds
        while end is None or (seconds := end - monotonic()) > 0:
            try:
                self._line.wait_outside(Place(None, "SimpleQueue.get"), seconds, lambda: not self.empty())
            except BaseException:
                with TRACKED_LOCK:
                    if not self.empty():
                        self._wake_first()
                raise
            with suppress(_queue.Empty):
                return self.get_nowait()
        raise _queue.Empty

    def _wake_first(self) -> None:
        place = self._line.first()
        if place is not None:
            place.call(self)


def install(module: Any) -> None:
    """Patch the module `queue`. Where its simple queue is written in Python, it waits on a semaphore already."""
    if module.SimpleQueue is _queue.SimpleQueue:
        module.SimpleQueue = SimpleQueue

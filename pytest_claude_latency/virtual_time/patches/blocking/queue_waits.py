"""How members and outsiders wait for what comes into a `SimpleQueue`."""

from __future__ import annotations

import _queue
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from pytest_claude_latency.virtual_time.patches.blocking.lines import Line, Place, instant_after, seconds_left
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import admit, adoptable, dismiss, line_up
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident, monotonic
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS, Member

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState


class Queue(Protocol):
    """A `SimpleQueue`, whose module imports this one only in a wait."""

    line: Line | None

    def empty(self) -> bool:
        """Return whether there is nothing to take."""
        ...

    def get_nowait(self) -> Any:
        """Take the first item; raise if there is none."""
        ...


def wait(queue: Queue, member: Member | None, timeout: float | None) -> Any:
    """Wait for an item, in the time of the member; None for an outsider.

    Raises:
        queue.Empty: none came in time.
    """
    if member is None:
        return _wait_outside(queue, timeout)
    if member.borrowed_through is queue:  # an outsider that has done what it was given
        with TRACKED_LOCK:
            dismiss(member.ident)
        return _wait_outside(queue, timeout)
    instant = instant_after(member, timeout)
    line = _line_of(queue)
    while not member.world.ended and (instant is None or member.world.clock.now() < instant):
        try:
            line.wait(member, Place(instant, "SimpleQueue.get"), lambda: not queue.empty())
        except BaseException:
            _hand_on(queue)
            raise
        with suppress(_queue.Empty):  # another thread may have been faster
            return queue.get_nowait()
    if member.world.ended:
        return _wait_outside(queue, seconds_left(member, instant))
    raise _queue.Empty


def _wait_outside(queue: Queue, seconds: float | None) -> Any:
    OUTSIDERS.served(get_ident(), queue)
    line = _line_of(queue)
    end = None if seconds is None else monotonic() + seconds
    while end is None or (seconds := end - monotonic()) > 0:
        try:
            line.wait_outside(Place(None, "SimpleQueue.get"), seconds, lambda: not queue.empty())
        except BaseException:
            _hand_on(queue)
            raise
        with suppress(_queue.Empty):
            return queue.get_nowait()
    raise _queue.Empty


def _line_of(queue: Queue) -> Line:
    with TRACKED_LOCK:  # one line, whoever comes first
        if queue.line is None:
            queue.line = Line()
        return queue.line


def _hand_on(queue: Queue) -> None:
    """Let the next thread have what the calling one was woken for."""
    with TRACKED_LOCK:
        if not queue.empty():
            _wake_first(queue)


def wake_first(queue: Queue) -> None:
    """Wake the thread that waits first, since something was put in."""
    with TRACKED_LOCK:
        _wake_first(queue)


def _wake_first(queue: Queue) -> None:
    place = None if queue.line is None else queue.line.first()
    if place is not None:
        place.call(queue)


def took(queue: Queue, world: WorldState) -> None:
    """Let the calling thread, if it is an outsider, work for the world that gave it what it has taken."""
    # It did not wait here when that was put in: it had just begun, or had something else to do.
    ident = get_ident()
    member = MEMBERS.get(ident)
    if world.schedule is not None and (member is None or member.world.ended):
        with TRACKED_LOCK:
            if not world.ended and adoptable(ident):
                admit(world, ident, borrowed_through=queue).visiting = True
            elif not world.ended:
                OUTSIDERS.serve(ident, queue, world)
        line_up()

"""Waits of members for files that only this process can make ready: they are virtual, and so are their limits.

The other end of such a pipe or connection is in this process, so whoever makes it ready is a member most often. The
wait is parked, as any other, and its files are looked at before each move of the clock.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, final

from pytest_claude_latency.virtual_time.patches.blocking.lines import instant_after
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.standing import stand
from pytest_claude_latency.virtual_time.scheduling.wait import Wait
from pytest_claude_latency.virtual_time.watch import open_files

if TYPE_CHECKING:
    from selectors import SelectorKey

    from pytest_claude_latency.duration import Nanoseconds
    from pytest_claude_latency.virtual_time.scheduling.table import Member

_MOST_IN_VAIN = 100  # waits of one member, one after the other

Events = Mapping[int, int]  # by descriptor, as `poll` knows them

_poll: Callable[[], Any] | None = getattr(select, "poll", None)  # the machine's, bound before it is patched
READ: int = getattr(select, "POLLIN", 1)
WRITE: int = getattr(select, "POLLOUT", 4)
_URGENT: int = getattr(select, "POLLPRI", 2)


def any_ready(events: Events) -> bool:
    """Return whether one of these files is ready now; False where the system has no `poll` to ask."""
    if _poll is None:
        return False
    poll = _poll()
    for descriptor, mask in events.items():
        poll.register(descriptor, mask)
    return bool(poll.poll(0))


@final
class FileWait(Wait):
    """One wait for files."""

    limits = True

    def __init__(self, instant: Nanoseconds | None, what: str, events: Events) -> None:
        super().__init__(instant, what)
        self._events = events

    def files(self) -> list[int]:
        """Return the descriptors of the files that could end this wait too."""
        return list(self._events)

    def ready(self) -> bool:
        """Return whether one of these files already does."""
        return any_ready(self._events)


def wait(member: Member, what: str, events: Events, seconds: float | None) -> bool:
    """Let the calling member wait for one of these files, for so many virtual seconds; return whether they have passed.

    If not, the caller asks the machine: a file is ready, or might become so from outside, or the member polls. `what`
    names the wait in messages.
    """
    if any_ready(events):
        member.in_vain = 0
        return False
    # A thread that waits in vain all day, a server that looks now and then whether it should stop, must not divide an
    # hour into a million moments. Its further waits are real, and the clock passes them over.
    if member.in_vain >= _MOST_IN_VAIN or any(open_files.use(file) is open_files.Use.OUTSIDE for file in events):
        return False
    instant = instant_after(member, seconds)
    with TRACKED_LOCK:
        schedule, parked = member.schedule, FileWait(instant, what, events)
        if schedule is None or parked.ready():
            return False
        parked.park(member)
    stand(schedule, parked)
    if instant is None or member.world.ended or parked.ready() or member.world.clock.now() < instant:
        member.in_vain = 0
        return False
    member.in_vain += 1
    return True


def selected(reads: Iterable[Any], writes: Iterable[Any], urgent: Iterable[Any], *_: object) -> Events:
    """Return the events that `select.select` waits for with these arguments."""
    events: dict[int, int] = {}
    for mask, files in ((READ, reads), (WRITE, writes), (_URGENT, urgent)):
        for file in files:
            descriptor = file if isinstance(file, int) else file.fileno()
            events[descriptor] = events.get(descriptor, 0) | mask
    return events


def registered(selector: Any, *_: object) -> Events:
    """Return the events that a selector of `selectors` waits for."""
    return events_of(selector.get_map().values())


def events_of(keys: Iterable[SelectorKey]) -> Events:
    """Return the events for which these files are registered with a selector."""
    # 1 and 2 are how `selectors` numbers reading and writing.
    return {key.fd: (READ if key.events & 1 else 0) | (WRITE if key.events & 2 else 0) for key in keys}

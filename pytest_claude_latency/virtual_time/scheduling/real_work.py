"""Real work: why somebody in a world may go on although no timer of the world says so.

A thread can be blocked in C code or on a plain lock, a loop can wait for a file,
an outsider can be on its way to a condition that a member notified. The schedule
knows none of these ends in advance, so before each move of the clock it looks at
them. While real work goes on, virtual time passes no faster than real time: a
time-out of ten seconds beside a subprocess fires after ten real seconds, and not
before the subprocess had its chance to end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, final

from pytest_claude_latency.virtual_time.scheduling.real_clock import monotonic_ns

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_claude_latency.duration import Nanoseconds
    from pytest_claude_latency.virtual_time.scheduling.wait import Runner, Wait


class Blocker(Protocol):
    """What blocks a thread outside our waits, as it was last seen. `watch.thread_state.Blockage` is one."""

    @property
    def state(self) -> object:
        """How the thread was seen. Equal states at different times are one wait."""

    @property
    def idle(self) -> bool:
        """Whether the thread waits for nothing that takes time."""

    @property
    def takes_time(self) -> bool:
        """Whether the thread waits for something that happens outside this process, or may do so."""

    @property
    def ends_by_itself(self) -> bool:
        """Whether the thread is in a call with a time limit."""

    @property
    def polling(self) -> bool:
        """Whether the thread wakes now and then, only to wait in the same call again."""

    def lasts(self) -> bool:
        """Return whether the thread has not moved since it was seen."""


@final
class RealWork:
    """What a schedule knows about real work in its world. Caller of every method must hold LOCK."""

    def __init__(self, goes_on: Callable[[RealWork, Wait], bool], quiet: Callable[[bool], bool]) -> None:
        """`goes_on` tells, while nobody in the world runs, whether real work goes on that the next timer must wait for.

        `quiet` tells whether nobody outside the world could do such work; its argument says whether the timer is a
        limit.
        """
        self._goes_on = goes_on
        self._quiet = quiet
        # The members that are blocked outside our waits. They do not count as running.
        self.blocked: dict[Runner, Blocker] = {}
        # Those whose real limit has passed just now. They change this without LOCK, before they ask for that.
        self.returning: set[Runner] = set()
        # The parked waits that a file could end.
        self.watched: set[Wait] = set()
        # The conditions that a member notified while nobody waited there, each with the outsiders (Python's thread
        # identifiers) that usually wait there. Such an outsider may be on its way back, with work to do.
        self.missed_notifications: dict[object, set[int]] = {}
        # The members that have just seen child processes that still run, with the numbers by which they asked for them.
        # If one sleeps now, it will look again.
        self.pollers: dict[Runner, set[int]] = {}
        self.pending = False  # whether one of these has an entry; a value, since it is asked for each replayed chunk
        # How long nobody has run, in the machine's time, since the clock's move number `_move`: in earlier stretches
        # together, and since when in the present one.
        self._move = 0
        self._stood: Nanoseconds = 0
        self._still_since: Nanoseconds | None = None

    def add_blocked(self, member: Runner, blocker: Blocker) -> None:
        """Note that a member is blocked."""
        self.blocked[member] = blocker
        self._update()

    def look_again(self, member: Runner, blocker: Blocker | None) -> None:
        """Note what a blocked member waits for now: once the child has ended that held a pipe, nobody else fills it."""
        earlier = self.blocked.get(member)
        # In another state it has moved, which is found where it is asked whether it lasts.
        if earlier is not None and blocker is not None and blocker.state == earlier.state:
            self.blocked[member] = blocker

    def remove_blocked(self, member: Runner) -> bool:
        """Note that a member has moved; return whether it was blocked."""
        was_blocked = self.blocked.pop(member, None) is not None
        self._update()
        return was_blocked

    def add_watched(self, wait: Wait) -> None:
        """Watch the files of a parked wait, if it has any."""
        if wait.files():
            self.watched.add(wait)
            self._update()

    def remove_watched(self, wait: Wait) -> None:
        """Watch the files of this wait no more."""
        self.watched.discard(wait)
        self._update()

    def add_missed_notification(self, condition: object, idents: set[int]) -> None:
        """Note that a member notified a condition while these outsiders, who usually wait there, did something else."""
        self.missed_notifications[condition] = idents
        self._update()

    def remove_missed_notification(self, condition: object) -> None:
        """Forget a missed notification, because an outsider has come, or none will."""
        self.missed_notifications.pop(condition, None)
        self._update()

    def add_poller(self, member: Runner, child: int) -> None:
        """Note that a member has seen a child process that still runs."""
        self.pollers.setdefault(member, set()).add(child)
        self._update()

    def remove_poller(self, member: Runner | None) -> None:
        """Forget it: the member has slept since, waits for something else, or has ended."""
        if member is not None and self.pollers.pop(member, None) is not None:
            self._update()

    def moved(self) -> list[Runner]:
        """Return the blocked members that have moved since they were seen."""
        # Over a copy: a garbage collection in here may run a finalizer that notifies somebody, and so change the table.
        # Asked last who is returning: it may have begun to while it was looked at.
        return [
            member
            for member, blocker in tuple(self.blocked.items())
            if not blocker.lasts() and not (blocker.polling and member in self.returning)
        ]

    def ready(self) -> list[Wait]:
        """Return the watched waits that a file ends now."""
        return [wait for wait in tuple(self.watched) if wait.ready()]

    def possible(self, *, limits: bool) -> bool:
        """Return whether there may be somebody who does real work; `limits` says that a limit ends if there is not."""
        return self.pending or not self._quiet(limits)

    def allows(self, wait: Wait, span: Nanoseconds, move: int) -> bool:
        """Return whether the clock may pass `span` now to the end of `wait`, as its move number `move`."""
        if not self._goes_on(self, wait):
            return True
        # The stretches before the last move do not count: they were waited for already.
        if move != self._move:
            self._move, self._stood, self._still_since = move, 0, None
        now = monotonic_ns()
        # From the first question on, not from when everybody stopped: who stops last asks at once.
        self._still_since = self._still_since or now
        return self._stood + now - self._still_since >= span

    def interrupt(self) -> None:
        """Stop counting how long nobody has run: somebody does."""
        if self._still_since is not None:
            self._stood += monotonic_ns() - self._still_since
            self._still_since = None

    def _update(self) -> None:
        self.pending = bool(self.blocked or self.watched or self.missed_notifications or self.pollers)

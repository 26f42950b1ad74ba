"""Turns: in which order threads go on that are due at the same instant.

One thread goes on until it waits again, then the next, in the order in which
they were woken. So two threads that call Claude at one moment do so in the same
order in every run. Turns only give a stable order. Correct times do not depend
on them: the count in `scheduler` already includes a thread that waits for its
turn. The watchdog ends a turn that lasts too long.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, final

from pytest_claude_latency.virtual_time.scheduling.wait import Wait

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.wait import Runner


@final
class Turns:
    """Gives one turn at a time. Caller of every method must hold LOCK."""

    def __init__(self) -> None:
        self.given = 0  # so far; the watchdog sees from it that a new turn has begun
        self._queue: deque[Wait] = deque()
        self._current: Wait | None = None  # what the thread whose turn it is was woken from, or is to come with

    def __bool__(self) -> bool:
        """Whether somebody waits for a turn."""
        return bool(self._queue)

    @property
    def holder(self) -> Runner | None:
        """The thread whose turn it is; None if nobody has one, or if the thread has not come yet."""
        return None if self._current is None else self._current.member

    def enqueue(self, wait: Wait) -> None:
        """Let the thread that stands, or will stand, in this wait go on after all that are queued already."""
        if wait.member is not None:
            wait.member.wait = wait
        self._queue.append(wait)
        self._give()

    def drop(self, wait: Wait) -> None:
        """Remove a wait whose thread does not wait for this turn any more."""
        if wait in self._queue:
            self._queue.remove(wait)
        if wait.member is not None and wait.member.wait is wait:
            wait.member.wait = None

    def end(self, member: Runner) -> None:
        """Give the turn to the next, if it is this member's."""
        # After `skip`, a member that still runs has no turn that it could end.
        if self._current is not None and self._current.member is member:
            self._current = None
        self._give()

    def withdraw(self, wait: Wait) -> None:
        """Remove the reservation of a thread that will not come, with its turn if it has one."""
        self.drop(wait)
        if self._current is wait:
            self.skip()

    def arrive(self, wait: Wait, member: Runner) -> None:
        """Note who has come for a reservation. Unless its turn has come first, the member stands in the wait."""
        wait.member = member
        if self._current is not wait:
            member.wait = wait

    def skip(self) -> None:
        """Give the next a turn although the present one has not ended: from now on two threads run."""
        self._current = None
        self._give()

    def line_up(self, member: Runner) -> Wait | None:
        """Return what a member that runs without a turn must stand in; None if it may go on."""
        if self.holder is member:
            return None
        # A loop's thread that another member borrowed has a reservation, but was woken by its selector before its turn.
        if member.wait is not None and member.wait in self._queue:
            return member.wait  # the place that was reserved for it
        return self._last_place(member)

    def offer(self, member: Runner) -> Wait | None:
        """Return what a member that offers its turn must stand in; None if nobody wants the turn."""
        if not self._queue:
            return None
        self.end(member)
        return self._last_place(member)

    def _last_place(self, member: Runner) -> Wait:
        wait = Wait.of(member)
        wait.over = True  # the member keeps running as far as the clock is concerned
        self.enqueue(wait)
        return wait

    def _give(self) -> None:
        if self._current is None and self._queue:
            wait = self._current = self._queue.popleft()
            self.given += 1
            # Set here and not in the woken thread: the watchdog must see from now on that the thread should run.
            if wait.member is not None:
                wait.member.wait = None
            wait.wake()

"""The schedule of a world: who runs, who waits until when.

One rule: the clock moves only when every member waits, and then to the earliest
wake-up. A thread gives its count back when it parks; whoever wakes it counts it
as running before doing so. All of it happens under one lock, `LOCK`.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, final

from pytest_claude_latency.virtual_time.machine import RLock, allocate_lock

if TYPE_CHECKING:
    from pytest_claude_latency.clock import VirtualClock
    from pytest_claude_latency.duration import Nanoseconds
    from pytest_claude_latency.virtual_time.members import Member

# Re-entrant: a garbage collection inside a guarded step may run a finalizer that notifies somebody.
LOCK = RLock()


class Wait:
    """One wait of one member: until `instant`, or, if that is None, until somebody wakes it."""

    def __init__(self, instant: Nanoseconds | None, what: str) -> None:
        self.member: Member | None = None
        self.instant = instant
        self.what = what
        self.over = False
        self._lock = allocate_lock()
        self._lock.acquire()

    def park(self, member: Member) -> None:
        """Give the member's count back; `World.block` must follow, outside the lock, which this wants."""
        self.member = member
        if member.schedule is not None:
            member.schedule.park(self, member)

    def wake(self) -> None:
        """Let the thread go on; called once, by `Schedule.unpark`."""
        self._lock.release()

    def block(self) -> None:
        """Stand still until woken; a signal handler may raise out of it."""
        self._lock.acquire()


@final
class Schedule:
    """Moves a `VirtualClock` as the members of one world run and wait. Every method wants `LOCK` held."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.running = 0
        self.credit = 0  # jobs that a free worker of a pool is about to take
        self.moves = 0
        self.parked: set[Wait] = set()
        self._wake_ups: list[tuple[Nanoseconds, int, Wait]] = []
        self._order = count()

    def free_until(self, instant: Nanoseconds) -> bool:
        """Whether nobody but the one running thread can do anything before or at `instant`."""
        return self.running == 1 and not self.credit and (not self._wake_ups or self._wake_ups[0][0] > instant)

    def park(self, wait: Wait, member: Member) -> None:
        """Count the member as waiting, which may let the clock move, even to this very wait."""
        member.wait = wait
        self.parked.add(wait)
        if wait.instant is not None:
            heappush(self._wake_ups, (wait.instant, next(self._order), wait))
        self.running -= 1
        self.advance()

    def unpark(self, wait: Wait) -> None:
        """Count the thread as running, then let it run. Nothing happens to a wait that is over."""
        if wait.over:
            return
        wait.over = True
        if wait.member is not None:
            wait.member.wait = None
        self.parked.discard(wait)
        self.running += 1
        wait.wake()

    def advance(self) -> None:
        """If nobody runs, move the clock to the earliest wake-up and wake it.

        One thread at a time, also where several are due at one instant: what they do then has an order.
        """
        if self.running > 0 or self.credit > 0:
            return
        wait = self._earliest()
        if wait is not None and wait.instant is not None:
            self.move_to(wait.instant)
            self.unpark(wait)

    def move_to(self, instant: Nanoseconds) -> None:
        """Let the clock read `instant`, because somebody waited until then."""
        if instant > self.clock.now():
            self.moves += 1
            self.clock.advance_to(instant)

    def creep(self, span: Nanoseconds) -> None:
        """Move the clock by `span` although a thread runs, or only to the next wake-up, if that comes first."""
        target = self.clock.now() + span
        wait = self._earliest()
        if wait is None or wait.instant is None or wait.instant > target:
            self.clock.advance_to(target)
        else:
            self.clock.advance_to(max(wait.instant, self.clock.now()))
            self.unpark(wait)

    def release_all(self) -> None:
        """Wake every parked thread where it stands; the clock keeps its instant."""
        for wait in tuple(self.parked):
            self.unpark(wait)

    def _earliest(self) -> Wait | None:
        while self._wake_ups and self._wake_ups[0][2].over:
            heappop(self._wake_ups)
        return self._wake_ups[0][2] if self._wake_ups else None

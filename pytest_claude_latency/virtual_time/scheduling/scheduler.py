"""The schedule of a world: who runs, who waits until when, and when the clock moves.

One rule: the clock moves only when every member waits, and then to the earliest
instant that one waits for. The rule holds because of how threads are counted. A
thread that parks is subtracted from `running`; whoever ends its wait adds it
again, before the thread itself has done anything. If the thread added itself, the
count would be too low between the wake-up and the thread's first step, and the
clock could jump past what the thread is about to do. For the same reason a
thread that is still starting is counted before it runs (`reserve`). Every change
of the count happens under the one LOCK, so nobody sees half of one.
"""

from __future__ import annotations

import sys
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, final

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.virtual_time.scheduling.turns import Turns
from pytest_claude_latency.virtual_time.scheduling.wait import Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_claude_latency.virtual_time.clock import VirtualClock
    from pytest_claude_latency.virtual_time.scheduling.real_work import Blocker, RealWork
    from pytest_claude_latency.virtual_time.scheduling.wait import Runner


NEVER: Nanoseconds = sys.maxsize  # 292 years


@final
class Timers:
    """The parked waits that end by themselves."""

    def __init__(self) -> None:
        self.earliest: Nanoseconds = NEVER  # before it no timer ends a wait; a value, since each replayed chunk asks
        self._heap: list[tuple[Nanoseconds, int, Wait]] = []
        self._order = count()  # of two waits with one instant, the one that parked first ends first

    def add(self, wait: Wait, instant: Nanoseconds) -> None:
        """Note that `wait` ends at `instant`."""
        heappush(self._heap, (instant, next(self._order), wait))
        self.earliest = self._heap[0][0]

    def first(self) -> Wait | None:
        """Return the wait that ends first."""
        while self._heap and self._heap[0][2].over:
            heappop(self._heap)  # somebody has ended it earlier
        self.earliest = self._heap[0][0] if self._heap else NEVER
        return self._heap[0][2] if self._heap else None


@final
class Schedule:
    """Moves a `VirtualClock` as the members of one world run and wait.

    Caller of every method must hold LOCK. A thread that has parked then calls `stand`, without LOCK.
    """

    def __init__(self, clock: VirtualClock, real_work: RealWork) -> None:
        """Let `clock` stand until a member waits."""
        self.clock = clock
        self.turns = Turns()
        self.real_work = real_work
        self.running = 0  # including threads that wait for their turn, and threads that are about to start
        self.times_moved = 0  # of the clock
        self.times_woken = 0  # of threads; the watchdog sees from it that something has happened
        self.parked: set[Wait] = set()
        self.timers = Timers()

    def free_until(self, instant: Nanoseconds, *, limits: bool = False) -> bool:
        """Return whether only the one running thread can do anything before or at `instant`, be it a limit or not."""
        return self.running == 1 and self.timers.earliest > instant and not self.real_work.possible(limits=limits)

    def join(self) -> None:
        """Count a running thread that has not been counted before."""
        self.running += 1

    def leave(self, member: Runner) -> None:
        """Count a running member no more: it ends, or is an outsider again."""
        self.unblock(member)  # whoever gets here has moved, so it must be counted before it is subtracted
        if member.wait is not None:
            self.turns.drop(member.wait)
        self.real_work.remove_poller(member)
        self.running -= 1
        self.turns.end(member)
        self.advance()

    def park(self, wait: Wait, member: Runner) -> None:
        """Count the member as waiting, which may let the clock move, even to the end of this very wait."""
        self.unblock(member)
        if member.wait is not None:
            self.turns.drop(member.wait)
        member.wait = wait
        if not wait.sleeps:
            self.real_work.remove_poller(member)
        wait.parked_at = self.clock.now()  # before the clock can move, which is below
        self.parked.add(wait)
        self.real_work.add_watched(wait)
        if wait.instant is not None:
            self.timers.add(wait, wait.instant)
        # Last, when the table is complete: it may find that this very wait is the one to end.
        self.running -= 1
        self.turns.end(member)
        self.advance()

    def unpark(self, wait: Wait) -> None:
        """Count the thread as running, and let it run when its turn comes; do nothing if the wait is over."""
        # A timer, a notification and a signal may all end one wait. Only the first may count the thread.
        wait.interrupted = False
        if wait.over:
            return
        wait.over = True
        self.parked.discard(wait)
        self.real_work.remove_watched(wait)
        self.real_work.remove_poller(wait.member)
        self._run_one_more()
        self.turns.enqueue(wait)

    def interrupt(self, wait: Wait, interruption: Callable[[], object]) -> None:
        """Let the thread do this in the middle of its wait, when its turn comes; afterwards the wait goes on."""
        # Handled in a turn of its thread, and not when the kernel delivers the signal: the handler may itself wait, and
        # its thread must be counted as running by then.
        if not wait.over:
            self.unpark(wait)
            wait.interrupted = True
        wait.interruptions += (interruption,)

    def reserve(self, wait: Wait) -> None:
        """Count a thread that is about to come and will stand in this wait, as if it ran already."""
        wait.over = True
        self._run_one_more()
        self.turns.enqueue(wait)

    def withdraw(self, wait: Wait) -> None:
        """Take a reservation back: the thread will not come."""
        wait.withdrawn = True
        self.running -= 1
        self.turns.withdraw(wait)
        self.advance()

    def arrive(self, wait: Wait, member: Runner) -> Wait:
        """Return what a thread that has come for its reservation must stand in."""
        # For example a signal interrupted `Thread.start` after the thread had begun: it must be counted again.
        if wait.withdrawn:
            wait = Wait()
            self.reserve(wait)
        self.turns.arrive(wait, member)
        return wait

    def mark_blocked(self, member: Runner, blocker: Blocker) -> None:
        """Count a member as waiting that is blocked for real, outside our waits."""
        self.real_work.add_blocked(member, blocker)
        self.running -= 1
        self.turns.end(member)

    def unblock(self, member: Runner) -> None:
        """Count the member as running again, if it was marked as blocked: it has moved."""
        if self.real_work.remove_blocked(member):
            self._run_one_more()

    def advance(self) -> None:
        """If nobody runs, move the clock to the earliest timer and wake its thread."""
        # One thread only, also where several are due at one instant: the next is woken when this one waits again, so
        # what they do has an order.
        if self.running > 0:
            return  # includes threads that wait for a turn: what is due now happens before what is due later
        wait = self.timers.first()
        if wait is None or wait.instant is None:
            return
        # Look twice at who has moved: work that was over when `allows` looked may have gone on at the first look, and
        # have ended in between with a result that lets somebody run.
        if self.real_work.possible(limits=wait.limits) and (
            self.somebody_moved()
            or not self.real_work.allows(wait, wait.instant - self.clock.now(), self.times_moved)
            or self.somebody_moved()
        ):
            return
        self.move_to(wait.instant)
        self.unpark(wait)

    def move_to(self, instant: Nanoseconds) -> None:
        """Let the clock read `instant`, unless it reads more already."""
        if instant > self.clock.now():
            self.times_moved += 1
            self.clock.advance_to(instant)

    def reach(self, member: Runner, instant: Nanoseconds) -> bool:
        """Let the clock read the limit of a real wait that has passed; return False if others can go on before it."""
        # Real work holds nothing up here: as much time has passed in reality.
        if member.schedule is not self:
            return True  # the world has ended meanwhile
        blocker = self.real_work.blocked.get(member)
        self.unblock(member)
        free = self.running == 1 and self.timers.earliest > instant
        if free:
            self.move_to(instant)
        if blocker is not None and blocker.polling:  # it is on its way back to the same call
            self.mark_blocked(member, blocker)
            return True
        return free

    def somebody_moved(self) -> bool:
        """Look again at the members that are blocked for real, and at files; return whether anybody runs now."""
        for member in self.real_work.moved():
            self.unblock(member)
        for wait in self.real_work.ready():
            self.unpark(wait)
        return self.running > 0

    def release_all(self) -> None:
        """Let every thread go on where it stands, all at once: the world is over. The clock does not move."""
        for wait in tuple(self.parked):
            self.unpark(wait)
        while self.turns:
            self.turns.skip()

    def _run_one_more(self) -> None:
        self.running += 1
        self.times_woken += 1
        self.real_work.interrupt()

"""The schedule of a world: who runs, who waits until when.

One rule: the clock moves only when every member waits, and then to the earliest
wake-up. A thread gives its count back when it parks; whoever wakes it counts it
as running before doing so. Those that run take turns: one goes on until it
parks, then the next in the order in which they were woken, so that what happens
at one instant has an order, the same in every run. Turns are a courtesy, on
which no instant rests: the watch-dog passes on one that lasts. All of it happens
under the one lock.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Protocol, final

from pytest_claude_latency.virtual_time.scheduling.lock import LOCK
from pytest_claude_latency.virtual_time.scheduling.real_clock import allocate_lock, monotonic_ns

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_claude_latency.duration import Nanoseconds
    from pytest_claude_latency.virtual_time.clock import VirtualClock


class Runner(Protocol):
    """A thread that a schedule counts. `members.Member` is one; its module stands on top of this one."""

    ident: int
    wait: Wait | None

    @property
    def schedule(self) -> Schedule | None:
        """The schedule that counts this thread now."""
        ...


class Blocker(Protocol):
    """What blocks a thread outside all our waits, as it was seen. `watch.thread_state.Blockage` is one."""

    @property
    def idle(self) -> bool:
        """Whether the thread waits for nothing that takes time."""
        ...

    @property
    def takes_time(self) -> bool:
        """Whether the thread waits for something that happens outside this process, or may do so."""
        ...

    @property
    def ends_by_itself(self) -> bool:
        """Whether the thread is in a call with a time limit."""
        ...

    def lasts(self) -> bool:
        """Return whether the thread has not moved since it was seen."""
        ...


class Wait:
    """One wait of one member: until `instant`, or, if that is None, until somebody wakes it; then for its turn."""

    def __init__(self, instant: Nanoseconds | None = None, what: str = "its turn") -> None:
        self.member: Runner | None = None
        self.instant = instant
        self.what = what
        self.over = False  # counted as running again
        self.withdrawn = False
        self.failure: BaseException | None = None
        self._lock = allocate_lock()
        self._lock.acquire()

    @classmethod
    def of(cls, member: Runner) -> Wait:
        """The wait of a member that is about to come, for its turn."""
        wait = cls()
        wait.member = member
        return wait

    def park(self, member: Runner) -> None:
        """Give the member's count back; `Schedule.stand` must follow, outside the lock, which this wants."""
        self.member = member
        if member.schedule is not None:
            member.schedule.park(self, member)

    def wake(self) -> None:
        """Let the thread go on."""
        self._lock.release()

    def block(self) -> None:
        """Stand still until woken; a signal handler may raise out of it."""
        self._lock.acquire()

    def files(self) -> list[int]:
        """The files that could end this wait too."""
        return []

    def ready(self) -> bool:
        """Whether one of them already does."""
        return False

    def details(self) -> list[tuple[str, str, str]]:
        """Return more rows about this wait for the message about a deadlock: who waits, for what, and where."""
        return []


@final
class Schedule:
    """Moves a `VirtualClock` as the members of one world run and wait.

    Every method but `stand` wants `LOCK` held.
    """

    def __init__(self, clock: VirtualClock, real_work: Callable[[Schedule], bool]) -> None:
        """`real_work` tells whether a thread of a world in which nobody runs waits for real work."""
        self.clock = clock
        self._real_work = real_work
        self.running = 0  # with those that wait for their turn, and those that are about to come
        self.moves = 0
        self.turns = 0  # times a thread was woken
        self.grants = 0  # times a turn was given
        self.ready: deque[Wait] = deque()
        self.parked: set[Wait] = set()
        self.watched: set[Wait] = set()  # those among the parked that files could end
        self.excused: dict[Runner, Blocker] = {}  # members that are blocked for real, and not counted
        self.missed_notifications: dict[
            object, set[int]
        ] = {}  # outsiders who may come, by the condition they use to wait on
        self._turn: Wait | None = None  # what the thread whose turn it is was woken from, or came with
        self._wake_ups: list[tuple[Nanoseconds, int, Wait]] = []
        self._order = count()
        self._still_since: Nanoseconds | None = None  # the machine's time when everything began to stand still
        self._stood: Nanoseconds = 0  # how long it did so before, since the clock moved

    def free_until(self, instant: Nanoseconds) -> bool:
        """Whether nobody but the one running thread can do anything before or at `instant`."""
        if self.running != 1 or self.excused or self.watched or self.missed_notifications:
            return False
        return not self._wake_ups or self._wake_ups[0][0] > instant

    def park(self, wait: Wait, member: Runner) -> None:
        """Count the member as waiting, which may let the clock move, even to this very wait."""
        self.recall(member)
        if member.wait is not None:
            self._drop(member.wait)
        member.wait = wait
        self.parked.add(wait)
        if wait.files():
            self.watched.add(wait)
        if wait.instant is not None:
            heappush(self._wake_ups, (wait.instant, next(self._order), wait))
        self.running -= 1
        self._end_turn(member)
        self.advance()

    def unpark(self, wait: Wait) -> None:
        """Count the thread as running, and let it run when its turn comes. Nothing happens to a wait that is over."""
        if wait.over:
            return
        wait.over = True
        self.parked.discard(wait)
        self.watched.discard(wait)
        self._run_one_more()
        self._queue(wait)

    def stand(self, wait: Wait) -> None:
        """Stand still in a wait until its turn has come. Whatever interrupts it takes the count back first."""
        try:
            wait.block()
        except BaseException:
            with LOCK:
                self.unpark(wait)
                self._drop(wait)
            raise
        if wait.failure is not None:
            raise wait.failure

    def reserve(self, wait: Wait) -> None:
        """Count a thread that is about to come, and will stand in this wait."""
        wait.over = True
        self._run_one_more()
        self._queue(wait)

    def withdraw(self, wait: Wait) -> None:
        """It will not come."""
        wait.withdrawn = True
        self.running -= 1
        self._drop(wait)
        if self._turn is wait:
            self._turn = None
            self.pass_on()
        self.advance()

    def arrive(self, wait: Wait, member: Runner) -> Wait:
        """It has come: what it must stand in."""
        if wait.withdrawn:
            wait = Wait()
            self.reserve(wait)
        wait.member = member
        if self._turn is not wait:
            member.wait = wait
        return wait

    def line_up(self, member: Runner) -> Wait | None:
        """What a member that runs out of turn must stand in; None if it may go on."""
        if self._turn is not None and self._turn.member is member:
            return None
        if member.wait is not None and member.wait in self.ready:
            return member.wait  # the place it was promised
        return self._to_the_end(member)

    def offer_turn(self, member: Runner) -> Wait | None:
        """What a member that offers its turn must stand in; None if nobody wants it."""
        if not self.ready:
            return None
        self._end_turn(member)
        return self._to_the_end(member)

    def pass_on(self) -> None:
        """Give the turn to the next, if it is free."""
        if self._turn is None and self.ready:
            wait = self._turn = self.ready.popleft()
            self.grants += 1
            if wait.member is not None:
                wait.member.wait = None
            wait.wake()

    def take_from(self) -> None:
        """Let the next go on beside whoever does not end its turn."""
        self._turn = None
        self.pass_on()

    def whose_turn(self) -> Runner | None:
        """Who goes on; None also while it has not come yet."""
        return None if self._turn is None else self._turn.member

    def excuse(self, member: Runner, blockage: Blocker) -> None:
        """Do not count a member that is blocked for real, outside our waits."""
        self.excused[member] = blockage
        self.running -= 1
        self._end_turn(member)

    def recall(self, member: Runner) -> None:
        """Count it again, if it was excused: it has moved."""
        if self.excused.pop(member, None) is not None:
            self._run_one_more()

    def leave(self, member: Runner) -> None:
        """A running member is none any more."""
        self.recall(member)
        if member.wait is not None:
            self._drop(member.wait)
        self.running -= 1
        self._end_turn(member)
        self.advance()

    def advance(self) -> None:
        """If nobody runs, move the clock to the earliest wake-up and wake it.

        One thread at a time, also where several are due at one instant: what they do then has an order.
        """
        if self.running > 0:
            return
        wait = self.earliest()
        if wait is None or wait.instant is None:
            return
        if (self.excused or self.watched or self.missed_notifications) and not self._may_move_to(wait.instant):
            return
        self.move_to(wait.instant)
        self.unpark(wait)

    def move_to(self, instant: Nanoseconds) -> None:
        """Let the clock read `instant`, because somebody waited until then."""
        if instant > self.clock.now():
            self.jump_to(instant)

    def jump_to(self, instant: Nanoseconds) -> None:
        """The same for an instant that is known to lie ahead."""
        self.moves += 1
        self._stood, self._still_since = 0, None
        self.clock.advance_to(instant)

    def creep(self, span: Nanoseconds) -> None:
        """Move the clock by `span` although a thread runs, or only to the next wake-up, if that comes first."""
        if self.ready:
            return
        target = self.clock.now() + span
        wait = self.earliest()
        if wait is None or wait.instant is None or wait.instant > target:
            self.clock.advance_to(target)
        else:
            self.clock.advance_to(max(wait.instant, self.clock.now()))
            self.unpark(wait)

    def release_all(self) -> None:
        """Let every thread go on where it stands; the clock keeps its instant."""
        for wait in tuple(self.parked):
            self.unpark(wait)
        while self.ready:
            self.take_from()

    def earliest(self) -> Wait | None:
        """The wait that ends first of those that end by themselves."""
        while self._wake_ups and self._wake_ups[0][2].over:
            heappop(self._wake_ups)
        return self._wake_ups[0][2] if self._wake_ups else None

    def _queue(self, wait: Wait) -> None:
        if wait.member is not None:
            wait.member.wait = wait
        self.ready.append(wait)
        self.pass_on()

    def _to_the_end(self, member: Runner) -> Wait:
        wait = Wait()
        wait.over, wait.member = True, member
        self._queue(wait)
        return wait

    def _drop(self, wait: Wait) -> None:
        """The thread does not wait for this turn."""
        if wait in self.ready:
            self.ready.remove(wait)
        if wait.member is not None and wait.member.wait is wait:
            wait.member.wait = None

    def _end_turn(self, member: Runner) -> None:
        if self._turn is not None and self._turn.member is member:
            self._turn = None
        self.pass_on()

    def _may_move_to(self, instant: Nanoseconds) -> bool:
        """Look again at who is blocked for real; past real work the clock moves no faster than the machine's."""
        if self._somebody_moved():
            return False
        if not self._real_work(self):
            return not self._somebody_moved()  # what we took for work may have ended in between, with a result
        now = monotonic_ns()
        self._still_since = self._still_since or now
        return self._stood + now - self._still_since >= instant - self.clock.now()

    def _somebody_moved(self) -> bool:
        for member, blockage in tuple(self.excused.items()):
            if not blockage.lasts():
                self.recall(member)
        for wait in tuple(self.watched):
            if wait.ready():
                self.unpark(wait)
        return self.running > 0

    def _run_one_more(self) -> None:
        self.running += 1
        self.turns += 1
        if self._still_since is not None:
            self._stood += monotonic_ns() - self._still_since
            self._still_since = None

"""One wait of one thread: what it waits for, and how it is woken.

A thread parks in a `Wait` and stands still in it on a lock of its own. Whoever
wakes the thread releases that lock. So each thread is woken alone and in a known
order; a condition shared by all would let the machine choose who goes first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pytest_claude_latency.virtual_time.scheduling.real_clock import allocate_lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_claude_latency.duration import Nanoseconds
    from pytest_claude_latency.virtual_time.scheduling.holds import Holds


class Counter(Protocol):
    """What counts the threads that run: `scheduler.Schedule`, whose module stands on top of this one."""

    def park(self, wait: Wait, member: Runner) -> None:
        """Count the thread as waiting."""

    def unpark(self, wait: Wait) -> None:
        """Count the thread as running."""


class Runner(Protocol):
    """A thread that is counted: `members.Member`, whose module stands on top of this one."""

    ident: int
    wait: Wait | None

    @property
    def schedule(self) -> Counter | None:
        """What counts this thread now; None if its world has ended."""

    @property
    def holds(self) -> Holds:
        """Where it is noted that the program held this thread."""


class Wait:
    """One wait of one member, first for its end and then for the member's turn.

    It ends at `instant`, or, if that is None, when somebody ends it. `what` names it in messages. It is `over` as soon
    as the member counts as running again, although the member may still stand here until its turn comes. `failure` is
    what the member raises when it goes on.

    `sleeps` says that the program lets time pass, perhaps between two looks at something.

    `limits` says that its instant is a limit, set for something that another thread should do before. `joins` is the
    identifier of the thread whose end the member waits for, if that thread is no member. `holds` says that the wait
    blocks the thread for the program's own reasons; `parked_at` is when it began, None if the thread never parked here.
    """

    holds = True
    limits = False
    sleeps = False
    joins: int | None = None

    def __init__(self, instant: Nanoseconds | None = None, what: str = "its turn") -> None:
        self.member: Runner | None = None
        self.instant = instant
        self.what = what
        self.over = False
        self.parked_at: Nanoseconds | None = None
        self.withdrawn = False  # a reservation for a thread that was believed not to come
        self.failure: BaseException | None = None
        # What the thread does in the middle of this wait, when its turn comes: it handles signals.
        self.interruptions: tuple[Callable[[], object], ...] = ()
        self.interrupted = False  # counted as running for these only; the wait goes on after them
        # Taken here and released by `wake`. A release that comes before the thread blocks is not lost: then it does not
        # stop at all. An `Event` has a condition inside, which is patched and would park the thread again.
        self._lock = allocate_lock()
        self._lock.acquire()

    @classmethod
    def of(cls, member: Runner) -> Wait:
        """Return the wait of a member that is about to come, for its turn."""
        wait = cls()
        wait.member = member
        return wait

    def park(self, member: Runner) -> None:
        """Count the member as waiting here. Caller must hold LOCK, and call `standing.stand` after releasing it."""
        self.member = member
        if member.schedule is not None:  # else the world has ended, and the caller waits for real
            member.schedule.park(self, member)

    def unpark(self) -> None:
        """Let the member go on, if it has parked here and its world has not ended. Caller must hold LOCK."""
        if self.member is not None and self.member.schedule is not None:
            self.member.schedule.unpark(self)

    def wake(self) -> None:
        """Let the thread that stands here go on, or not stop when it gets here."""
        self._lock.release()

    def rearm(self) -> None:
        """Prepare for being woken once more: the wait was interrupted and goes on."""

    def block(self) -> None:
        """Stand still until woken. A signal handler may raise out of it."""
        self._lock.acquire()

    def files(self) -> list[int]:
        """Return the descriptors of the files that could end this wait too."""
        return []

    def ready(self) -> bool:
        """Return whether one of these files already does."""
        return False

    def details(self) -> list[tuple[str, str, str]]:
        """Return more rows for the message about a deadlock: who waits, for what, and where."""
        return []

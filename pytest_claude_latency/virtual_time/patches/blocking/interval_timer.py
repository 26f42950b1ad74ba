"""`signal.alarm` and `signal.setitimer`: the signal comes when the clock of the caller's world has come so far.

The kernel's timer would count the machine's time. A program that waits for a minute passes that minute at once, so the
signal would come much later, perhaps when its handler is gone, and end the process.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

from pytest_claude_latency.duration import SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.patches import raw_threads
from pytest_claude_latency.virtual_time.patches.exempt_callers import exempt
from pytest_claude_latency.virtual_time.patches.patching import Patches
from pytest_claude_latency.virtual_time.scheduling.clock_readings import due
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import as_ours
from pytest_claude_latency.virtual_time.scheduling.standing import stand
from pytest_claude_latency.virtual_time.scheduling.table import scheduled
from pytest_claude_latency.virtual_time.scheduling.wait import Wait

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.table import Member
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

_PATCHES = Patches()


@final
class IntervalTimer:
    """Sends the signal at `instant`, and then after each `interval`, from a thread of ours that lives in the world."""

    def __init__(self, world: WorldState, instant: Nanoseconds, interval: float) -> None:
        self.world = world
        self.instant = instant
        self.interval = interval
        self.cancelled = False
        self._wait: Wait | None = None

    @property
    def set(self) -> bool:
        """Whether a signal will still come in this world."""
        return not self.cancelled and not self.world.ended

    def left(self) -> float:
        """Return how many seconds are left."""
        return max(0.0, (self.instant - self.world.clock.now()) / SECOND)

    def cancel(self) -> None:
        """Send no more."""
        with TRACKED_LOCK:
            self.cancelled = True
            if self._wait is not None:
                self._wait.unpark()

    def run(self) -> None:
        """Wait and send, in the thread, until it is cancelled or its world ends."""
        with as_ours():
            while self._wait_until_due():
                # To the main thread alone, which handles it: another thread that gets it would not end its system call.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
                if self.interval <= 0:  # it comes once
                    self.cancelled = True
                self.instant = due(self.instant, self.interval)

    def _wait_until_due(self) -> bool:
        # In one step: `cancel` finds the wait and ends it, or the timer is found to be cancelled here. In between, a
        # signal would still come that nobody expects, and without a handler it ends the process.
        with TRACKED_LOCK:
            member = scheduled()
            if member is None or not self.set:
                return False
            schedule, wait = member.schedule, Wait(self.instant, "signal.setitimer")
            self._wait = wait
            wait.park(member)
        assert schedule is not None
        stand(schedule, wait)
        return self.set


@final
class _Process:
    """The timer that was set last, as the kernel has one for each process."""

    timer: IntervalTimer | None = None


def _timer() -> IntervalTimer | None:
    timer = _Process.timer
    return timer if timer is not None and timer.set else None


def _set(member: Member, seconds: float, interval: float) -> tuple[float, float]:
    """Set the timer, or cancel it with 0; return what was left of the one before, and its interval."""
    before = _get()
    timer = _timer()
    if timer is not None:
        timer.cancel()
    if seconds > 0:
        _Process.timer = timer = IntervalTimer(member.world, due(member.world.clock.now(), seconds), interval)
        raw_threads.start(timer.run)
    return before


def _get() -> tuple[float, float]:
    timer = _timer()
    return (0.0, 0.0) if timer is None else (timer.left(), timer.interval)


@_PATCHES.wraps("setitimer")
def _setitimer(machine: Callable[..., Any], which: int, seconds: float, interval: float = 0.0, /) -> Any:
    # The two other timers count what the processor works, which is the machine's in a world too.
    member = None if which != signal.ITIMER_REAL or exempt(2) else scheduled()
    # What is no time, NaN too, goes to the machine's function: it raises what a program expects.
    if member is None or not seconds >= 0 or not interval >= 0:
        return machine(which, seconds, interval)
    return _set(member, seconds, interval)


@_PATCHES.wraps("getitimer")
def _getitimer(machine: Callable[[int], Any], which: int, /) -> Any:
    member = None if which != signal.ITIMER_REAL or exempt(2) else scheduled()
    return machine(which) if member is None else _get()


@_PATCHES.wraps("alarm")
def _alarm(machine: Callable[[int], int], seconds: int, /) -> int:
    member = None if exempt(2) else scheduled()
    if member is None or not isinstance(seconds, int) or seconds < 0:
        return machine(seconds)
    return math.ceil(_set(member, seconds, 0.0)[0])  # as the kernel does: 0 would say that none was set


def install(module: Any) -> None:
    """Patch the three functions of the module `signal`, where the system has them."""
    # Without `pthread_kill`, any thread might get the signal, and the system call of the main thread would go on.
    if hasattr(module, "pthread_kill"):
        _PATCHES.install(module)

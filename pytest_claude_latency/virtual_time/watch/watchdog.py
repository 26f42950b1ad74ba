"""The watchdog of a world: a thread that sees what the schedule cannot.

Every few milliseconds it looks for members that count as running but are blocked
for real. If all that run are blocked, it marks them, so that the clock may move.
It also notes what cost real seconds, ends turns that last too long, and ends a
world in which nothing can happen any more.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, final

from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.scheduling.lock import LOCK
from pytest_claude_latency.virtual_time.scheduling.members import as_ours, dismiss
from pytest_claude_latency.virtual_time.scheduling.real_clock import (
    allocate_lock,
    get_ident,
    monotonic_ns,
    start_new_thread,
)
from pytest_claude_latency.virtual_time.scheduling.scheduler import Schedule
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS, Member
from pytest_claude_latency.virtual_time.watch import (
    blocked_threads,
    children,
    deadlock,
    main_thread_signal,
    thread_count,
    thread_frames,
    thread_state,
)
from pytest_claude_latency.virtual_time.watch.bystanders import Bystanders
from pytest_claude_latency.virtual_time.watch.real_waits import RealWait, RealWaitLog, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

_BUSY_PERIOD = 0.003  # seconds between two looks while a thread is parked
_QUIET_PERIOD = 0.01
_LONG_TURN = 3 * SECOND  # a thread that keeps its turn so long may be waiting, awake, for one that waits for its turn
_HELP = 100 * MILLISECOND
_PATIENCE = 300 * MILLISECOND  # until a deadlock is believed, if no outsider could end it
_LONG_PATIENCE = 10 * SECOND


@final
class LongTurns:
    """Sees how long the present turn of a schedule lasts."""

    def __init__(self, schedule: Schedule) -> None:
        self._turns = schedule.turns
        self._number, self._since = -1, 0  # of the present turn, and when it was first seen

    def end(self, watches: Mapping[int, Watch], now: Nanoseconds) -> None:
        """Give the next thread a turn, if the one whose turn it is is blocked for real or takes very long.

        Without this, a thread that waits on a plain lock would keep the holder of the lock from its turn for ever.
        """
        turns = self._turns
        if self._number != turns.given:
            self._number, self._since = turns.given, now
        if not turns:
            return
        watch = None if turns.holder is None else watches.get(turns.holder.ident)
        holds_up = watch is not None and not watch.member.really and watch.holds_up(now)
        if holds_up or now - self._since >= _LONG_TURN:
            turns.skip()


@final
class Standstill:
    """Sees how long nothing has happened in a world, and ends the world when nothing can happen any more."""

    def __init__(self, world: WorldState, schedule: Schedule, bystanders: Bystanders) -> None:
        self._world = world
        self._schedule = schedule
        self._bystanders = bystanders
        self._failed = -1  # the number of wake-ups when the world was last failed
        self._stuck: tuple[int, Nanoseconds] | None = None  # the number of wake-ups when it got stuck, and when
        self._resting_since: Nanoseconds | None = None  # when all outsiders were first seen at rest

    def end_if_hopeless(self, now: Nanoseconds) -> None:
        """Raise `Deadlock` in the world, if nothing has happened in it for long, and nothing can."""
        schedule, blockers = self._schedule, self._schedule.real_work.blocked.values()
        # Looked at again: where no timer is set, nobody has looked since they were marked as blocked. One that has gone
        # on may compute for seconds before it comes to any of our waits.
        if (
            schedule.somebody_moved()
            or schedule.timers.first() is not None
            or any(blocker.ends_by_itself for blocker in blockers)
        ):
            self._stuck = None
            return
        if self._world.deadlock is not None:
            patience = 0  # the program knows already; a thread that waits in vain again hears of it at once
        elif blocked_threads.real_work_goes_on(schedule.real_work) or main_thread_signal.alarm_is_set(_LONG_PATIENCE):
            self._stuck = None
            return
        elif schedule.real_work.watched or any(not blocker.idle for blocker in blockers):
            patience = _LONG_PATIENCE  # somebody waits for a file, so what looks like nobody may be a slow peer
        else:
            patience = self._patience(now)
        if self._stuck is None or self._stuck[0] != schedule.times_woken:
            self._stuck = (schedule.times_woken, now)
            self._bystanders.stand_still()
        elif self._world.deadlock is None and self._bystanders.could_end(schedule.parked):
            self._stuck = (schedule.times_woken, now)
            return
        # Once for each standstill: a thread that is blocked in C code cannot raise, and would be failed at each look.
        if self._failed != schedule.times_woken and now - self._stuck[1] >= patience:
            self._failed = schedule.times_woken
            deadlock.fail(self._world)

    def _patience(self, now: Nanoseconds) -> Nanoseconds:
        """Return how long a standstill must last until it is believed, if outsiders may end it.

        A forked child may be on its way to a request without an answer: that, and not the deadlock, is what to tell.
        """
        if not blocked_threads.outsiders_rest() or children.a_fork_runs():
            self._resting_since = None
            return _LONG_PATIENCE
        # Counted from when they came to rest: one that has just ended its work has done what somebody waited for.
        self._resting_since = self._resting_since or now
        began = now if self._stuck is None else self._stuck[1]
        return min(_LONG_PATIENCE, _PATIENCE + max(0, self._resting_since - began))


@final
class WatchDog:
    """Watches one world until it ends."""

    def __init__(
        self,
        world: WorldState,
        schedule: Schedule,
        bystanders: Bystanders,
        on_look: Callable[[], None] | None = None,
    ) -> None:
        self._world = world
        self._on_look = on_look
        self._schedule = schedule
        self._standstill = Standstill(world, schedule, bystanders)
        self._watches: dict[int, Watch] = {}
        self._moves = 0  # of the clock, when this last looked
        self._log = RealWaitLog()
        # When outsiders were first seen awake while members are blocked
        self._stirring_since: Nanoseconds | None = None
        self._long_turns = LongTurns(schedule)
        # A plain lock: an `Event` would be patched, and its wait would be a member's.
        self._stop_event = allocate_lock()
        self._stop_event.acquire()

    def start(self) -> None:
        """Begin to watch, in a thread that no list of Python's shows.

        `threading` would list it: then programs that count their threads would see one more in a replay.
        """
        thread_count.hide()
        # Waited for, a moment: programs that count threads twice must not see it begin in between.
        up = allocate_lock()
        up.acquire()
        start_new_thread(self._run, (up.release,))
        up.acquire()

    def stop(self) -> None:
        """Stop to watch, once, since the world has ended. The caller must hold LOCK."""
        now = monotonic_ns()
        self._log.see_files([], now)
        for watch in self._watches.values():
            self._log.close(watch, now)
        self._stop_event.release()

    def real_waits(self) -> Sequence[RealWait]:
        """Return what cost real seconds so far, the longest first."""
        with LOCK:
            if not self._world.ended:
                self._look_around()
            return self._log.longest_first()

    def _run(self, tell: Callable[[], None]) -> None:
        with as_ours():
            tell()
            period = _QUIET_PERIOD
            while not self._stop_event.acquire(timeout=period):
                # The world can end between the wait and the lock. Looking would then count threads of the next world.
                with LOCK:
                    if self._world.ended:
                        break
                    try:
                        self._look_around(fully=False)
                    except Exception:
                        # A failure of ours must not leave the world without a watch. pytest shows it as a warning.
                        sys.excepthook(*sys.exc_info())
                    period = _BUSY_PERIOD if self._schedule.parked else _QUIET_PERIOD
                if self._on_look is not None:
                    try:
                        self._on_look()  # without the lock: what it asks of the system takes its time
                    except Exception:
                        sys.excepthook(*sys.exc_info())

    def _goes_on_alone(self) -> bool:
        """Return whether one thread runs, and has moved the clock since this was last asked; nobody else is there."""
        # Then it is not blocked, and to look at it would cost more than it does with a stream in the meantime.
        schedule, before = self._schedule, self._moves
        self._moves = schedule.times_moved
        if before == self._moves or schedule.running != 1 or schedule.parked or schedule.real_work.pending:
            return False
        if not all(watch.idle for watch in self._watches.values()):
            return False  # a real wait has ended, which has to be noted
        self._watches.clear()
        return True

    def _look_around(self, *, fully: bool = True) -> None:
        if not fully and self._goes_on_alone():
            return
        schedule, now = self._schedule, monotonic_ns()
        # Borrowed threads that are gone are members no more. Where a thread was not started through Python's patched
        # functions, nothing else tells of its end, and the clock would wait for it for ever.
        borrowed = [ident for ident, member in tuple(MEMBERS.items()) if member.borrowed_through is not None]
        alive = thread_frames.frames() if borrowed else None
        for ident in borrowed:
            has_ended = alive is not None and ident not in alive and ident != get_ident()
            if has_ended and MEMBERS[ident].world is self._world:
                dismiss(ident)
        counted = [member for member in tuple(MEMBERS.values()) if member.world is self._world and member.wait is None]
        self._look_at(counted, now)
        self._long_turns.end(self._watches, now)
        running = [member for member in counted if member not in schedule.real_work.blocked]
        blockages = {
            member: blockage
            for member in running
            if not member.really and (blockage := self._watches[member.ident].blockage)
        }
        # All that run must be blocked, and be known: a thread that is about to start is counted but has no member yet.
        if len(blockages) == len(running) == schedule.running:
            if blockages:
                # An outsider that is awake may hold the lock that a member waits for: give it some time. Not for ever:
                # some outsiders never rest.
                stirring = blocked_threads.outsiders_stir()
                self._stirring_since = (self._stirring_since or now) if stirring else None
                if self._stirring_since is not None and now - self._stirring_since < _HELP:
                    return
            for member, blockage in blockages.items():
                schedule.mark_blocked(member, blockage)
            schedule.advance()
            self._standstill.end_if_hopeless(now)
        if schedule.real_work.watched:
            waits = schedule.real_work.watched if schedule.running == 0 else ()
            self._log.see_files([wait for wait in waits if blocked_threads.waits_for_outside(wait)], now)

    def _look_at(self, members: list[Member], now: Nanoseconds) -> None:
        """Look at each member, and close the watches of all others."""
        for member in members:
            state = thread_state.look(member.ident)
            watch = self._watches.get(member.ident)
            if watch is not None and watch.member is member and watch.goes_on(state):
                watch.look_again(state, now)
                self._schedule.real_work.look_again(member, watch.blockage)
                continue
            if watch is not None:
                self._log.close(watch, now)
            self._watches[member.ident] = Watch(member, state, now)
        idents = {member.ident for member in members}
        for ident in [ident for ident in self._watches if ident not in idents]:
            self._log.close(self._watches.pop(ident), now)

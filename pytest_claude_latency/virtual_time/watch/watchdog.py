"""The watch-dog of a world: a thread that sees what the schedule cannot.

Every few milliseconds it looks for members that count as running but are
blocked for real. It excuses them when all that run are so blocked, keeps record
of what cost real seconds, and ends a world in which nothing can happen any more.
"""

from __future__ import annotations

import _thread
import sys
import threading
from typing import TYPE_CHECKING, final

from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.scheduling.lock import LOCK
from pytest_claude_latency.virtual_time.scheduling.members import MEMBERS, OURS, Member
from pytest_claude_latency.virtual_time.scheduling.real_clock import allocate_lock, monotonic_ns
from pytest_claude_latency.virtual_time.scheduling.scheduler import Schedule
from pytest_claude_latency.virtual_time.watch import blocked_threads, deadlock, main_thread_signal, thread_state
from pytest_claude_latency.virtual_time.watch.real_waits import Account, RealWait, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_claude_latency.virtual_time.scheduling.world import WorldState
    from pytest_claude_latency.virtual_time.watch.thread_state import Blockage

_BUSY_PERIOD = 0.003  # seconds between two looks while somebody waits for somebody
_QUIET_PERIOD = 0.01
_LONG_TURN = 3 * SECOND  # whoever does not end it then may be waiting, awake, for one that waits for its turn
_HELP = 100 * MILLISECOND
_PATIENCE = 300 * MILLISECOND  # before a deadlock is one, if no outsider could end it
_LONG_PATIENCE = 10 * SECOND


@final
class WatchDog:
    """Watches one world until it ends."""

    def __init__(self, world: WorldState, schedule: Schedule) -> None:
        self._world = world
        self._schedule = schedule
        self._watches: dict[int, Watch] = {}
        self._account = Account()
        self._failed = -1  # turns taken when the world was last found stuck
        self._stuck: tuple[int, Nanoseconds] | None = None  # turns taken when it began, and when
        self._helped_since: Nanoseconds | None = None
        self._granted, self._granted_at = -1, 0  # the last turn that was given, and when it was seen
        self._bell = allocate_lock()
        self._bell.acquire()

    def start(self) -> None:
        """Begin to watch, in a thread that no list of Python's shows."""
        _thread.start_new_thread(self._run, ())

    def stop(self) -> None:
        """The world has ended. Wants the lock, once."""
        now = monotonic_ns()
        self._account.see_files([], now)
        for watch in self._watches.values():
            self._account.close(watch, now)
        self._bell.release()

    def real_waits(self) -> Sequence[RealWait]:
        """What cost real seconds, the longest first."""
        with LOCK:
            if not self._world.ended:
                self._look_around()
            return self._account.told()

    def _run(self) -> None:
        native_id = threading.get_native_id()
        OURS.add(native_id)
        period = _QUIET_PERIOD
        while not self._bell.acquire(timeout=period):
            with LOCK:
                if self._world.ended:
                    break
                self._look_around_safely()
                period = _BUSY_PERIOD if self._schedule.parked else _QUIET_PERIOD
        OURS.discard(native_id)

    def _look_around_safely(self) -> None:
        """A failure of ours must not leave the world unwatched; pytest shows it as a warning."""
        try:
            self._look_around()
        except Exception:
            sys.excepthook(*sys.exc_info())

    def _look_around(self) -> None:
        now = monotonic_ns()
        counted = [member for member in tuple(MEMBERS.values()) if member.world is self._world and member.wait is None]
        for member in counted:
            self._look_at(member, now)
        self._forget_all_but({member.ident for member in counted}, now)
        self._pass_on(now)
        running = [member for member in counted if member not in self._schedule.excused]
        blockages = [blockage for member in running if (blockage := self._blockage_of(member))]
        if len(blockages) == len(running) == self._schedule.running:
            if blockages and self._somebody_may_help(now):
                return
            for member, blockage in zip(running, blockages, strict=True):
                self._schedule.excuse(member, blockage)
            self._schedule.advance()
            self._judge(now)
        if self._schedule.watched:
            self._look_at_files(now)

    def _pass_on(self, now: Nanoseconds) -> None:
        """Give the next a turn, if the one whose turn it is is blocked for real or takes very long."""
        schedule, member = self._schedule, self._schedule.whose_turn()
        if self._granted != schedule.grants:
            self._granted, self._granted_at = schedule.grants, now
        if not schedule.ready:
            return
        watch = None if member is None else self._watches.get(member.ident)
        holds_up = watch is not None and not watch.member.really and watch.holds_up(now)
        if holds_up or now - self._granted_at >= _LONG_TURN:
            schedule.take_from()

    def _blockage_of(self, member: Member) -> Blockage | None:
        return None if member.really else self._watches[member.ident].blockage

    def _somebody_may_help(self, now: Nanoseconds) -> bool:
        """Whether to give the blocked more time, since others are awake. Not for ever: those may never rest."""
        if not blocked_threads.outsiders_stir():
            self._helped_since = None
            return False
        self._helped_since = self._helped_since or now
        return now - self._helped_since < _HELP

    def _look_at_files(self, now: Nanoseconds) -> None:
        still = self._schedule.running == 0
        self._account.see_files(
            [wait for wait in self._schedule.watched if still and blocked_threads.at_work(wait)], now
        )

    def _look_at(self, member: Member, now: Nanoseconds) -> None:
        sight = thread_state.look(member.ident)
        watch = self._watches.get(member.ident)
        if watch is not None and watch.member is member and watch.goes_on(sight):
            watch.look_again(sight, now)
            return
        if watch is not None:
            self._account.close(watch, now)
        self._watches[member.ident] = Watch(member, sight, now)

    def _forget_all_but(self, idents: set[int], now: Nanoseconds) -> None:
        for ident in [ident for ident in self._watches if ident not in idents]:
            self._account.close(self._watches.pop(ident), now)

    def _judge(self, now: Nanoseconds) -> None:
        """End the world if nothing has happened in it for long, and nothing can."""
        schedule = self._schedule
        limited = any(blockage.ends_by_itself for blockage in schedule.excused.values())
        if limited or schedule.running or schedule.earliest() is not None:
            self._stuck = None
            return
        patience = self._patience()
        if patience is None:
            self._stuck = None
            return
        if self._stuck is None or self._stuck[0] != schedule.turns:
            self._stuck = (schedule.turns, now)
        if self._failed != schedule.turns and now - self._stuck[1] >= patience:
            self._failed = schedule.turns
            deadlock.fail(self._world)

    def _patience(self) -> Nanoseconds | None:
        """How long to wait for somebody to come after all; None while something certainly may."""
        if self._world.deadlock is not None:
            return 0  # they have been told; who waits for nothing again is told at once
        if blocked_threads.by_work(self._schedule) or main_thread_signal.alarm_is_set(_LONG_PATIENCE):
            return None
        files = self._schedule.watched or any(not found.idle for found in self._schedule.excused.values())
        return _LONG_PATIENCE if files or not blocked_threads.outsiders_rest() else _PATIENCE

"""Conditions: how the threads of a world wait for each other and wake each other.

Events, queues, barriers, semaphores and futures all wait in `Condition.wait`, so it is the one place to patch. An
outsider that a member notifies works for the member's world until it waits on the same condition again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from threading import Condition
from typing import TYPE_CHECKING, Any, final

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time.patches.patching import Patches
from pytest_claude_latency.virtual_time.scheduling.clock_readings import due
from pytest_claude_latency.virtual_time.scheduling.lead import LEADS
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import ANYTHING, admit, adoptable, dismiss, served
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident
from pytest_claude_latency.virtual_time.scheduling.standing import stand
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS, Member, scheduled
from pytest_claude_latency.virtual_time.scheduling.wait import Wait

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

_PATCHES = Patches()

# A missed notification. A member may notify a condition while no thread waits there, although an outsider usually waits
# there: a worker thread that an earlier test started is still doing the last steps of its previous job. That thread
# then finds what it was notified of (a queue that is no longer empty) without a wait, so nothing would make it a
# member, and the clock would move while it works. Two attributes on the condition prevent this. The first says which
# threads may come back; until they have come, or wait elsewhere, the clock stands. The second says for whom they work
# from the moment they enter the condition.
_OUTSIDERS = "_claude_latency_outsiders"  # the identifiers of the threads that have waited there as outsiders
_MISSED = "_claude_latency_missed"  # the world whose member notified, if the notification was missed


@final
class Waiter(Wait):
    """One wait on a condition: stands in the condition's list of waiters, in place of a lock that `notify` releases."""

    limits = True

    def __init__(self, condition: Condition) -> None:
        super().__init__(None, "")  # no text: the message about a deadlock reads the call from the thread's stack
        self._condition = condition
        self._ident = get_ident()
        self._woken = False
        self.notified = False

    def release(self) -> None:
        """Wake the thread that waits; `Condition.notify` calls this.

        Raises:
            RuntimeError: the thread was notified before.
        """
        # The thread counts as running before this returns. If it only counted once it runs, the notifier could park
        # first, and the clock would move although this thread has something to do at this instant.
        with TRACKED_LOCK:
            if self.notified:
                # A signal handler interrupted an earlier `notify` before it took this waiter from the list. Python's
                # own lock raises this, and `notify` goes on to the next waiter.
                raise RuntimeError("release unlocked lock")
            self.notified = True
            OUTSIDERS.wake(self._ident)
            if self.member is not None and self.member.schedule is not None:
                self.member.schedule.unpark(self)
                return
            world = served()
            if world is None:
                self.wake()
                return
            if not adoptable(self._ident):
                OUTSIDERS.serve(self._ident, self._condition, world)
                self.wake()
                return
            # An outsider waits here. It is still blocked, so it is made a member that is about to come.
            self.member = admit(world, self._ident, borrowed_through=self._condition, counted=True)
            if world.schedule is None:
                self.wake()
            else:
                world.schedule.reserve(self)  # wakes it when its turn comes

    def wake(self) -> None:
        """Let the thread go on. A second call does nothing: the end of the world and `notify` may both call."""
        if not self._woken:
            self._woken = True
            super().wake()

    def rearm(self) -> None:
        """Let `wake` work once more."""
        self._woken = False

    def wait(self, timeout: float | None) -> None:
        """Block until notified, or until `timeout` seconds have passed; a member's seconds are virtual."""
        member = scheduled()
        if member is not None:
            if timeout is None or timeout > 0:
                self._wait_in_world(member, timeout)
            return
        member = MEMBERS.get(self._ident)
        if member is None or not member.really:
            with TRACKED_LOCK:
                # Once notified, it may have been made a member of another world, which must not be undone.
                if not self.notified:
                    OUTSIDERS.served(self._ident, self._condition)
                    self._rest(timeout)
                    _remember_outsider(self._condition)
                    if member is not None and member.borrowed_through is self._condition:
                        dismiss(self._ident)
        self._really_wait(timeout)

    def _wait_in_world(self, member: Member, timeout: float | None) -> None:
        world = member.world
        schedule, readings = world.schedule, world.readings
        assert schedule is not None
        assert readings is not None
        with TRACKED_LOCK:
            if self.notified:
                return
            through = member.borrowed_through
            returns = through is self._condition or (through is ANYTHING and timeout is None)
            if returns:  # its work for the world is done
                self._rest(timeout)
                _remember_outsider(self._condition)
                dismiss(member.ident)
            elif not world.ended:
                self.instant = None if timeout is None else due(world.clock.now(), timeout)
                self.park(member)
        if returns or self.member is None:
            self._really_wait(timeout)
            return
        stand(schedule, self)
        if world.ended:
            self._go_on_for_real(None if self.instant is None else (self.instant - readings.now()) / SECOND)

    def _go_on_for_real(self, rest: float | None) -> None:
        """Wait for `rest` more seconds, of the machine's: the end of the world woke this thread."""
        with TRACKED_LOCK:
            if self.notified:
                return
            self._woken = False  # or `notify` could not wake it again
            self._rest(rest)
        self._really_wait(rest)

    def _rest(self, timeout: float | None) -> None:
        """Note, before the thread stops to count, that it has nothing to do until notified. Caller must hold LOCK."""
        if timeout is None:
            OUTSIDERS.rest(self._ident)
            LEADS.catch_up(self._ident)
        elif timeout > 0:
            OUTSIDERS.sleep(self._ident)

    def _really_wait(self, timeout: float | None) -> None:
        try:
            if timeout is None:
                self.block()
            elif timeout > 0:
                self._lock.acquire(timeout=min(timeout, threading.TIMEOUT_MAX))
        finally:
            OUTSIDERS.wake(self._ident)


@_PATCHES.wraps("Condition.wait")
def _wait(_: Callable[..., bool], condition: Any, timeout: float | None = None) -> bool:
    """Do what `Condition.wait` does, with a waiter that a member can find, whether a member or an outsider waits."""
    if not condition._is_owned():
        raise RuntimeError("cannot wait on un-acquired lock")
    waiter = Waiter(condition)
    condition._waiters.append(waiter)
    saved = condition._release_save()
    try:
        waiter.wait(timeout)
    finally:
        condition._acquire_restore(saved)
        if not waiter.notified:
            with suppress(ValueError):  # a fork clears the list
                condition._waiters.remove(waiter)
    return waiter.notified


@_PATCHES.wraps("Condition.notify")
def _notify(original: Callable[..., None], condition: Any, n: int = 1) -> None:
    """Do what `Condition.notify` does; if nobody waits just now, remember who misses it."""
    outsiders: set[int] | None = condition.__dict__.get(_OUTSIDERS)
    notifier = MEMBERS.get(get_ident())
    if outsiders and not condition._waiters and notifier is not None and not notifier.world.ended:
        with TRACKED_LOCK:
            outsiders.intersection_update(threading._active)  # type: ignore[attr-defined] # living threads by identifier
            coming = {ident for ident in outsiders if adoptable(ident)}
            if coming:
                condition.__dict__[_MISSED] = notifier.world
                if notifier.schedule is not None:
                    notifier.schedule.real_work.add_missed_notification(condition, coming)
    original(condition, n)


@_PATCHES.wraps("Condition.__enter__")
def _enter(original: Callable[..., Any], condition: Any) -> Any:
    """Do what `with condition:` does; a thread that missed a notification works for the notifier's world from here."""
    entered = original(condition)
    world: WorldState | None = condition.__dict__.get(_MISSED)
    if world is not None:
        ident = get_ident()
        with TRACKED_LOCK:
            if not world.ended and ident in condition.__dict__[_OUTSIDERS] and adoptable(ident):
                admit(world, ident, borrowed_through=condition)
    return entered


def _remember_outsider(condition: Any) -> None:
    """Remember that the calling thread waits here as an outsider, and forget what it missed. Caller must hold LOCK."""
    condition.__dict__.setdefault(_OUTSIDERS, set()).add(get_ident())
    world: WorldState | None = condition.__dict__.pop(_MISSED, None)
    if world is not None and world.schedule is not None:
        world.schedule.real_work.remove_missed_notification(condition)


def install(monotonic: Callable[[], float]) -> None:
    """Patch `threading.Condition`; `monotonic` is the patched function, which replaces the copy made at import."""
    module: Any = threading
    module._time = monotonic  # `wait_for` and `Semaphore.acquire` measure their time-outs with it
    _PATCHES.install(module)

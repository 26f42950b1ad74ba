"""Threads that live in a world: how they start, end, join, and wait on conditions.

Everything in `threading` and `queue` that waits does so in `Condition.wait`
(events, queues, barriers, semaphores, futures) or in `Thread.join`. A thread
that a member starts is a member. An outsider that a member notifies works for
the member's world until it waits on the same condition again.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any, final

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time import calls
from pytest_claude_latency.virtual_time.patches.exempt_callers import BACKGROUND, exempt, package
from pytest_claude_latency.virtual_time.patches.patching import wrap
from pytest_claude_latency.virtual_time.scheduling.clock_readings import due
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import (
    ANYTHING,
    MEMBERS,
    Member,
    admit,
    adoptable,
    arrive,
    dismiss,
    is_background,
    mark_background,
    mark_worker,
    scheduled,
)
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident
from pytest_claude_latency.virtual_time.scheduling.scheduler import Wait

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.patches.thread_pools import Pool
    from pytest_claude_latency.virtual_time.scheduling.scheduler import Schedule
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

_LIFE = "_claude_latency_life"


@final
class Life:
    """What is known of a thread: its world, whether it is over, who waits for that.

    `pool` is set for the workers of one: they are members only while they run a job.
    """

    def __init__(self, world: WorldState | None, pool: Pool | None = None) -> None:
        self.world = world
        self.pool = pool
        self.reservation: Wait | None = None  # what a member was announced as
        self.over = False
        self.joiners: list[Wait] = []


def life_of(thread: Thread) -> Life | None:
    """What is known of the thread; None if it started before we could see it."""
    return thread.__dict__.get(_LIFE)


@final
class Waiter(Wait):
    """One wait on a condition, standing in the condition's list for the lock that `notify` releases there."""

    def __init__(self, condition: Condition) -> None:
        super().__init__(None, "")  # what for, the thread's stack tells better than the condition
        self._condition = condition
        self._ident = get_ident()
        self._signalled = False
        self.notified = False

    def release(self) -> None:
        """Notify: count the thread as running, if it had given its count back, before this returns."""
        with TRACKED_LOCK:
            if self.notified:
                raise RuntimeError("release unlocked lock")  # what `notify` expects of one notified before
            self.notified = True
            if self.member is not None and self.member.schedule is not None:
                self.member.schedule.unpark(self)
            elif not self._borrow():
                self.wake()

    def wake(self) -> None:
        """Let the thread go on; once is enough."""
        if not self._signalled:
            self._signalled = True
            super().wake()

    def stand(self, timeout: float | None) -> None:
        """Wait until notified or until `timeout` seconds have passed, in the thread's own time."""
        member = scheduled()
        if member is None:
            self._come_back()
            self._really_stand(timeout)
        elif timeout is None or timeout > 0:
            self._stand_in(member, timeout)

    def _stand_in(self, member: Member, timeout: float | None) -> None:
        world = member.world
        schedule, readings = world.schedule, world.readings
        assert schedule is not None
        assert readings is not None
        with TRACKED_LOCK:
            if self.notified:
                return
            lent = member.borrowed_through is self._condition or (
                member.borrowed_through is ANYTHING and timeout is None
            )
            if lent:
                calls.come_back(self._condition)
                dismiss(member.ident)
            elif not world.ended:
                self.instant = None if timeout is None else due(world.clock.now(), timeout)
                self.park(member)
        if lent or self.member is None:
            self._really_stand(timeout)
            return
        schedule.stand(self)
        if world.ended:
            rest = None if self.instant is None else (self.instant - readings.now()) / SECOND
            self._stand_on(rest)

    def _stand_on(self, rest: float | None) -> None:
        """The world ended around the wait: what is left of it is real."""
        with TRACKED_LOCK:
            if self.notified:
                return
            self._signalled = False
        self._really_stand(rest)

    def _really_stand(self, timeout: float | None) -> None:
        if timeout is None:
            self.block()
        elif timeout > 0:
            self._lock.acquire(timeout=min(timeout, threading.TIMEOUT_MAX))

    def _borrow(self) -> bool:
        """If an outsider waits here, let it work for the notifier's world; whether it now waits for its turn there."""
        notifier = MEMBERS.get(get_ident())
        if notifier is None or notifier.world.ended or not adoptable(self._ident):
            return False
        self.member = admit(notifier.world, self._ident, borrowed_through=self._condition, counted=True)
        if notifier.schedule is not None:
            notifier.schedule.reserve(self)
        return notifier.schedule is not None

    def _come_back(self) -> None:
        """A thread that is no member of an active virtual world waits here: it may be called from here."""
        member = MEMBERS.get(self._ident)
        if member is not None and member.really:
            return
        with TRACKED_LOCK:
            if self.notified:
                return
            calls.come_back(self._condition)
            if member is not None and member.borrowed_through is self._condition:
                dismiss(self._ident)


def _wait(condition: Any, timeout: float | None = None) -> bool:
    """`Condition.wait`, for members and outsiders alike: whoever waits can be found by who notifies."""
    if not condition._is_owned():
        raise RuntimeError("cannot wait on un-acquired lock")
    waiter = Waiter(condition)
    condition._waiters.append(waiter)
    saved = condition._release_save()
    try:
        waiter.stand(timeout)
    finally:
        condition._acquire_restore(saved)
        if not waiter.notified:
            with suppress(ValueError):  # a fork clears the list
                condition._waiters.remove(waiter)
    return waiter.notified


def _notify(original: Callable[..., None], condition: Any, n: int = 1) -> None:
    """`Condition.notify`; if nobody waits just now, whoever uses to wait there may be about to."""
    if not condition._waiters:
        calls.call(condition)
    original(condition, n)


def _enter(original: Callable[..., Any], condition: Any) -> Any:
    """`with condition:`, where a thread that was called finds out."""
    entered = original(condition)
    calls.answer(condition)
    return entered


def _start(original: Callable[[Thread], None], thread: Thread) -> None:
    """`Thread.start`: a thread counts as running from here on, before it does."""
    parent = MEMBERS.get(get_ident())
    life = _new_life(thread, parent, sys._getframe(2))
    if parent is None or life_of(thread) is not None:
        thread.__dict__.setdefault(_LIFE, life)
        original(thread)
        return
    thread.__dict__[_LIFE] = life
    if life.world is None:
        with _in_reality(parent):  # until it has started: nobody counts it
            original(thread)
    else:
        _start_member(original, thread, life, parent.schedule)


def _start_member(original: Callable[[Thread], None], thread: Thread, life: Life, schedule: Schedule | None) -> None:
    if schedule is None:
        original(thread)
        return
    reservation = life.reservation = Wait()
    with TRACKED_LOCK:
        schedule.reserve(reservation)
    try:
        original(thread)
    except BaseException:
        with TRACKED_LOCK:
            if reservation.member is None:
                schedule.withdraw(reservation)
        raise


@contextmanager
def _in_reality(member: Member) -> Iterator[None]:
    """The member waits, but counts as running: for the interpreter, which only takes a moment."""
    really, member.really = member.really, True
    try:
        yield
    finally:
        member.really = really


def _new_life(thread: Any, parent: Member | None, starter: Any) -> Life:
    pools = sys.modules.get("concurrent.futures.thread")
    if pools is not None and thread._target is pools._worker:
        from pytest_claude_latency.virtual_time.patches.thread_pools import submitted_to

        return Life(None, submitted_to())
    if starter.f_globals.get("__name__") == "trio._core._thread_cache":
        mark_worker(thread)
        return Life(None)  # a member only during its errands
    if package(starter) in BACKGROUND:
        mark_background(thread)
    return Life(None if parent is None or is_background(thread) else parent.world)


def _bootstrap_inner(original: Callable[[Thread], None], thread: Thread) -> None:
    """A thread's whole life, in the thread itself."""
    life = life_of(thread)
    ident = get_ident()
    try:
        if life is not None and life.world is not None:
            arrive(life.world, life.reservation or Wait())
        original(thread)
    finally:
        with TRACKED_LOCK:
            if life is not None:
                _end(life)
            dismiss(ident)


def _end(life: Life) -> None:
    life.over = True
    for joiner in life.joiners:
        if joiner.member is not None and joiner.member.schedule is not None:
            joiner.member.schedule.unpark(joiner)


def _join(original: Callable[..., None], thread: Thread, timeout: float | None = None) -> None:
    member = scheduled()
    life = life_of(thread)
    mine = thread.ident == get_ident()
    started = thread._started.is_set()  # type: ignore[attr-defined]
    at_once = timeout is not None and timeout <= 0
    if member is None or life is None or mine or not started or at_once or exempt(2):
        original(thread, timeout)
        return
    instant = None if timeout is None else due(member.world.clock.now(), timeout)
    while not life.over and not member.world.ended and _join_virtually(member, thread, life, instant):
        pass
    idle = life.pool is not None and not life.pool.occupies(thread.ident)
    if life.over or (idle and life.pool is not None and life.pool.closing):
        with _in_reality(member):
            original(thread)  # a moment, while the interpreter takes the thread down
    elif idle or member.world.ended:
        readings = member.world.readings
        assert readings is not None
        rest = None if instant is None else max(0, instant - readings.now()) / SECOND
        original(thread, rest)


def _join_virtually(member: Member, thread: Thread, life: Life, instant: int | None) -> bool:
    """One wait for the thread's end; whether there may be more to wait for."""
    with TRACKED_LOCK:
        schedule = member.schedule
        if life.over or schedule is None:
            return False
        if life.pool is not None and not life.pool.occupies(thread.ident):
            return False  # an idle worker: whatever it waits for, it is not time
        joiners = life.joiners if life.pool is None else life.pool.joiners
        wait = Wait(instant, f"joins {thread.name}")
        joiners.append(wait)
        wait.park(member)
    try:
        schedule.stand(wait)
    finally:
        with TRACKED_LOCK:
            joiners.remove(wait)
    return instant is None or member.world.clock.now() < instant


def _is_alive(original: Callable[[Thread], bool], thread: Thread) -> bool:
    """A thread whose life is over is not alive, though the interpreter may still be taking it down."""
    life = life_of(thread)
    return not (life is not None and life.over) and original(thread)


def install(monotonic: Callable[[], float]) -> None:
    """Patch `threading`; `monotonic` is the shim that it and `queue` measure their time-outs with."""
    module: Any = threading
    module._time = monotonic  # bound at import as a name of its own
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            mark_background(thread)  # pytest's own, or a plugin's
    module.Condition.wait = _wait
    for cls, name, wrapper in (
        (Condition, "notify", _notify),
        (Condition, "__enter__", _enter),
        (Thread, "start", _start),
        (Thread, "_bootstrap_inner", _bootstrap_inner),
        (Thread, "join", _join),
        (Thread, "is_alive", _is_alive),
    ):
        wrap(cls, name, wrapper)

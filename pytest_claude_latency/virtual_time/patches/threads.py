"""Threads of a world: how they start, end and join.

A thread that a member starts is a member. It counts as running from `Thread.start` on, before the interpreter runs it,
and until the last line of Python code that it executes.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any, final

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time.patches.exempt_callers import BACKGROUND, TOOLS, exempt, package
from pytest_claude_latency.virtual_time.patches.patching import Patches
from pytest_claude_latency.virtual_time.scheduling.clock_readings import due
from pytest_claude_latency.virtual_time.scheduling.lead import LEADS
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import (
    arrive,
    dismiss,
    is_background,
    mark_background,
    mark_tool,
    mark_worker,
)
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident
from pytest_claude_latency.virtual_time.scheduling.standing import stand
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS, Member, scheduled
from pytest_claude_latency.virtual_time.scheduling.wait import Wait

if TYPE_CHECKING:
    from types import FrameType

    from pytest_claude_latency.virtual_time.patches.thread_pools import PoolState
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

_PATCHES = Patches()
_LIFETIME = "_claude_latency_lifetime"


@final
class Lifetime:
    """One thread from its start to its end: its world, whether it has ended, and who waits for the end.

    `world` is None for an outsider. `pool` is set for a worker of a thread pool, which is a member only while it runs
    a job.
    """

    def __init__(self, world: WorldState | None, pool: PoolState | None = None) -> None:
        self.world = world
        self.pool = pool
        self.reservation: Wait | None = None  # what a member counts as until it runs
        self.ended = False
        self.joiners: list[Wait] = []


def lifetime_of(thread: Thread) -> Lifetime | None:
    """Return the lifetime of the thread; None if it started before `threading` was patched."""
    return thread.__dict__.get(_LIFETIME)


@_PATCHES.wraps("Thread.start")
def _start(original: Callable[[Thread], None], thread: Thread) -> None:
    """Do what `Thread.start` does; a thread that a member starts counts as running from here on."""
    parent = MEMBERS.get(get_ident())
    lifetime = _new_lifetime(thread, parent, starter=_starter(thread, sys._getframe(2)))
    schedule = None if parent is None else parent.schedule
    has_begun = lifetime_of(thread) is not None  # then the original raises
    if parent is None or schedule is None or has_begun:
        thread.__dict__.setdefault(_LIFETIME, lifetime)
        try:
            OUTSIDERS.expect(thread, comes=True)
            original(thread)
        finally:
            OUTSIDERS.expect(thread, comes=False)
        return
    thread.__dict__[_LIFETIME] = lifetime
    if lifetime.world is None:
        # Nobody counts the new thread, so a virtual wait for its start could let the clock move on meanwhile.
        with wait_for_interpreter(parent):
            original(thread)
        return
    # `Thread.start` waits until the thread runs. The reservation counts it in this wait: without it everybody would
    # seem to wait, and the clock would move before the thread has executed a line. The thread itself takes the
    # reservation over in `_bootstrap_inner`.
    reservation = lifetime.reservation = Wait()
    with TRACKED_LOCK:
        schedule.reserve(reservation)
    try:
        original(thread)
    except BaseException:
        with TRACKED_LOCK:
            # The thread may run all the same: Ctrl-C may have interrupted the wait for its first step.
            if reservation.member is None:
                schedule.withdraw(reservation)
        raise


def _starter(thread: Thread, caller: FrameType) -> FrameType:
    """Return the frame of the code that starts the thread, where `caller` calls `Thread.start`."""
    # Sentry and OpenTelemetry put functions of theirs in its place, to hand their context on to the threads of the
    # program. Such a function is given the thread, and is no method of the thread's own class.
    frame = caller
    while package(frame) in BACKGROUND and frame.f_back is not None:
        code = frame.f_code
        method = getattr(type(thread), code.co_name, None)
        is_own = method is not getattr(Thread, code.co_name, None) and getattr(method, "__code__", None) is code
        if is_own or not any(frame.f_locals.get(name) is thread for name in code.co_varnames[: code.co_argcount]):
            break
        frame = frame.f_back
    return frame


@contextmanager
def wait_for_interpreter(member: Member) -> Iterator[None]:
    """Let the waits of the member in this block be real, while it counts as running: they only take a moment."""
    really, member.really = member.really, True
    try:
        yield
    finally:
        member.really = really


def _new_lifetime(thread: Any, parent: Member | None, starter: Any) -> Lifetime:
    """Decide what the thread will be: a member of its parent's world, a worker of a pool or cache, or an outsider."""
    pools = sys.modules.get("concurrent.futures.thread")
    if pools is not None and thread._target is pools._worker:
        from pytest_claude_latency.virtual_time.patches.thread_pools import submitted_to

        mark_worker(thread)
        return Lifetime(None, submitted_to())
    if starter.f_globals.get("__name__") == "trio._core._thread_cache":
        mark_worker(thread)
        return Lifetime(None)  # `trio_runs` makes it a member while it runs a job
    # `multiprocessing.dummy` starts the workers of a `ThreadPool`, which run functions of the program.
    if package(starter) in BACKGROUND and starter.f_globals.get("__name__") != "multiprocessing.dummy":
        _mark_library(thread, starter)
    return Lifetime(None if parent is None or is_background(thread) else parent.world)


def _mark_library(thread: Thread, origin: Any) -> None:
    """Mark a thread of a test tool or another library; `origin` is its function, or the frame that starts it."""
    module = getattr(origin, "__module__", "") or getattr(origin, "f_globals", {}).get("__name__", "")
    if module.partition(".")[0] in TOOLS:
        mark_tool(thread)
    else:
        mark_background(thread)


@_PATCHES.wraps("Thread._bootstrap_inner")
def _bootstrap_inner(original: Callable[[Thread], None], thread: Thread) -> None:
    """Do what a thread does from its first to its last line of Python code; runs in the thread itself."""
    lifetime = lifetime_of(thread)
    ident = get_ident()
    with TRACKED_LOCK:
        LEADS.catch_up(ident)  # an earlier thread may have had the same identifier
    try:
        if lifetime is not None and lifetime.world is not None:
            arrive(lifetime.world, lifetime.reservation or Wait())
        original(thread)
    finally:
        # In one step: if the thread stopped counting first, the clock could pass the instant at which it ended before
        # those who join it count as running again.
        with TRACKED_LOCK:
            if lifetime is not None:
                lifetime.ended = True
                for joiner in lifetime.joiners:
                    joiner.unpark()
            OUTSIDERS.joined.discard(ident)
            dismiss(ident)


@_PATCHES.wraps("Thread.join")
def _join(original: Callable[..., None], thread: Thread, timeout: float | None = None) -> None:
    """Do what `Thread.join` does, in the time of the caller's world."""
    # Python waits on a plain lock for the end of a thread, since 3.13 in C code, where nobody can count the waiter as
    # running again before it runs. A member waits for `Lifetime.ended` instead.
    member = scheduled()
    lifetime = lifetime_of(thread)
    own = thread.ident == get_ident()
    started = thread._started.is_set()  # type: ignore[attr-defined] # no public name tells started from ended
    at_once = timeout is not None and timeout <= 0
    if member is None or lifetime is None or own or not started or at_once or exempt(2):
        original(thread, timeout)
        return
    instant = None if timeout is None else due(member.world.clock.now(), timeout)
    while not lifetime.ended and not member.world.ended and _wait_for_end(member, thread, lifetime, instant):
        pass
    idle = lifetime.pool is not None and not lifetime.pool.occupies(thread.ident)
    if lifetime.ended or (idle and lifetime.pool is not None and lifetime.pool.closing):
        # All that is left is the interpreter's work: it takes the thread down, or lets an idle worker see that its pool
        # closes. The clock must not move meanwhile.
        with wait_for_interpreter(member):
            original(thread)
    elif idle or member.world.ended:
        readings = member.world.readings
        assert readings is not None
        rest = None if instant is None else max(0, instant - readings.now()) / SECOND
        original(thread, rest)


def _wait_for_end(member: Member, thread: Thread, lifetime: Lifetime, instant: int | None) -> bool:
    """Wait until the thread ends or `instant` comes; return whether the caller should look again, and wait again."""
    # A worker of a pool ends when the pool shuts down, which nobody in the world may do. So those who join a worker are
    # woken at the end of each job, to look whether it is idle.
    pool = lifetime.pool
    with TRACKED_LOCK:
        schedule = member.schedule
        if lifetime.ended or schedule is None:
            return False
        if pool is not None and not pool.occupies(thread.ident):
            return False  # an idle worker waits for a job, and no instant of the clock brings one
        joiners = lifetime.joiners if pool is None else pool.joiners
        wait = Wait(instant, f"joins {thread.name}")
        if lifetime.world is None and pool is None and thread.ident is not None:
            wait.limits, wait.joins = True, thread.ident
            OUTSIDERS.join(thread.ident)
        joiners.append(wait)
        wait.park(member)
    try:
        stand(schedule, wait)
    finally:
        with TRACKED_LOCK:
            joiners.remove(wait)
    return instant is None or member.world.clock.now() < instant


@_PATCHES.wraps("Thread.is_alive")
def _is_alive(original: Callable[[Thread], bool], thread: Thread) -> bool:
    """Do what `Thread.is_alive` does; a thread that has ended is not alive."""
    # The interpreter may still be taking it down. How long that takes is chance, and a program must get the same answer
    # in every run.
    # Asked in any case: up to Python 3.12 it notes on the thread that it has ended.
    alive, lifetime = original(thread), lifetime_of(thread)
    return alive and not (lifetime is not None and lifetime.ended)


@_PATCHES.wraps("Thread.__repr__")
def _repr(original: Callable[[Thread], str], thread: Thread) -> str:
    """Do what `repr` does; a thread that has ended is stopped, also while the interpreter takes it down."""
    lifetime, text = lifetime_of(thread), original(thread)
    if lifetime is None or not lifetime.ended:
        return text
    return text.replace(f"({thread.name}, started", f"({thread.name}, stopped", 1)


def install(older: Iterable[Thread]) -> None:
    """Patch `threading.Thread`. `older` threads may be pytest's own, or a plugin's: they are never members."""
    for thread in older:
        if thread is not threading.main_thread():
            _mark_library(thread, getattr(thread, "_target", None))  # what it runs; one that has ended has none
    _PATCHES.install(threading)

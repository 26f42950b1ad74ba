"""Threads that a program starts with `_thread.start_new_thread`, below `threading`.

One that a member starts is a member, as `threads` makes those of `threading.Thread`. `threading` has its own name for
the function, which stays the machine's.
"""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, final

from pytest_claude_latency.virtual_time.patches.exempt_callers import BACKGROUND, package
from pytest_claude_latency.virtual_time.patches.patching import Patches
from pytest_claude_latency.virtual_time.scheduling.lead import LEADS
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import NATIVE_IDS, OURS, arrive, dismiss
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS
from pytest_claude_latency.virtual_time.scheduling.wait import Wait
from pytest_claude_latency.virtual_time.watch.thread_count import Life, end

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

_PATCHES = Patches()


@final
class _Run:
    """What the thread runs in place of the function of the program; messages of the interpreter name that."""

    def __init__(
        self, world: WorldState, function: Callable[..., object], arguments: Any, keywords: Any = None
    ) -> None:
        self._world = world
        self._function = function
        self._arguments = arguments
        self._keywords = keywords or {}
        self.reservation = Wait()

    def __call__(self, life: Life) -> None:
        """Do what the thread does, from its first to its last step; runs in the thread itself."""
        ident = get_ident()
        with TRACKED_LOCK:
            NATIVE_IDS[ident] = threading.get_native_id()
            LEADS.catch_up(ident)  # an earlier thread may have had the same identifier
        try:
            arrive(self._world, self.reservation)
            self._function(*self._arguments, **self._keywords)
        finally:
            with TRACKED_LOCK:
                NATIVE_IDS.pop(ident, None)
                end(life)
                dismiss(ident)
            del life  # an exception that somebody keeps would keep the frame, and so the life

    def __repr__(self) -> str:
        """Return what the interpreter shows of the function."""
        return repr(self._function)


def start(function: Callable[[], object]) -> None:
    """Start a thread for this function, a member if the caller is one."""
    _thread.start_new_thread(function, ())


def _is_call(function: Any = None, arguments: Any = None, keywords: Any = None, *more: object) -> bool:
    """Return whether the interpreter takes these arguments."""
    return (
        callable(function)
        and isinstance(arguments, tuple)
        and (keywords is None or isinstance(keywords, dict))
        and not more
    )


@_PATCHES.wraps("start_new_thread")
def _start_new_thread(original: Callable[..., int], *args: Any) -> int:
    """Do what the function does; a thread that a member starts counts as running from here on."""
    parent = MEMBERS.get(get_ident())
    if parent is None or not _is_call(*args) or package(sys._getframe(2)) in BACKGROUND:
        return original(*args)
    schedule, run = parent.schedule, _Run(parent.world, *args)
    if schedule is not None:
        with TRACKED_LOCK:
            schedule.reserve(run.reservation)
    try:
        return original(run, (Life(),))
    except BaseException:
        if schedule is not None:
            with TRACKED_LOCK:
                schedule.withdraw(run.reservation)
        raise


def install(older: Iterable[int]) -> None:
    """Patch the function. `older` are the kernel's identifiers of threads that are nobody's in any world.

    The one by which pytest-xdist sends a worker its orders waits for another process all the time, and would look like
    work that a replay must wait for.
    """
    OURS.update(older)
    _PATCHES.install(_thread)

"""Threads that a program starts with `_thread.start_new_thread`, below `threading`.

One that a member starts is a member, as `threads` makes those of `threading.Thread`. `threading` has its own name for
the function, which stays the machine's.
"""

from __future__ import annotations

import _thread
import contextlib
import functools
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

from pytest_claude_latency.virtual_time.patches.exempt_callers import BACKGROUND, package
from pytest_claude_latency.virtual_time.scheduling.lead import LEADS
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import MEMBERS, NATIVE_IDS, OURS, arrive, dismiss
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident
from pytest_claude_latency.virtual_time.scheduling.wait import Wait
from pytest_claude_latency.virtual_time.watch.thread_count import Life, end

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState


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


def install() -> None:
    """Patch the two names of the function.

    Threads that began below `threading` before this are nobody's in any world. The one by which pytest-xdist sends a
    worker its orders waits for another process all the time, and would look like work that a replay must wait for.
    """
    # Eventlet lists threads of its own, which have no such identifier.
    listed = {threading.get_native_id(), *(getattr(thread, "native_id", None) for thread in threading.enumerate())}
    with contextlib.suppress(OSError):  # Linux only: elsewhere they cannot be listed, and nobody looks at them
        tasks = os.listdir("/proc/self/task")  # noqa: PTH208 - `pathlib` costs more than all the rest of this
        OURS.update(ident for ident in map(int, tasks) if ident not in listed)
    module: Any = _thread
    original: Callable[..., int] = module.start_new_thread

    @functools.wraps(original)
    def start_new_thread(*args: Any) -> int:
        parent = MEMBERS.get(get_ident())
        if parent is None or not _is_call(*args) or package(sys._getframe(1)) in BACKGROUND:
            return original(*args)
        # the new thread counts as running from here on
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

    module.start_new_thread = module.start_new = start_new_thread

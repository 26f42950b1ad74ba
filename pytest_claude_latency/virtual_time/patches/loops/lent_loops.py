"""Loops of asyncio that are older than a test and are handed work by a connection: uvicorn in a fixture, for example.

Such a loop lives in the world of the test as long as it has a task or a timer that it began for the test. Its older
tasks, a server's that looks after its connections for example, do not count.
"""

from __future__ import annotations

import sys
from typing import Any, final

from pytest_claude_latency.virtual_time.scheduling.members import dismiss

_LENT = "_claude_latency_lent"  # the attribute of a loop that holds its `_Older` while it is lent


@final
class _Older:
    """What a loop had to do before it was lent."""

    def __init__(self, loop: Any) -> None:
        self.tasks = _tasks_of(loop)
        self.timers = list(loop._scheduled)  # kept, so that no younger timer gets the identity of one of them
        self._identities = {id(timer) for timer in self.timers}

    def is_all(self, loop: Any) -> bool:
        """Return whether the loop has nothing younger to do."""
        if not _tasks_of(loop) <= self.tasks:
            return False
        waits = {getattr(task, "_fut_waiter", None) for task in self.tasks}
        return all(
            timer._cancelled or id(timer) in self._identities or self._wakes_one(timer, waits)
            for timer in loop._scheduled
        )

    def _wakes_one(self, timer: Any, waits: set[Any]) -> bool:
        """Return whether a younger timer is one of an older task: the end of a sleep, or of a time-out."""
        limit = getattr(timer._callback, "__self__", None)
        return any(argument in waits for argument in timer._args[:1]) or getattr(limit, "_task", None) in self.tasks


def _tasks_of(loop: Any) -> set[Any]:
    # This module is imported while asyncio still is.
    tasks: set[Any] = sys.modules["asyncio"].all_tasks(loop)
    return tasks


def note(loop: Any) -> None:
    """Note what a loop has to do as it is lent."""
    loop.__dict__[_LENT] = _Older(loop)


def is_over(loop: Any) -> bool:
    """Return whether a loop that was lent has done what it was given. The calling thread runs it."""
    older: _Older | None = loop.__dict__.get(_LENT)
    return older is not None and not loop._ready and older.is_all(loop)


def give_back(loop: Any, ident: int) -> None:
    """Let the thread that runs the loop be an outsider again. Caller must hold LOCK."""
    del loop.__dict__[_LENT]
    dismiss(ident)

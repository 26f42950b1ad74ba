"""The interpreter's count of threads, as a program should read it: without ours, and without those that have ended.

How long a thread is taken down after its last step is chance, and a program that waits for the count must get the same
answer in every run.
"""

from __future__ import annotations

import _thread
import functools
import os
import weakref
from collections.abc import Callable
from typing import Any, final

from pytest_claude_latency.virtual_time.scheduling.members import OURS


@final
class Life:
    """The life of one thread, among its arguments: the interpreter drops these as it stops to count the thread."""

    __slots__ = ("__weakref__",)


_ended: set[weakref.ref[Life]] = set()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ended.clear)  # the child has none of these threads


def end(life: Life) -> None:
    """Note that a thread has taken its last step. Caller must hold LOCK."""
    for reference in [other for other in _ended if other() is None]:
        _ended.discard(reference)
    _ended.add(weakref.ref(life))


def hide() -> None:
    """Let the interpreter's count leave out what a program must not see."""
    interpreter: Any = _thread
    machine: Callable[[], int] = interpreter._count
    if hasattr(machine, "__wrapped__"):
        return

    @functools.wraps(machine)
    def count() -> int:
        counted = machine()  # first: a thread that ends in between is then counted once too often, not too seldom
        return counted - len(OURS) - sum(life() is not None for life in _ended.copy())

    interpreter._count = count

"""The one lock under which everything is counted."""

from __future__ import annotations

from typing import final

from pytest_claude_latency.virtual_time.scheduling.real_clock import RLock, get_ident

# Re-entrant: a garbage collection inside a guarded step may run a finalizer that notifies somebody.
LOCK = RLock()


@final
class _TrackedLock:
    """`LOCK` for code that outsiders run too: shows who stands before it, since they look idle from outside."""

    def __init__(self) -> None:
        self.waiting: set[int] = set()

    def __enter__(self) -> None:
        if LOCK.acquire(blocking=False):
            return
        ident = get_ident()
        self.waiting.add(ident)
        try:
            LOCK.acquire()
        finally:
            self.waiting.discard(ident)

    def __exit__(self, *_: object) -> None:
        LOCK.release()


TRACKED_LOCK = _TrackedLock()

"""The one lock under which everything is counted.

One lock and not several: a wake-up touches the waiting thread, the schedule, the
turns and the table of members, and nobody may see it half done.
"""

from __future__ import annotations

from typing import final

from pytest_claude_latency.virtual_time.scheduling.real_clock import RLock, get_ident

# Re-entrant: a garbage collection inside a guarded step may run a finalizer that notifies a condition, which takes the
# lock again in the same thread.
LOCK = RLock()


@final
class _TrackedLock:
    """`LOCK` for code that outsiders run too; it lists who waits for it."""

    # The watchdog asks whether outsiders are at work. An outsider that waits for our own lock looks idle from outside,
    # although it is about to notify a member. Without the list, the clock would move before it does.

    def __init__(self) -> None:
        self.waiting: set[int] = set()  # identifiers of threads

    def __enter__(self) -> None:
        if LOCK.acquire(blocking=False):  # the most frequent case, for which nothing is listed
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

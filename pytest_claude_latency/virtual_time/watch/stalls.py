"""Stalls of the machine: stretches in which this process could not run, though it was not computing.

A processor that other programs have taken, a process or a whole machine that was stopped: all of these make answers
arrive late that did not come late. A thread that wakes at a fixed pace sees it, since it wakes late too.
"""

from __future__ import annotations

from collections.abc import Callable
from time import process_time_ns
from typing import Final, final

from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.scheduling.holds import LEAST_LAG
from pytest_claude_latency.virtual_time.scheduling.members import as_ours
from pytest_claude_latency.virtual_time.scheduling.real_clock import (
    LockType,
    allocate_lock,
    monotonic_ns,
    start_new_thread,
)
from pytest_claude_latency.virtual_time.watch import thread_count

_PERIOD: Final[Nanoseconds] = 50 * MILLISECOND
_MOST = 1000  # a machine that is always busy needs no longer list
LEAST: Final[Nanoseconds] = 300 * MILLISECOND
"""A process that waits less for its turn is what every machine does at times."""


@final
class StallWatch:
    """Notes the stalls between `start` and `stop`. It can be started again.

    `on_look` is called each time it has looked.
    """

    def __init__(self, on_look: Callable[[], None] | None = None) -> None:
        self._on_look = on_look
        self.stalls: list[tuple[Nanoseconds, Nanoseconds]] = []
        """When each began and ended, on the machine's monotonic clock."""
        self.lags: list[tuple[Nanoseconds, Nanoseconds]] = []
        """The same of each time in which no thread of Python ran as it should, whatever was the reason."""
        self._looked = self._computed = 0
        self._looking = allocate_lock()
        self._stop_event: LockType | None = None  # a plain lock: an `Event` is patched

    def start(self) -> None:
        """Begin to watch, in a thread that no list of Python's shows."""
        thread_count.hide()
        self._looked, self._computed = monotonic_ns(), process_time_ns()
        self._stop_event = allocate_lock()
        self._stop_event.acquire()
        start_new_thread(self._run, (self._stop_event,))

    def stop(self) -> None:
        """Stop to watch. Stopping twice does nothing."""
        stop_event, self._stop_event = self._stop_event, None
        if stop_event is not None:
            self._look()  # the thread may still sleep through a stall that has just ended
            stop_event.release()

    def _run(self, stop_event: LockType) -> None:
        with as_ours():
            while not stop_event.acquire(timeout=_PERIOD / SECOND):
                self._look()
                if self._on_look is not None:
                    self._on_look()

    def _look(self) -> None:
        # Never waited for: in a forked child the thread that holds it does not exist.
        if not self._looking.acquire(blocking=False):
            return
        now, computed = monotonic_ns(), process_time_ns()
        # Code in C may keep other threads of Python from running. As long as it computes, the machine does its work.
        late = (now - self._looked) - _PERIOD
        if late >= LEAST_LAG and len(self.lags) < _MOST:
            self.lags.append((now - late, now))
        stalled = late - (computed - self._computed)
        if stalled >= LEAST:
            self.stalls.append((now - stalled, now))
        self._looked, self._computed = now, computed
        self._looking.release()

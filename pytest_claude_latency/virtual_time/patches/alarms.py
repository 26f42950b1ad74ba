"""Alarms: the tasks of one asyncio loop or one trio run that wait for an exact instant."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, final

if TYPE_CHECKING:
    from pytest_claude_latency.duration import Nanoseconds


class Alarm(Protocol):
    """What stands for a task that waits: a future of asyncio, for example."""

    def done(self) -> bool:
        """Return whether nobody waits for it any more."""
        ...


AlarmT = TypeVar("AlarmT", bound=Alarm)


@final
class Alarms(Generic[AlarmT]):
    """A heap of alarms. `ring` hands those that are due to `wake`, in the order of their instants."""

    # A heap of our own and not the timers of asyncio or trio: those are float seconds, which cannot name the
    # nanosecond at which a recorded chunk came.
    def __init__(self, wake: Callable[[AlarmT], object]) -> None:
        self._wake = wake
        self._heap: list[tuple[Nanoseconds, int, AlarmT]] = []
        self._order = count()  # of alarms at the same instant, and so that alarms themselves are never compared

    def add(self, instant: Nanoseconds, alarm: AlarmT) -> None:
        """Let the alarm ring when the clock reads `instant`."""
        heappush(self._heap, (instant, next(self._order), alarm))

    def first(self) -> Nanoseconds | None:
        """Return the earliest instant that a task still waits for; None if no task waits."""
        # An alarm whose task was cancelled stays in the heap until it comes first: to search for it would cost more.
        while self._heap and self._heap[0][2].done():
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def ring(self, now: Nanoseconds) -> None:
        """Wake the tasks whose instant has come."""
        while self._heap and self._heap[0][0] <= now:
            alarm = heappop(self._heap)[2]
            if not alarm.done():
                self._wake(alarm)

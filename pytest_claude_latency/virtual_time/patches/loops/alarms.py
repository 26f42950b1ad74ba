"""Alarms: the tasks of one asyncio loop or one trio run that wait for an exact instant."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, final

if TYPE_CHECKING:
    from pytest_claude_latency.duration import Nanoseconds

_SAME = 0.8
"""How much of the time by which something was late a hold must cover to be the one that made it so."""


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
        self._late: list[tuple[Nanoseconds, Nanoseconds, AlarmT]] = []  # since when, by when, and the alarm
        self._hold: tuple[Nanoseconds, Nanoseconds] = (0, 0)  # the last one
        self._order = count()  # of alarms at the same instant, and so that alarms themselves are never compared

    def add(self, instant: Nanoseconds, alarm: AlarmT, since: Nanoseconds | None = None) -> None:
        """Let the alarm ring when the clock reads `instant`, or at the end of a hold that made it as late.

        `since` is since when that for which the task waits may have been there.
        """
        heappush(self._heap, (instant, next(self._order), alarm))
        if since is not None:
            self._late.append((since, instant, alarm))

    def is_there(self, instant: Nanoseconds, since: Nanoseconds) -> bool:
        """Return whether the last hold made late what may have been there since `since`, and else comes at `instant`.

        While it was recorded, a hold lasted from one to the other. Here it begins and ends some milliseconds away from
        them, since computing takes no time. In reality it was there when the hold ended.
        """
        start, end = self._hold
        return end - max(start, since) >= _SAME * (instant - since)

    def hold(self, start: Nanoseconds, end: Nanoseconds) -> None:
        """Note that no task could run from `start` to `end`, which is now; what came meanwhile is due at once."""
        if start >= end:
            return
        self._hold = start, end
        late, self._late = self._late, []
        for since, instant, alarm in late:
            if alarm.done() or instant <= end:
                continue
            if self.is_there(instant, since):
                heappush(self._heap, (end, next(self._order), alarm))
            else:
                self._late.append((since, instant, alarm))

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

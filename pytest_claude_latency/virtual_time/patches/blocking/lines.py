"""Members that wait for a lock or for a queue, in the order in which they came."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, final

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time.scheduling.clock_readings import due
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import scheduled
from pytest_claude_latency.virtual_time.scheduling.standing import stand
from pytest_claude_latency.virtual_time.scheduling.wait import Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_claude_latency.duration import Nanoseconds
    from pytest_claude_latency.virtual_time.scheduling.members import Member


@final
class Place(Wait):
    """One wait in a line. `granted` says that it ended because what it waits for has come."""

    limits = True  # what it waits for, somebody else should bring before

    def __init__(self, instant: Nanoseconds | None, what: str) -> None:
        super().__init__(instant, what)
        self.granted = False


@final
class Line:
    """Who waits for one lock or queue. False while nobody does, which costs least to ask."""

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places: deque[Place] = deque()

    def __bool__(self) -> bool:
        """Whether somebody may be waiting."""
        return bool(self._places)

    def first(self) -> Place | None:
        """Take the first who still waits out of the line, and return its place. Caller must hold LOCK."""
        while self._places:
            place = self._places.popleft()
            if (
                not place.over or place.interrupted
            ):  # else its limit has passed, or its world has ended: it is about to leave
                return place
        return None

    def wait(self, member: Member, place: Place, come: Callable[[], bool]) -> None:
        """Let the calling thread wait in this place until it is woken, or until the clock reads the place's instant.

        `come` tells, under the lock, whether what it waits for has come already: then it does not wait. Neither does it
        if the world has ended.
        """
        with TRACKED_LOCK:
            # Asked under the lock. Who releases a lock, or puts something into a queue, does so first and looks for a
            # line afterwards. So either this thread finds what has come, or the other thread finds this one.
            schedule = member.schedule
            if schedule is None or come():
                return
            self._places.append(place)
            place.park(member)
        try:
            stand(schedule, place)
        finally:
            with TRACKED_LOCK:
                if place in self._places:
                    self._places.remove(place)

    def clear(self) -> None:
        """Forget everybody, in the child after a fork."""
        self._places.clear()


def instant_after(member: Member, seconds: float | None) -> Nanoseconds | None:
    """Return the instant so many seconds from now in the world of the member; None for no limit."""
    return None if seconds is None else due(member.world.clock.now(), seconds)


def seconds_left(member: Member, instant: Nanoseconds | None) -> float | None:
    """Return how many seconds are left until an instant of the member's world, which has ended; None for no limit."""
    readings = member.world.readings
    assert readings is not None
    return None if instant is None else max(0.0, (instant - readings.now()) / SECOND)


def spin() -> None:
    """Count an attempt that a member makes without a wait: if it repeats it for ever, time must pass."""
    member = scheduled()
    if member is not None and member.world.readings is not None:
        member.world.readings.spin()

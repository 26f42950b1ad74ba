"""Threads that wait for a lock or for a queue, in the order in which they came."""

from __future__ import annotations

import os
from collections import deque
from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING, final

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time.scheduling.clock_readings import due
from pytest_claude_latency.virtual_time.scheduling.lead import LEADS
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import admit, adoptable, served
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident
from pytest_claude_latency.virtual_time.scheduling.standing import stand
from pytest_claude_latency.virtual_time.scheduling.wait import Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_claude_latency.duration import Nanoseconds
    from pytest_claude_latency.virtual_time.scheduling.table import Member


@final
class Place(Wait):
    """One wait in a line. `granted` says that it ended because what it waits for has come."""

    limits = True  # what it waits for, somebody else should bring before

    def __init__(self, instant: Nanoseconds | None, what: str) -> None:
        super().__init__(instant, what)
        self.granted = False
        self.process = os.getpid()
        self.ident: int | None = None  # of the outsider that waits here; None for a member

    def block_for(self, seconds: float | None) -> None:
        """Stand still until woken, or until so many of the machine's seconds have passed."""
        woken = self._lock.acquire(timeout=-1 if seconds is None else min(seconds, TIMEOUT_MAX))
        if not woken and self.member is not None:  # called at the last moment, so its turn will come
            self.block()

    def call(self, source: object) -> None:
        """Let the thread go on. An outsider works from here on for the world for which the calling thread does this.

        It does so until it waits for something from `source` again. Caller must hold LOCK.
        """
        if self.ident is None:
            self.unpark()
            return
        OUTSIDERS.wake(self.ident)
        world = served()
        if world is None or world.schedule is None:
            self.wake()
        elif adoptable(self.ident):
            # It still stands here, so it is made a member that is about to come.
            self.member = admit(world, self.ident, borrowed_through=source, counted=True)
            self.member.visiting = True
            world.schedule.reserve(self)  # wakes it when its turn comes
        else:
            OUTSIDERS.serve(self.ident, source, world)
            self.wake()


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
            # It is over if its limit has passed, or its world has ended: it is about to leave. And a forked child has
            # none of the threads that waited when it was forked.
            if (not place.over or place.interrupted) and place.process == os.getpid():
                return place
        return None

    def wait(self, member: Member, place: Place, come: Callable[[], bool]) -> None:
        """Let the calling thread wait in this place until it is woken, or until the clock reads the place's instant.

        `come` tells, under the lock, whether what it waits for has come already: then it does not wait. Neither does it
        if the world has ended.
        """
        with TRACKED_LOCK:
            schedule = member.schedule
            if schedule is None or self._has_come(place, come):
                return
            place.park(member)
        try:
            stand(schedule, place)
        finally:
            with TRACKED_LOCK:
                if place in self._places:
                    self._places.remove(place)

    def wait_outside(self, place: Place, seconds: float | None, come: Callable[[], bool]) -> None:
        """Let the calling thread, an outsider, wait in this place for real, where a member can find it.

        It need not be woken if it is an outsider: it rests, and nobody has to look at it.
        """
        ident = get_ident()
        with TRACKED_LOCK:
            place.ident = ident
            if self._has_come(place, come):
                return
            if seconds is None:
                OUTSIDERS.rest(ident)
                LEADS.catch_up(ident)
            else:
                OUTSIDERS.sleep(ident)
        try:
            place.block_for(seconds)
        finally:
            with TRACKED_LOCK:
                if place in self._places:
                    self._places.remove(place)
                OUTSIDERS.wake(ident)

    def _has_come(self, place: Place, come: Callable[[], bool]) -> bool:
        """Put the place in the line, unless what it would wait for has come. Caller must hold LOCK."""
        # In this order. Who releases a lock, or puts something into a queue, does so first and looks for a line
        # afterwards, without our lock. So either this thread finds what has come, or the other thread finds this one.
        self._places.append(place)
        if come():
            self._places.remove(place)
            return True
        return False

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

"""How a thread waits in a world: until an instant, or for some seconds.

The wait is virtual while the world is active. If the world ends in the middle
of it, the rest of the wait is real, so no thread goes on too early.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time.scheduling import real_clock
from pytest_claude_latency.virtual_time.scheduling.clock_readings import due
from pytest_claude_latency.virtual_time.scheduling.lock import LOCK
from pytest_claude_latency.virtual_time.scheduling.members import ANYTHING, admit, bystanders, offer_turn
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident
from pytest_claude_latency.virtual_time.scheduling.standing import stand
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS, current
from pytest_claude_latency.virtual_time.scheduling.wait import Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_claude_latency.duration import Nanoseconds
    from pytest_claude_latency.virtual_time.scheduling.scheduler import Schedule
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

_AN_ANSWER = "a replayed answer"  # for which the API keeps a thread waiting, and not the program


def sleep(world: WorldState, seconds: float) -> None:
    """Do what `time.sleep` does, for a member of a world of virtual time."""
    schedule, readings = world.schedule, world.readings
    assert schedule is not None
    assert readings is not None
    if world.ended:
        real_clock.sleep(seconds)
    elif seconds == 0:
        # A program that calls `sleep(0)` in a loop waits for another thread, or for time to pass. Allow both, and give
        # the interpreter to threads that are no members.
        readings.spin()
        offer_turn()
        real_clock.sleep(0)
    else:
        began = world.clock.now()
        instant = due(began, seconds)
        # Nobody else can run before `instant`: this thread moves the clock itself, without parking.
        with LOCK:
            is_alone = schedule.free_until(instant) and not world.ended
            if is_alone:
                schedule.move_to(instant)
        if is_alone:
            world.holds.note_wait(began, instant, "time.sleep")
        else:
            park_until(world, instant, "time.sleep")


def sleep_until(world: WorldState, instant: Nanoseconds) -> None:
    """Let the calling thread wait until the clock reads `instant`; return at once if it does already."""
    schedule = world.schedule
    if schedule is None:
        _really_sleep_until(world, instant)
        return
    with LOCK:
        if instant <= world.clock.now():
            return
        # Here it matters more: parking would cost two locks and a switch for each chunk of a stream. All
        # is asked under the lock, so that nobody can begin to run between the question and the move. The world is asked
        # too: a thread of no world that waits here is not counted, so the one that runs would be another.
        if schedule.free_until(instant) and not world.ended and current() is world:
            schedule.move_to(instant)
            return
    park_until(world, instant, _AN_ANSWER)


class Shortcut:
    """How one stream gets from chunk to chunk in `world`, where nobody else could go on in between.

    Most tests read their streams alone. To wait is then to move the clock, and each step of the general way costs more
    than the chunk. A shortcut asks the same as `sleep_until`, and remembers who asked, in which state of the process:
    until one of the two changes, most of the answer holds.

    A task asks `is_alone_in_loop`, too, whether its loop has nothing else to do until an instant. It is asked last.
    """

    __slots__ = (
        "_clock",
        "_ident",
        "_is_alone_in_loop",
        "_real_work",
        "_schedule",
        "_threads",
        "_timers",
        "_version",
        "_world",
    )

    def __init__(
        self, world: WorldState, schedule: Schedule, is_alone_in_loop: Callable[[Nanoseconds], bool] | None = None
    ) -> None:
        self._is_alone_in_loop = is_alone_in_loop
        self._world = world
        self._schedule = schedule
        self._clock = schedule.clock
        self._timers = schedule.timers
        self._real_work = schedule.real_work
        self._version = self._threads = self._ident = -1

    def skip_to(self, instant: Nanoseconds) -> Nanoseconds | None:
        """Let the clock read `instant` if only the calling thread could go on until then, and return what it reads.

        It may read more already. Return None if the thread has to wait.
        """
        # Under the lock nobody can begin to run between the question and the move. Nothing is called that can be asked
        # in place: each chunk comes through here.
        with LOCK:
            clock = self._clock
            if instant <= clock.instant:
                return clock.instant
            if (
                self._schedule.running == 1
                and self._timers.earliest > instant
                and not self._real_work.pending
                and (
                    (
                        self._version == OUTSIDERS.version
                        and self._threads == len(threading._active)  # type: ignore[attr-defined] # by identifier
                        and self._ident == get_ident()
                    )
                    or self._is_alone()
                )
                and (self._is_alone_in_loop is None or self._is_alone_in_loop(instant))
            ):
                self._schedule.times_moved += 1
                clock.instant = instant
                return instant
        return None

    def _is_alone(self) -> bool:
        """Return whether the calling thread is a member, and no outsider does anything; remember when that was so."""
        # Read first: what changes while it is found out is looked at again. It changes with the members, too, and when
        # the world ends.
        version, threads = OUTSIDERS.version, len(threading._active)  # type: ignore[attr-defined] # by identifier
        if self._world.ended or current() is not self._world or self._real_work.possible(limits=False):
            return False
        if not bystanders().awake:  # one that is awake and has not moved is looked at each time
            self._version, self._threads, self._ident = version, threads, get_ident()
        return True


def park_until(world: WorldState, instant: Nanoseconds, what: str) -> None:
    """Park the calling thread until the clock reads `instant`, and let the others run; `what` names the wait."""
    schedule = world.schedule
    assert schedule is not None
    with LOCK:
        # Asked under the lock: a world that ends wakes only those that are parked by then. A thread that asked before
        # and parked after would stay parked for ever.
        wait = None if world.ended else Wait(instant, what)
        if wait is not None:
            wait.holds = wait.sleeps = what != _AN_ANSWER
            ident = get_ident()
            member = MEMBERS.get(ident)
            if member is None or member.world is not world:
                # A thread of no world that waits for an answer of this one works for this one from here on.
                member = admit(world, ident, borrowed_through=ANYTHING)
                member.visiting = True
            wait.park(member)
    if wait is not None:
        stand(schedule, wait)
    if world.ended:
        _really_sleep_until(world, instant)  # returns at once if the wait was over before the world ended


def _really_sleep_until(world: WorldState, instant: Nanoseconds) -> None:
    now = world.clock.now if world.readings is None else world.readings.now
    while (rest := instant - now()) > 0:
        real_clock.sleep_beside_greenlets(rest / SECOND)

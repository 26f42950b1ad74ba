"""A world: the time one latency test lives in, and who lives in it.

A world on a `VirtualClock` moves time itself, as its members wait. A world on
another clock only keeps track of who belongs to it: its waits are the machine's.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, final

from pytest_claude_latency.duration import MICROSECOND, SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.clock import Clock, VirtualClock
from pytest_claude_latency.virtual_time.patches import datetime_type
from pytest_claude_latency.virtual_time.scheduling import real_clock
from pytest_claude_latency.virtual_time.scheduling.clock_readings import Dial, due, whole_second
from pytest_claude_latency.virtual_time.scheduling.errors import Deadlock
from pytest_claude_latency.virtual_time.scheduling.lock import DOOR, LOCK
from pytest_claude_latency.virtual_time.scheduling.members import (
    ANYTHING,
    MEMBERS,
    Member,
    admit,
    current,
    let_others,
    line_up,
)
from pytest_claude_latency.virtual_time.scheduling.scheduler import Schedule, Wait
from pytest_claude_latency.virtual_time.scheduling.seeds import PINS
from pytest_claude_latency.virtual_time.watch import main_thread_signal
from pytest_claude_latency.virtual_time.watch.real_waits import RealWait
from pytest_claude_latency.virtual_time.watch.watchdog import WatchDog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence


class Virtual:
    """What a world on a `VirtualClock` has and others do not: its schedule and its dial."""

    __slots__ = ("dial", "schedule", "watchdog")

    def __init__(self, world: World, clock: VirtualClock, date: datetime | None) -> None:
        datetime_type.install()
        self.schedule = Schedule(clock)
        self.watchdog = WatchDog(world, self.schedule)
        self.dial = Dial(
            self.schedule,
            monotonic=max(real_clock.monotonic_ns(), _HISTORY.latest),
            date=whole_second(real_clock.time_ns()) if date is None else _nanoseconds(date),
        )


class _History:
    """What worlds leave to the next: none reads earlier than the one before it ended."""

    def __init__(self) -> None:
        self.active: World | None = None
        self.latest: Nanoseconds = 0
        self.tasks: Any = None  # the module, once it is needed


_HISTORY = _History()


def forget_all() -> None:
    """After a fork: the child has none of the threads that were counted, and lives in no world."""
    LOCK._at_fork_reinit()  # type: ignore[attr-defined] # what threading does to its own
    MEMBERS.clear()
    DOOR.waiting.clear()
    world, _HISTORY.active = _HISTORY.active, None
    if world is not None:
        world.ended = True
        if world.virtual is not None:
            world.virtual.dial.end()


@final
class World:
    """The time one latency test lives in. At most one is active at a time."""

    def __init__(self, clock: Clock, *, name: str, date: datetime | None = None) -> None:
        self.clock = clock
        self.name = name
        self.ended = False
        self.virtual: Virtual | None = None
        self.deadlock: str | None = None  # what the program was stuck in
        self.offset: Nanoseconds = 0  # of the calendar from the machine's, in real time
        self._date = date
        self._entered_by: int | None = None

    def enter(self) -> None:
        """The calling thread becomes the first member.

        Raises:
            RuntimeError: another world is active, or this one was entered before.
        """
        with LOCK:
            if _HISTORY.active is not None:
                raise RuntimeError(f"{self.name}: the world of {_HISTORY.active.name} is still active")
            if self._entered_by is not None:
                raise RuntimeError(f"{self.name}: a world is entered once")
            self._entered_by = real_clock.get_ident()
            if isinstance(self.clock, VirtualClock):
                self.virtual = Virtual(self, self.clock, self._date)
            elif self._date is not None:
                datetime_type.install()
                self.offset = _nanoseconds(self._date) - real_clock.time_ns()
            admit(self, self._entered_by).visiting = True
            if self.virtual:
                line_up()
            _HISTORY.active = self
        if self.virtual:
            PINS.hold()
            main_thread_signal.listen(self)
            self.virtual.watchdog.start()

    def leave(self) -> None:
        """The world ends: whoever is parked in it goes on for real. Leaving twice does nothing."""
        with LOCK:
            if _HISTORY.active is not self:
                return
            _HISTORY.active = None
            self.ended = True
            for ident in [ident for ident, member in MEMBERS.items() if member.world is self and member.visiting]:
                del MEMBERS[ident]
            if self.virtual:
                self.virtual.dial.end()
                _HISTORY.latest = self.virtual.dial.monotonic_ns()
                self.virtual.schedule.release_all()
                self.virtual.watchdog.stop()
                PINS.release()
        main_thread_signal.stop_listening()

    def successor(self) -> World:
        """A world that goes on, when entered, where this one ended: same clock, same name, calendar continued."""
        if self.virtual is None:
            return World(self.clock, name=self.name, date=self._date)
        return World(self.clock, name=self.name, date=self.virtual.dial.date_when_ended())

    def sleep_until(self, instant: Nanoseconds) -> None:
        """Let the calling thread wait until the clock reads `instant`; return at once if it does."""
        if self.virtual is None:
            self._really_sleep_until(instant)
            return
        schedule = self.virtual.schedule
        with LOCK:
            if instant <= self.clock.now():
                return
            if schedule.free_until(instant) and not self.ended and current() is self:
                schedule.jump_to(instant)
                return
        self.park_until(instant, "a replayed answer")

    def park_until(self, instant: Nanoseconds, what: str) -> None:
        """The long way: park, let the others run; the rest of the wait is real if the world ends meanwhile."""
        assert self.virtual is not None
        with LOCK:
            wait = None if self.ended else Wait(instant, what)
            if wait is not None:
                wait.park(self._caller())
        if wait is not None:
            self.virtual.schedule.stand(wait)
        if self.ended:
            self._really_sleep_until(instant)

    def _caller(self) -> Member:
        """The calling thread, which joins this world if it worked for none: it waits for an answer of this one."""
        ident = real_clock.get_ident()
        member = MEMBERS.get(ident)
        if member is None or member.world is not self:
            member = admit(self, ident, lent_by=ANYTHING)
            member.visiting = True
        return member

    def fail(self) -> None:
        """Nothing can happen here any more: raise `Deadlock` in every thread that waits. Wants the lock."""
        from pytest_claude_latency.virtual_time.watch.deadlock import describe

        assert self.virtual is not None
        self.deadlock = describe(self)
        main_thread_signal.interrupt()  # first: a main thread that waits in our own wait is none it would reach
        for wait in tuple(self.virtual.schedule.parked):
            wait.failure = Deadlock(self.deadlock)
            self.virtual.schedule.unpark(wait)

    def sleep(self, seconds: float) -> None:
        """What `time.sleep` does for a member."""
        assert self.virtual is not None
        dial = self.virtual.dial
        if self.ended:
            real_clock.sleep(seconds)
        elif seconds == 0:
            dial.spin()
            let_others()
            real_clock.sleep(0)
        else:
            schedule = self.virtual.schedule
            instant = due(self.clock.now(), seconds)
            with LOCK:
                if schedule.free_until(instant) and not self.ended:
                    schedule.move_to(instant)
                    return
            self.park_until(instant, "time.sleep")

    def async_sleep_until(self, instant: Nanoseconds) -> Awaitable[None]:
        """`sleep_until` for a task, on asyncio or trio; cancelling the task ends the wait."""
        if _HISTORY.tasks is None:
            from pytest_claude_latency.virtual_time.patches import (
                task_sleep,  # now asyncio is loaded; before it need not be
            )

            _HISTORY.tasks = task_sleep
        return _HISTORY.tasks.sleep_until(self, instant)  # type: ignore[no-any-return] # a module's function

    def real_waits(self) -> Sequence[RealWait]:
        """The waits that cost the test real seconds, the longest first; none in a world of real time."""
        return self.virtual.watchdog.real_waits() if self.virtual else ()

    def _really_sleep_until(self, instant: Nanoseconds) -> None:
        now = self.clock.now if self.virtual is None else self.virtual.dial.now
        while (rest := instant - now()) > 0:
            real_clock.sleep(rest / SECOND)


def _nanoseconds(date: datetime) -> Nanoseconds:
    return round(date.timestamp() * 1e6) * MICROSECOND

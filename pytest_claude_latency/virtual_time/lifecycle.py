"""How a world begins and ends.

Only this module knows all that a world needs while it is active: the schedule,
the watchdog, the signal for the main thread, the patched dates, the seeds.
Everything below it works on the `WorldState` alone.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, final

from pytest_claude_latency.duration import MICROSECOND, Nanoseconds
from pytest_claude_latency.virtual_time.clock import Clock, VirtualClock
from pytest_claude_latency.virtual_time.patches import stand_ins, time_functions
from pytest_claude_latency.virtual_time.patches.blocking import greenlets, real_limits
from pytest_claude_latency.virtual_time.patches.blocking.loans import LOANS
from pytest_claude_latency.virtual_time.patches.dates import datetime_type, uuids
from pytest_claude_latency.virtual_time.patches.seeds import SEEDS
from pytest_claude_latency.virtual_time.scheduling import real_clock, waiting
from pytest_claude_latency.virtual_time.scheduling.clock_readings import ClockReadings, whole_second
from pytest_claude_latency.virtual_time.scheduling.lead import LEADS, Lead
from pytest_claude_latency.virtual_time.scheduling.lock import LOCK, TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import NATIVE_IDS, admit, line_up, offer_turn
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS
from pytest_claude_latency.virtual_time.scheduling.real_work import RealWork
from pytest_claude_latency.virtual_time.scheduling.scheduler import Schedule
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS
from pytest_claude_latency.virtual_time.scheduling.world import WorldState
from pytest_claude_latency.virtual_time.watch import blocked_threads, main_thread_signal
from pytest_claude_latency.virtual_time.watch.bystanders import Bystanders
from pytest_claude_latency.virtual_time.watch.watchdog import WatchDog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import FrameType

    from pytest_claude_latency.virtual_time.scheduling.wait import Wait
    from pytest_claude_latency.virtual_time.watch.real_waits import RealWait


class _Process:
    """State of the process, since the patches are: one world at a time can own them."""

    active: World | None = None
    # The module, once a task needs it: importing it imports asyncio. Kept here, since an `import` statement would look
    # it up for each replayed chunk.
    task_sleep: Any = None


def forget_all() -> None:
    """Forget every member and the active world, in the child after a fork."""
    # The child has only the thread that forked. Another thread may have held the lock at that moment, and nobody would
    # release it here. Threads that are counted but do not exist would keep the clock from moving for ever.
    LOCK._at_fork_reinit()  # type: ignore[attr-defined] # what `threading` does to its own locks
    member = MEMBERS.get(real_clock.get_ident())
    if member is not None and member.schedule is not None and member.world.readings is not None:
        # What the program computed from the clocks before it forked must not lie in the future of the child.
        LEADS.grow(Lead(*member.world.readings.lead()), {member.ident})
    MEMBERS.clear()
    NATIVE_IDS.clear()
    OUTSIDERS.forget_all()
    TRACKED_LOCK.waiting.clear()
    LOANS.end()
    world, _Process.active = _Process.active, None
    if world is not None:
        world.ended = True
        if world.readings is not None:
            world.readings.end()


@final
class World(WorldState):
    """The time one latency test lives in. At most one is active at a time."""

    def __init__(
        self, clock: Clock, *, name: str, date: datetime | None = None, on_look: Callable[[], None] | None = None
    ) -> None:
        """Make a world that begins when it is entered.

        `date` is what its calendar reads at first; None for the machine's date. `on_look` is called each time its
        watchdog has looked around.
        """
        super().__init__(clock, name)
        self._date = date
        self._on_look = on_look
        self._entered = False
        self._watchdog: WatchDog | None = None

    def enter(self) -> None:
        """Begin the world, with the calling thread as its first member.

        Raises:
            RuntimeError: another world is active, or this one was entered before.
        """
        stand_ins.load()
        with LOCK:
            if _Process.active is not None:
                raise RuntimeError(f"{self.name}: the world of {_Process.active.name} is still active")
            if self._entered:
                raise RuntimeError(f"{self.name}: a world is entered once")
            self._entered = True
            # All that a member needs must be there before the first one is admitted: from then on every patched
            # function that this thread calls looks for its schedule and its readings.
            if isinstance(self.clock, VirtualClock):
                time_functions.replace_copies()
                datetime_type.install()
                real_limits.install()
                surroundings = Bystanders()

                def real_work_goes_on(work: RealWork, wait: Wait) -> bool:
                    parked = () if self.schedule is None else self.schedule.parked
                    return surroundings.hold(wait, parked) or blocked_threads.real_work_goes_on(work)

                self.schedule = Schedule(self.clock, RealWork(real_work_goes_on, surroundings.quiet))
                self._watchdog = WatchDog(self, self.schedule, surroundings, self._on_look)
                LOANS.begin(self, surroundings.readers())
                self.readings = ClockReadings(
                    self.schedule,
                    offer_turn,
                    monotonic=real_clock.monotonic_ns() + LEADS.latest.monotonic,
                    date=whole_second(real_clock.time_ns() + LEADS.latest.date)
                    if self._date is None
                    else _nanoseconds(self._date),
                )
            elif self._date is not None:
                datetime_type.install()
                self.offset = _nanoseconds(self._date) - real_clock.time_ns()
            admit(self, real_clock.get_ident()).visiting = True
            if self.schedule is not None:
                line_up()  # nobody else is there, so this takes the first turn
            _Process.active = self
        if self._date is not None:
            uuids.forget_dates()
        if self._watchdog is not None:
            SEEDS.reset()
            main_thread_signal.listen(self)
            if greenlets.patched_by() is not None:
                # Only then does a wait look who waits: each replayed chunk comes through here.
                self.__dict__["sleep_until"] = self._sleep_until
                greenlets.refuse_threads()
            greenlets.watch_hub()
            self._watchdog.start()

    def leave(self) -> None:
        """End the world: threads that are parked in it wait on for real. Leaving twice does nothing."""
        with LOCK:
            if _Process.active is not self:
                return
            _Process.active = None
            self.ended = True
            LOANS.end()
            travellers = {ident for ident, member in MEMBERS.items() if member.world is self}
            # Threads that had a life before the world are outsiders again. Those that the test started stay members of
            # an ended world, so that the requests they still make can be refused.
            for ident in [ident for ident, member in MEMBERS.items() if member.world is self and member.visiting]:
                del MEMBERS[ident]
            OUTSIDERS.end_world()
            if self.schedule is not None and self.readings is not None and self._watchdog is not None:
                # The readings end first: a thread that is released must see time pass, or it would wait for ever for
                # an instant of a clock that stands still.
                self.readings.end()
                monotonic, date = self.readings.lead()
                # A calendar that the test has set says nothing about the dates of other tests.
                LEADS.grow(Lead(monotonic, date if self._date is None else 0), travellers)
                self.schedule.release_all()
                self._watchdog.stop()
                SEEDS.restore()
        if self._date is not None:
            uuids.forget_dates()
        main_thread_signal.stop_listening()

    sleep_until = waiting.sleep_until  # no method around it: each replayed chunk comes through here

    def _sleep_until(self, instant: Nanoseconds) -> None:
        greenlets.refuse_greenlet()
        waiting.sleep_until(self, instant)

    def async_sleep_until(self, instant: Nanoseconds, since: Nanoseconds | None = None) -> Awaitable[None]:
        """Let the running task, of asyncio or trio, wait until the clock reads `instant`.

        Cancelling the task ends the wait. `since` is since when that for which it waits may have been there, where the
        recorded program was late to take it: then the wait ends with the hold that made it late.
        """
        if _Process.task_sleep is None:
            from pytest_claude_latency.virtual_time.patches import task_sleep  # it imports asyncio

            _Process.task_sleep = task_sleep
        return _Process.task_sleep.sleep_until(self, instant, since)  # type: ignore[no-any-return] # a module's function

    def skipping(self) -> Callable[[Nanoseconds], Nanoseconds | None]:
        """Return what lets the clock read an instant if only the calling thread could go on until then.

        It returns what the clock reads, or None if the thread has to wait.
        """
        # Where a wait looks who waits, nothing may go past it.
        if self.schedule is None or "sleep_until" in self.__dict__:
            return _never
        return waiting.Shortcut(self, self.schedule).skip_to

    def async_skipping(self, player: FrameType) -> Callable[[Nanoseconds], Nanoseconds | None]:
        """Return the same for the running task; `player` is the frame of the coroutine or generator that will ask."""
        module = _Process.task_sleep
        return (None if module is None else module.skipping(self, player)) or _never

    def real_waits(self) -> Sequence[RealWait]:
        """Return the waits that cost the test real seconds, the longest first; none in a world of real time."""
        return () if self._watchdog is None else self._watchdog.real_waits()


def _never(_: Nanoseconds) -> None:
    """Return None: there is no way to an instant but a wait."""


def _nanoseconds(date: datetime) -> Nanoseconds:
    return round(date.timestamp() * 1e6) * MICROSECOND

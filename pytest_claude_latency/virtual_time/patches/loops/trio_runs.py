"""trio runs that live in a world.

A run gets a clock of ours in place of the system's. It waits where it asks for I/O events, and is woken through its
socket pairs. In guest mode a thread of trio's cache asks in its place, which counts as running for that job. trio's own
`MockClock` would not do: it jumps whenever the tasks of one run wait, past threads and sub-processes that still work.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, final
from weakref import WeakKeyDictionary, WeakSet

import trio
from trio._core import _run

from pytest_claude_latency.duration import MICROSECOND, SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.patches.awaiting import LAST
from pytest_claude_latency.virtual_time.patches.blocking import file_waits
from pytest_claude_latency.virtual_time.patches.loops import unsupported_loops
from pytest_claude_latency.virtual_time.patches.loops.alarms import Alarms
from pytest_claude_latency.virtual_time.patches.patching import Patches
from pytest_claude_latency.virtual_time.patches.seeds import SEEDS
from pytest_claude_latency.virtual_time.scheduling.clock_readings import due
from pytest_claude_latency.virtual_time.scheduling.errors import Deadlock
from pytest_claude_latency.virtual_time.scheduling.lock import LOCK, TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import arrive, dismiss
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident, monotonic_ns
from pytest_claude_latency.virtual_time.scheduling.standing import stand
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS, scheduled
from pytest_claude_latency.virtual_time.scheduling.wait import Wait

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

_PATCHES = Patches()
_START = 10_000 * SECOND  # as far from zero as trio's own clock starts, so that nobody takes it for time.monotonic()
_LONGEST = float(_run._MAX_TIMEOUT)  # the longest that trio waits at once; also what it asks for without a deadline
_RESOLUTION = 0.6 * MICROSECOND / SECOND  # a deadline so close is due: above the error of float seconds


@final
class RunClock(trio.abc.Clock):
    """The clock of one run: that of the world for members, the machine's for others.

    It outlives worlds and never goes back.
    """

    __slots__ = ("_deadline", "_floor", "_origin", "_world")

    def __init__(self) -> None:
        self._world: WorldState | None = None
        self._origin = _START - monotonic_ns()
        self._deadline = float("inf")
        self._floor = 0.0

    def start_clock(self) -> None:
        """Do nothing: there is nothing to prepare."""

    def current_time(self) -> float:
        """Return the time in seconds; a deadline that differs from now by a float error only, is now."""
        now = self.nanoseconds() / SECOND
        # trio asked to be woken at this deadline, and looks now whether it has come. A "no" by a rounding error would
        # make it wait once more, for a time too short for the clock to read.
        if now < self._deadline <= now + _RESOLUTION:
            now = self._deadline
        # So the next reading, which is exact, could be earlier than this one.
        self._floor = max(self._floor, now)
        return self._floor

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Return how many seconds to wait for that deadline."""
        self._deadline = deadline
        rest = deadline - self.current_time()
        # Less than trio's longest for every real deadline: `_get_events` takes the longest for "no deadline".
        return rest if rest < _LONGEST or deadline == float("inf") else _LONGEST / 2

    def nanoseconds(self, instant: Nanoseconds | None = None) -> Nanoseconds:
        """Return what this clock reads now, or at an instant of its world."""
        member = scheduled()
        if member is not None and member.world is not self._world and (self._world is None or self._world.ended):
            # The calling thread has entered a world: the clock follows it there, without a jump.
            reading = self._origin + self._source()
            self._world = member.world
            self._origin = reading - self._source()
        if instant is None or self._world is None:
            instant = self._source()
        return self._origin + instant

    def _source(self) -> Nanoseconds:
        if self._world is None or self._world.readings is None:
            return monotonic_ns()
        return self._world.readings.now()

    def ring(self, events: Any) -> None:
        """Wake the tasks of this run that are due, if it has entered a world; `events` is its I/O manager."""
        if self._world is not None and self._world.readings is not None:
            alarms, now = _alarms_of(events), self._world.readings.now()
            alarms.ring(now)
            _AWAKE[alarms] = now


@final
class SleepingTask:
    """A task of trio that waits for an exact instant."""

    __slots__ = ("cancelled", "task")

    def __init__(self, task: Any) -> None:
        self.task = task
        self.cancelled = False

    def done(self) -> bool:
        """Return whether its wait was cancelled."""
        return self.cancelled


# What belongs to one run is kept by its I/O manager, of which each run has one and which our patches are handed. It has
# no room for attributes of ours. The tables are weak: a run that has ended leaves nothing behind.
_ALARMS: WeakKeyDictionary[Any, Alarms[SleepingTask]] = WeakKeyDictionary()
_AWAKE: WeakKeyDictionary[Alarms[SleepingTask], Nanoseconds] = WeakKeyDictionary()  # since when tasks run
_DEADLOCKS: WeakKeyDictionary[Any, Deadlock] = WeakKeyDictionary()  # found while the run waited, not yet raised in it
_PAIRS: WeakSet[Any] = WeakSet()  # the socket pairs through which runs are woken


@final
class RunWait(Wait):
    """A run's wait for events, woken through its socket pair."""

    # Of the process, and not of a run: a socket pair does not know which run it wakes. Guarded by `LOCK`.
    parked: set[RunWait] = set()  # noqa: RUF012 - shared on purpose
    writes = 0  # to any of the pairs

    def __init__(self, instant: Nanoseconds | None, events: Any) -> None:
        super().__init__(instant, "a trio run with nothing to do")
        self.limits = True
        self._events = events
        self.in_poll = True

    def wake(self) -> None:
        """Let the thread go on; if it still waits in its poll, make the poll return first."""
        super().wake()
        if self.in_poll:
            self._events.force_wakeup()

    def woken_by(self, pair: Any) -> bool:
        """Return whether a byte in that pair ends this wait."""
        return pair is self._events._force_wakeup or pair.wakeup_sock.fileno() in self._events._registered

    def files(self) -> list[int]:
        """Return the files that the run's tasks wait for, without its own socket pairs."""
        own = {pair.wakeup_sock.fileno() for pair in tuple(_PAIRS)}
        return [file for file in tuple(self._events._registered) if isinstance(file, int) and file not in own]

    def ready(self) -> bool:
        """Return whether one of these files is ready; False where the system has no `poll` to ask."""
        mask = file_waits.READ | file_waits.WRITE
        registered = self._events._registered
        return file_waits.any_ready({file: registered[file].current_flags & mask for file in self.files()})


async def sleep_until(world: WorldState, instant: Nanoseconds, since: Nanoseconds | None = None) -> None:
    """Let the running task wait until the clock of `world` reads `instant`; cancelling the task ends the wait.

    `since` is since when that for which it waits may have been there, as for a task of asyncio.

    Raises:
        UnsupportedLoop: the run does not live in that world, or has a clock of the program.
    """
    schedule, readings = world.schedule, world.readings
    if schedule is None or readings is None:
        while (rest := instant - world.clock.now()) > 0:
            await trio.sleep(rest / SECOND)
        return
    runner = _run.GLOBAL_RUN_CONTEXT.runner
    member = MEMBERS.get(get_ident())
    if member is None or member.world is not world or not isinstance(runner.clock, RunClock):
        raise unsupported_loops.error_of_trio(world, runner.clock)
    alarms = _alarms_of(runner.io_manager)
    if since is not None and alarms.is_there(instant, since):
        return  # it came with the part before, so nothing is waited for
    await trio.lowlevel.checkpoint_if_cancelled()
    if instant <= readings.now():
        return
    with LOCK:
        # Where a turn of the run could run nothing but this task again, move the clock without one. All of it is asked
        # under one lock, so nobody can change the answer before the clock moves.
        if not world.ended and schedule.free_until(instant) and _idle_until(runner, instant):
            schedule.move_to(instant)
            _AWAKE[alarms] = instant  # the run has nothing else to do: nobody holds it
            return
    sleeping = SleepingTask(trio.lowlevel.current_task())
    alarms.add(instant, sleeping, since)

    def abort(_: Any) -> trio.lowlevel.Abort:
        sleeping.cancelled = True
        return trio.lowlevel.Abort.SUCCEEDED

    await trio.lowlevel.wait_task_rescheduled(abort)


def _idle_until(runner: Any, instant: Nanoseconds) -> bool:
    """Return whether the running task is the only thing this run could do before or at `instant`."""
    entries, events = runner.entry_queue, runner.io_manager
    if runner.runq or runner.is_guest or runner.ki_pending or entries.queue or entries.idempotent_queue:
        return False
    if len(events._registered) > 1:  # more than the pair through which other threads call into the run
        return False
    if runner.deadlines.next_deadline() <= runner.clock.nanoseconds(instant) / SECOND + _RESOLUTION:
        return False
    first = _alarms_of(events).first()
    if first is not None and first <= instant:
        return False
    # trio takes a whole batch out of `runq` before it runs the first task of it. A task with something to send is one
    # of this very batch whose turn is still to come.
    if any(task._next_send_fn is not None for task in runner.tasks):
        return False
    return LAST.reaches_loop(sys._getframe(1), trio.lowlevel.current_task().coro, _run.unrolled_run.__code__)


def _alarms_of(events: Any) -> Alarms[SleepingTask]:
    alarms = _ALARMS.get(events)
    if alarms is None:
        alarms = _ALARMS[events] = Alarms(wake=lambda sleeping: trio.lowlevel.reschedule(sleeping.task))
    return alarms


@_PATCHES.wraps("_run.TheIOManager.get_events")
def _get_events(original: Callable[..., Any], events: Any, timeout: float) -> Any:
    """Do what a run does between two batches of tasks: wait for events, at most for `timeout` seconds."""
    member = scheduled()
    if member is not None:
        alarms, now = _alarms_of(events), member.world.clock.now()
        alarms.hold(_AWAKE.get(alarms, now), now)
    if member is None or timeout <= 0:
        return original(events, timeout)
    # The count is read before the files are looked at, and again under the lock. A thread that woke the run before this
    # line has left a byte that `original` finds; one that woke it later has changed the count.
    writes = RunWait.writes
    ready = original(events, 0)
    if ready:
        return ready
    first = alarms.first()
    instants = ([] if timeout >= _LONGEST else [due(now, timeout)]) + ([] if first is None else [first])
    wait = RunWait(min(instants, default=None), events)
    with LOCK:
        schedule = member.schedule
        if schedule is None or RunWait.writes != writes:
            return original(events, 0)
        if wait.instant is not None and schedule.free_until(wait.instant) and not wait.files():
            schedule.move_to(wait.instant)
            return ready
        RunWait.parked.add(wait)
        wait.park(member)
    try:
        ready = original(events, _LONGEST)
    finally:
        with LOCK:
            RunWait.parked.discard(wait)
            wait.in_poll = False
            # If a file or a signal ended the wait, nobody has counted this thread as running yet.
            schedule.unpark(wait)
    try:
        stand(schedule, wait)
    except Deadlock as deadlock:
        _DEADLOCKS[events] = deadlock  # raised here it would end the run as an internal error of trio
    return ready


@_PATCHES.wraps("_run.TheIOManager.process_events")
def _process_events(original: Callable[..., Any], events: Any, ready: Any) -> Any:
    """Do what a run does with its events: make tasks runnable. Those whose alarm is due become so too."""
    original(events, ready)
    runner = _run.GLOBAL_RUN_CONTEXT.runner
    deadlock = _DEADLOCKS.pop(events, None)
    if deadlock is not None:
        task = runner.main_task
        if task is None or task._abort_func is None:
            raise deadlock

        def raise_deadlock() -> None:
            raise deadlock

        task._attempt_abort(raise_deadlock)  # raises in the main task, as trio does with KeyboardInterrupt
    if isinstance(runner.clock, RunClock):
        runner.clock.ring(events)


@_PATCHES.wraps("_wakeup_socketpair.WakeupSocketpair.wakeup_thread_and_signal_safe")
def _wake_up(original: Callable[..., Any], pair: Any) -> None:
    """Do what another thread does to wake a run: write a byte into one of its socket pairs."""
    # The byte is written first and counted second, in one step under the lock. If the write were counted first, the run
    # could read the new count, find no byte, and wait although it has something to do.
    with TRACKED_LOCK:
        original(pair)
        RunWait.writes += 1
        for wait in [wait for wait in RunWait.parked if wait.woken_by(pair)]:
            wait.unpark()


@_PATCHES.wraps("_wakeup_socketpair.WakeupSocketpair.__init__")
def _new_pair(original: Callable[..., Any], pair: Any) -> None:
    original(pair)
    _PAIRS.add(pair)


@_PATCHES.wraps("_thread_cache.ThreadCache.start_thread_soon")
def _start_thread_soon(
    original: Callable[..., Any], cache: Any, fn: Callable[[], Any], deliver: Callable[[Any], Any], *name: Any
) -> None:
    """Do what trio does to run a job in a cached thread; a member's job counts as running from here on."""
    # It counts until `deliver` has returned, which hands the result over and wakes who waits for it. If it stopped
    # counting when `fn` returns, the clock could move before that thread counts as running again.
    sender = MEMBERS.get(get_ident())
    if sender is None:
        original(cache, fn, deliver, *name)
        return
    world, reservation = sender.world, Wait()

    def run() -> Any:
        arrive(world, reservation)
        return fn()

    def deliver_and_leave(outcome: Any) -> None:
        try:
            deliver(outcome)
        finally:
            with TRACKED_LOCK:
                dismiss(get_ident())

    with TRACKED_LOCK:
        if sender.schedule is not None:
            sender.schedule.reserve(reservation)
    original(cache, run, deliver_and_leave, *name)


@final
class _BatchOrder:
    """The order in which trio runs the tasks of a batch: random, but the same in every world."""

    # trio shuffles each batch, so that no program relies on an order. A replay must give the same figures in every run,
    # so the generator starts every world from the same seed, and goes on afterwards as if no world had been.

    def __init__(self) -> None:
        self._outer: Random | None = None

    def reset(self) -> None:
        """Start it over."""
        # Another generator, since to keep the state of one and to put it back takes five times as long.
        self._outer, _run._r = self._outer or _run._r, Random(0)

    def restore(self) -> None:
        """Let it go on from where it was reset."""
        if self._outer is not None:
            _run._r, self._outer = self._outer, None


def install(module: Any) -> None:
    """Patch trio."""
    _run.SystemClock = RunClock  # type: ignore[assignment,misc] # the clock of runs that are given none
    SEEDS.add(_BatchOrder())
    _PATCHES.install(module._core)

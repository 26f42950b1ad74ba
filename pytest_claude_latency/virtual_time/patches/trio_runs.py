"""trio runs that live in a world.

A run gets a clock of our own in place of the system's, waits where it asks for
I/O events (in guest mode that is a thread of trio's cache, counted for the
errand), and is woken through its socket pairs. trio's `MockClock` would jump
past threads and sub-processes.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, final
from weakref import WeakKeyDictionary, WeakSet

import trio
from trio._core import _run, _thread_cache, _wakeup_socketpair

from pytest_claude_latency.duration import MICROSECOND, SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.patches.patching import wrap
from pytest_claude_latency.virtual_time.scheduling.clock_readings import due
from pytest_claude_latency.virtual_time.scheduling.errors import Deadlock
from pytest_claude_latency.virtual_time.scheduling.lock import LOCK, TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import MEMBERS, arrive, dismiss, scheduled
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident, monotonic_ns
from pytest_claude_latency.virtual_time.scheduling.scheduler import Wait
from pytest_claude_latency.virtual_time.scheduling.seeds import SEEDS

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

_START = 10_000 * SECOND  # as far from zero as trio's own: nobody should take it for time.monotonic()
_LONG = float(_run._MAX_TIMEOUT)  # what trio waits at most, and whenever it has no deadline
_NOISE = 0.6 * MICROSECOND / SECOND


@final
class Clock(trio.abc.Clock):
    """The clock of one run: the world's for its members, else the machine's; it outlives worlds and never goes back."""

    __slots__ = ("_deadline", "_floor", "_origin", "_world")

    def __init__(self) -> None:
        self._world: WorldState | None = None
        self._origin = _START - monotonic_ns()
        self._deadline = float("inf")
        self._floor = 0.0

    def start_clock(self) -> None:
        """Nothing to prepare."""

    def current_time(self) -> float:
        """The time in seconds; a deadline that floats keep from being exactly now, is now."""
        now = self.nanoseconds() / SECOND
        if now < self._deadline <= now + _NOISE:
            now = self._deadline
        self._floor = max(self._floor, now)
        return self._floor

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """How long to wait for that deadline; less than trio's longest, which is left to mean: for ever."""
        self._deadline = deadline
        rest = deadline - self.current_time()
        return rest if rest < _LONG or deadline == float("inf") else _LONG / 2

    def nanoseconds(self, instant: Nanoseconds | None = None) -> Nanoseconds:
        """This clock's reading now, or at an instant of its world."""
        self._settle()
        if self._world is None or self._world.readings is None:
            return self._origin + monotonic_ns()
        return self._origin + (self._world.readings.now() if instant is None else instant)

    def _settle(self) -> None:
        """Follow the calling thread into its world, without a jump."""
        member = scheduled()
        if member is None or member.world is self._world or (self._world is not None and not self._world.ended):
            return
        here = self._origin + self._now()
        self._world = member.world
        self._origin = here - self._now()

    def _now(self) -> Nanoseconds:
        if self._world is None or self._world.readings is None:
            return monotonic_ns()
        return self._world.readings.now()


@final
class Alarms:
    """The tasks of one run that wait for an exact instant."""

    def __init__(self) -> None:
        self._heap: list[tuple[Nanoseconds, int, Any]] = []
        self._order = count()

    def add(self, instant: Nanoseconds, task: Any) -> None:
        """Reschedule the task when the clock reads `instant`."""
        heappush(self._heap, (instant, next(self._order), task))

    def discard(self, task: Any) -> None:
        """The task waits no longer."""
        self._heap = sorted(entry for entry in self._heap if entry[2] is not task)

    def first(self) -> Nanoseconds | None:
        """The earliest instant somebody waits for."""
        return self._heap[0][0] if self._heap else None

    def ring(self, now: Nanoseconds) -> None:
        """Reschedule the tasks that are due; to be called inside the run."""
        while self._heap and self._heap[0][0] <= now:
            trio.lowlevel.reschedule(heappop(self._heap)[2])


_ALARMS: WeakKeyDictionary[Any, Alarms] = WeakKeyDictionary()  # by I/O manager, of which each run has one
_FAILURES: WeakKeyDictionary[Any, BaseException] = WeakKeyDictionary()  # what a run's wait came to, likewise
_PAIRS: WeakSet[Any] = WeakSet()  # the socket pairs that runs are woken through


@final
class RunWait(Wait):
    """A run's wait for events, woken through its socket pair."""

    parked: set[RunWait] = set()  # noqa: RUF012 - all of the process: a pair does not know whom it wakes
    writes = 0  # to any of the pairs

    def __init__(self, instant: Nanoseconds | None, events: Any) -> None:
        super().__init__(instant, "a trio run with nothing to do")
        self._events = events
        self.in_poll = True

    def wake(self) -> None:
        """Let the thread go on, and make its poll return first, if it still stands there."""
        super().wake()
        if self.in_poll:
            self._events.force_wakeup()

    def woken_by(self, pair: Any) -> bool:
        """Whether a byte in that pair ends this wait."""
        return pair is self._events._force_wakeup or pair.wakeup_sock.fileno() in self._events._registered

    def files(self) -> list[int]:
        """What the run's tasks wait for, its own socket pairs aside."""
        own = {pair.wakeup_sock.fileno() for pair in tuple(_PAIRS)}
        return [file for file in tuple(self._events._registered) if isinstance(file, int) and file not in own]

    def ready(self) -> bool:
        """Whether one of these files is ready, where that can be asked."""
        if not hasattr(select, "poll"):
            return False
        poll = select.poll()
        for file in self.files():
            poll.register(file, self._events._registered[file].current_flags & (select.POLLIN | select.POLLOUT))
        return bool(poll.poll(0))


async def sleep_until(world: WorldState, instant: Nanoseconds) -> None:
    """Let the running task wait until the clock of `world` reads `instant`."""
    assert world.readings is not None
    runner = _run.GLOBAL_RUN_CONTEXT.runner
    member = MEMBERS.get(get_ident())
    if member is None or member.world is not world or not isinstance(runner.clock, Clock):
        raise RuntimeError(f"this trio run does not live in the world of {world.name}")
    await trio.lowlevel.checkpoint_if_cancelled()
    if instant <= world.readings.now() or _passed_alone(world, runner, instant):
        return
    alarms = _alarms(runner.io_manager)
    task = trio.lowlevel.current_task()
    alarms.add(instant, task)

    def abort(_: Any) -> trio.lowlevel.Abort:
        alarms.discard(task)
        return trio.lowlevel.Abort.SUCCEEDED

    await trio.lowlevel.wait_task_rescheduled(abort)


async def really_sleep_until(world: WorldState, instant: Nanoseconds) -> None:
    """The same in a world of real time."""
    while (rest := instant - world.clock.now()) > 0:
        await trio.sleep(rest / SECOND)


def _passed_alone(world: WorldState, runner: Any, instant: Nanoseconds) -> bool:
    """Move the clock without a turn of the run, where a turn could run nothing but this task again."""
    schedule = world.schedule
    assert schedule is not None
    with LOCK:
        if world.ended or not schedule.free_until(instant) or not _idle_until(runner, instant):
            return False
        schedule.move_to(instant)
        return True


def _idle_until(runner: Any, instant: Nanoseconds) -> bool:
    """Whether the running task is the only thing this run could do before or at `instant`."""
    entries, events = runner.entry_queue, runner.io_manager
    if runner.runq or runner.is_guest or runner.ki_pending or entries.queue or entries.idempotent_queue:
        return False
    if len(events._registered) > 1:  # more than the pair that entries come through
        return False
    if runner.deadlines.next_deadline() <= runner.clock.nanoseconds(instant) / SECOND + _NOISE:
        return False
    first = _alarms(events).first()
    if first is not None and first <= instant:
        return False
    return all(task._next_send_fn is None for task in runner.tasks)  # none is due in this very batch


def _alarms(events: Any) -> Alarms:
    alarms = _ALARMS.get(events)
    if alarms is None:
        alarms = _ALARMS[events] = Alarms()
    return alarms


def _get_events(original: Callable[..., Any], events: Any, timeout: float) -> Any:
    """What a run does between two batches of tasks: wait for events, at most for `timeout` seconds."""
    member = scheduled()
    if member is None or timeout <= 0:
        return original(events, timeout)
    writes = RunWait.writes
    ready = original(events, 0)
    if ready:
        return ready
    now = member.world.clock.now()
    first = _alarms(events).first()
    instants = ([] if timeout >= _LONG else [due(now, timeout)]) + ([] if first is None else [first])
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
        ready = original(events, _LONG)
    finally:
        with LOCK:
            RunWait.parked.discard(wait)
            wait.in_poll = False
            schedule.unpark(wait)
    try:
        schedule.stand(wait)
    except Deadlock as failure:
        _FAILURES[events] = failure
    return ready


def _process_events(original: Callable[..., Any], events: Any, ready: Any) -> Any:
    """Where events become runnable tasks: so do the alarms that are due."""
    original(events, ready)
    runner = _run.GLOBAL_RUN_CONTEXT.runner
    if events in _FAILURES:
        _fail(runner, _FAILURES.pop(events))
    clock = runner.clock
    if isinstance(clock, Clock) and clock._world is not None and clock._world.readings is not None:
        _alarms(events).ring(clock._world.readings.now())


def _fail(runner: Any, failure: BaseException) -> None:
    """Raise in the main task, as trio does with KeyboardInterrupt: raised elsewhere it would be an internal error."""

    def raise_cancel() -> None:
        raise failure

    if runner.main_task is None or runner.main_task._abort_func is None:
        raise failure
    runner.main_task._attempt_abort(raise_cancel)


def _wake_up(original: Callable[..., Any], pair: Any) -> None:
    """Wake a run from another thread. Counted after the byte is written, both under the lock."""
    with TRACKED_LOCK:
        original(pair)
        RunWait.writes += 1
        for wait in [wait for wait in RunWait.parked if wait.woken_by(pair)]:
            if wait.member is not None and wait.member.schedule is not None:
                wait.member.schedule.unpark(wait)


def _new_pair(original: Callable[..., Any], pair: Any) -> None:
    original(pair)
    _PAIRS.add(pair)


def _start_thread_soon(
    original: Callable[..., Any], cache: Any, fn: Callable[[], Any], deliver: Callable[[Any], Any], *name: Any
) -> None:
    """An errand for a cached thread: a member from here to the last of what it delivers."""
    sender = MEMBERS.get(get_ident())
    if sender is None:
        original(cache, fn, deliver, *name)
        return
    world, reservation = sender.world, Wait()

    def run() -> Any:
        arrive(world, reservation)
        return fn()

    def delivered(outcome: Any) -> None:
        try:
            deliver(outcome)
        finally:
            with TRACKED_LOCK:
                dismiss(get_ident())

    with TRACKED_LOCK:
        if sender.schedule is not None:
            sender.schedule.reserve(reservation)
    original(cache, run, delivered, *name)


@final
class _Shuffle:
    """The order in which trio runs the tasks of a batch: random, but the same in every world."""

    def __init__(self) -> None:
        self._state: object = None

    def reset(self) -> None:
        """Start it over."""
        self._state = _run._r.getstate()
        _run._r.seed(0)

    def restore(self) -> None:
        """Let it go on from where it was held."""
        if self._state is not None:
            _run._r.setstate(self._state)  # type: ignore[arg-type] # what getstate gave
            self._state = None


def install() -> None:
    """Patch trio."""
    run: Any = _run
    run.SystemClock = Clock
    SEEDS.add(_Shuffle())
    for cls, name, wrapper in (
        (run.TheIOManager, "get_events", _get_events),
        (run.TheIOManager, "process_events", _process_events),
        (_wakeup_socketpair.WakeupSocketpair, "__init__", _new_pair),
        (_wakeup_socketpair.WakeupSocketpair, "wakeup_thread_and_signal_safe", _wake_up),
        (_thread_cache.ThreadCache, "start_thread_soon", _start_thread_soon),
    ):
        wrap(cls, name, wrapper)

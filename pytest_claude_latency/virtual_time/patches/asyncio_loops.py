"""asyncio loops that live in a world.

A loop asks its selector to wait; in a world that wait is the loop thread's, and
`loop.time()` follows the clock. Patched once: `BaseEventLoop.time`, `run_forever`
(which lays a shim over the loop's own selector while it runs, so that a loop can
join a world at any time) and `_write_to_self` (how other threads wake a loop).
A loop's own time never jumps back, from world to world or out of one.
"""

from __future__ import annotations

import functools
import select
import sys
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable, Mapping, Sized
from heapq import heappop, heappush
from itertools import count
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey
from typing import TYPE_CHECKING, Any, final

from pytest_claude_latency.duration import MICROSECOND, SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.patches.patching import wrap
from pytest_claude_latency.virtual_time.scheduling.clock_readings import due
from pytest_claude_latency.virtual_time.scheduling.lock import LOCK, TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import MEMBERS, Member, admit, adoptable, line_up
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident, monotonic_ns
from pytest_claude_latency.virtual_time.scheduling.scheduler import Wait

if TYPE_CHECKING:
    from asyncio import Future

    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

# A timer this close is due: above the noise of float instants, below the microsecond that waits are rounded to.
_RESOLUTION = 0.6 * MICROSECOND / SECOND

SEAT = "_claude_latency_seat"


@final
class Seat:
    """A loop's place in a world: the origin of its time there, and the tasks that wait for an exact instant."""

    def __init__(self, loop: BaseEventLoop, world: WorldState, shift: Nanoseconds) -> None:
        assert world.schedule is not None
        assert world.readings is not None
        self.loop = loop
        self.world = world
        self.readings = world.readings
        self.schedule = world.schedule
        self.writes = 0  # to the loop's self-pipe
        self.wait: LoopWait | None = None
        self._alarms: list[tuple[Nanoseconds, int, Future[None]]] = []
        self._order = count()
        selector: Any = loop._selector  # type: ignore[attr-defined]
        self._files: Mapping[Any, SelectorKey] | None = selector.get_map() if hasattr(selector, "get_map") else None
        self._fds: Sized | None = getattr(selector, "_fd_to_key", self._files)  # its length costs less
        here = self.readings.now()
        # The program may compare the loop's time with time.monotonic(); a loop that already
        # holds timers keeps its own origin, or they would all be due at once.
        origin = monotonic_ns() + shift - here
        timers: list[Any] = loop._scheduled  # type: ignore[attr-defined] # asyncio's own heap of timers
        self.origin = origin if timers else max(origin, self.readings.origin)

    def now(self) -> Nanoseconds:
        """The loop's time."""
        return self.origin + self.readings.now()

    def shift(self) -> Nanoseconds:
        """How far the loop's time is ahead of the machine's; meant for after the world's end."""
        return self.now() - monotonic_ns()

    def alarm(self, instant: Nanoseconds) -> Future[None]:
        """A future that is done when the clock reads exactly `instant`."""
        future = self.loop.create_future()
        heappush(self._alarms, (instant, next(self._order), future))
        return future

    def next_alarm(self) -> Nanoseconds | None:
        """The instant of the first alarm somebody still waits for."""
        while self._alarms and self._alarms[0][2].done():
            heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None

    def ring(self) -> None:
        """Finish the alarms that are due."""
        now = self.readings.now()
        while self._alarms and self._alarms[0][0] <= now:
            future = heappop(self._alarms)[2]
            if not future.done():
                future.set_result(None)

    def foreign(self) -> list[SelectorKey]:
        """The files this loop waits for, its own self-pipe aside."""
        if self._files is None or len(self._files) <= 1:
            return []
        pipe: Any = self.loop._ssock  # type: ignore[attr-defined] # the reading end
        own = None if pipe is None else pipe.fileno()
        return [key for key in tuple(self._files.values()) if key.fd != own]

    def idle_until(self, instant: Nanoseconds) -> bool:
        """Whether the running task is the only thing this loop could do before or at `instant`."""
        loop: Any = self.loop
        if loop._ready or loop._stopping or self._fds is None or len(self._fds) > 1:
            return False
        timers = loop._scheduled
        if timers and timers[0]._when <= (self.origin + instant) / SECOND + _RESOLUTION:
            return False
        return not self._alarms or self._alarms[0][0] > instant


@final
class LoopWait(Wait):
    """A loop's wait: woken through its self-pipe, since it stands in its selector, where files may be ready too."""

    def __init__(self, instant: Nanoseconds | None, seat: Seat) -> None:
        super().__init__(instant, "an event loop with nothing to do")
        self._seat = seat
        self._loop = seat.loop
        self.in_selector = True

    def files(self) -> list[int]:
        """What the loop watches besides its self-pipe."""
        return [key.fd for key in self._seat.foreign()]

    def ready(self) -> bool:
        """Whether one of these files is ready, where that can be asked."""
        if not hasattr(select, "poll"):
            return False
        poll = select.poll()
        for key in self._seat.foreign():
            reads, writes = key.events & EVENT_READ, key.events & EVENT_WRITE
            poll.register(key.fd, (reads and select.POLLIN) | (writes and select.POLLOUT))
        return bool(poll.poll(0))

    def details(self) -> list[tuple[str, str, str]]:
        """The loop's tasks and where they wait."""
        from asyncio import all_tasks

        from pytest_claude_latency.virtual_time.watch import source_location

        rows = []
        for task in sorted(all_tasks(self._loop), key=lambda task: task.get_name()):
            stack = task.get_stack(limit=1)
            where = source_location.of_frame(stack[0]) if stack else ""
            rows.append((task.get_name(), "a task, not done", where))
        return rows

    def wake(self) -> None:
        """Let the thread go on, and make its selector return first, if it still stands there."""
        super().wake()
        if self.in_selector:
            self._loop._write_to_self()  # type: ignore[attr-defined] # how asyncio wakes itself


def take_seat(loop: Any, world: WorldState) -> Seat:
    """A seat in the world for a loop that the calling thread runs."""
    seat: Seat | None = loop.__dict__.get(SEAT)
    if seat is None or seat.world is not world:
        seat = loop.__dict__[SEAT] = Seat(loop, world, 0 if seat is None else seat.shift())
    return seat


def seat_of(loop: BaseEventLoop) -> Seat | None:
    """The loop's seat in the world of the thread that asks; in its last world, if that thread is in none."""
    seat: Seat | None = loop.__dict__.get(SEAT)
    member = MEMBERS.get(get_ident())
    if member is None or member.world.schedule is None or (seat is not None and seat.world is member.world):
        return seat
    if seat is not None and not seat.world.ended:
        return seat
    if member.world.ended or loop._thread_id not in {None, member.ident}:  # type: ignore[attr-defined]
        return seat
    return take_seat(loop, member.world)


def _time(loop: BaseEventLoop) -> float:
    """The loop's time in seconds; exact for asyncio itself, with the float skew for the program."""
    seat = seat_of(loop)
    if seat is None:
        return monotonic_ns() / SECOND
    asyncio_asks = sys._getframe(1).f_globals.get("__name__", "").startswith("asyncio.")
    return seat.readings.loop_time(seat.origin, float_skew=not asyncio_asks)


def _run_forever(original: Callable[[Any], None], loop: Any) -> None:
    selector = getattr(loop, "_selector", None)
    if selector is None or "select" in getattr(selector, "__dict__", {"select": None}):
        original(loop)
        return
    resolution = loop._clock_resolution
    selector.select = functools.partial(_select, loop, selector.select)
    try:
        original(loop)
    finally:
        del selector.select
        loop._clock_resolution = resolution


def _select(loop: Any, select: Callable[[float | None], Any], timeout: float | None) -> Any:
    """What the loop's selector does: wait until something is ready or `timeout` has passed.

    If a member called in meanwhile, from whatever world, this thread works for the member's now, when its turn comes.
    """
    ready = _ready(loop, select, timeout)
    member = MEMBERS.get(get_ident())
    if member is not None and member.wait is not None:
        line_up()
    return ready


def _ready(loop: Any, select: Callable[[float | None], Any], timeout: float | None) -> Any:
    seat = seat_of(loop)
    if seat is None:
        return select(timeout)
    if seat.world.ended or not works_for(seat.world, loop):
        return _really_select(seat, select, timeout)
    loop._clock_resolution = _RESOLUTION
    writes = seat.writes
    ready = select(0)
    seat.ring()
    if ready or timeout == 0 or loop._ready:
        return ready
    instant = _earlier(None if timeout is None else due(seat.readings.now(), timeout), seat.next_alarm())
    return _park(seat, select, instant, writes, timeout)


def _park(
    seat: Seat, select: Callable[[float | None], Any], instant: Nanoseconds | None, writes: int, timeout: float | None
) -> Any:
    schedule = seat.schedule
    with LOCK:
        member = MEMBERS.get(get_ident())
        if seat.writes != writes or member is None or member.schedule is not schedule:
            return []  # somebody called in since we looked, or the world ended: the loop looks again
        if instant is not None and schedule.free_until(instant) and not seat.foreign():
            schedule.move_to(instant)
            wait = None
        else:
            wait = seat.wait = LoopWait(instant, seat)
            wait.park(member)
    ready = [] if wait is None else _stand(seat, wait, select)
    seat.ring()
    return ready


def _stand(seat: Seat, wait: LoopWait, select: Callable[[float | None], Any]) -> Any:
    try:
        ready = select(None)
    finally:
        with LOCK:
            seat.wait, wait.in_selector = None, False
            seat.schedule.unpark(wait)  # if a file or a signal woke us, nobody has counted us yet
    seat.schedule.stand(wait)
    return ready


def _really_select(seat: Seat, select: Callable[[float | None], Any], timeout: float | None) -> Any:
    alarm = seat.next_alarm()
    if alarm is not None:
        rest = max(0, alarm - seat.readings.now()) / SECOND
        timeout = rest if timeout is None else min(timeout, rest)
    ready = select(timeout)
    seat.ring()
    return ready


def _earlier(one: Nanoseconds | None, other: Nanoseconds | None) -> Nanoseconds | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


def _write_to_self(original: Callable[[Any], None], loop: Any) -> None:
    """Wake a loop from another thread. Counted after the byte is written, both under the lock: see `_select`."""
    with TRACKED_LOCK:
        original(loop)
        seat: Seat | None = loop.__dict__.get(SEAT)
        if seat is not None:
            seat.writes += 1
            if seat.wait is not None:
                seat.schedule.unpark(seat.wait)


def _call_soon_threadsafe(original: Callable[..., Any], loop: Any, *args: Any, **kwargs: Any) -> Any:
    """Call into a loop from another thread; a member lends it its world before it can run the call."""
    caller = MEMBERS.get(get_ident())
    if caller is not None and not caller.world.ended:
        with TRACKED_LOCK:
            _lend(loop, caller)
    return original(loop, *args, **kwargs)


def _lend(loop: Any, caller: Member) -> None:
    if loop._thread_id is not None and not adoptable(loop._thread_id):
        return
    if caller.world.schedule is not None:
        take_seat(loop, caller.world)
    if loop._thread_id is not None:
        member = admit(caller.world, loop._thread_id, borrowed_through=loop, counted=True)
        member.visiting = True
        if member.schedule is not None:
            member.schedule.reserve(Wait.of(member))


def works_for(world: WorldState, loop: Any) -> bool:
    """Whether the calling thread, which runs the loop, is a member of the loop's world; now it is, if it may be."""
    ident = get_ident()
    member = MEMBERS.get(ident)
    if member is not None and member.world is world:
        return True
    with TRACKED_LOCK:
        if world.ended or not adoptable(ident):
            return False
        admit(world, ident, borrowed_through=loop).visiting = True
        return True


def install_loops(loops: Any) -> None:
    """Patch `asyncio.base_events`."""
    loops.BaseEventLoop.time = _time
    wrap(loops.BaseEventLoop, "run_forever", _run_forever)
    wrap(loops.BaseEventLoop, "call_soon_threadsafe", _call_soon_threadsafe)


def install_wake_up(cls: Any) -> None:
    """Patch how loops of this class are woken from other threads."""
    wrap(cls, "_write_to_self", _write_to_self)

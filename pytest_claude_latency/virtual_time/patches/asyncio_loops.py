"""asyncio loops that live in a world.

A loop asks its selector to wait. In a world that is a wait of the loop's thread, and `loop.time()` follows the clock.
Its method `time` is patched, and the two by which other threads reach it, `call_soon_threadsafe` and `_write_to_self`.
The `select` of its own selector is met while it runs (`selector_hooks`), so that a loop made before the test can join a
world at any time. The time of a loop never goes back: not from one world to the next, and not at the end of a world.
"""

from __future__ import annotations

import sys
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable, Mapping, Sized
from selectors import SelectorKey
from types import FrameType
from typing import TYPE_CHECKING, Any, final

from pytest_claude_latency.duration import MICROSECOND, SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.patches.blocking import file_waits
from pytest_claude_latency.virtual_time.patches.blocking.loans import LOANS
from pytest_claude_latency.virtual_time.patches.loops import lent_loops, loop_holds, selector_hooks, unsupported_loops
from pytest_claude_latency.virtual_time.patches.loops.alarms import Alarms
from pytest_claude_latency.virtual_time.patches.patching import Patches, wrap
from pytest_claude_latency.virtual_time.scheduling.clock_readings import due
from pytest_claude_latency.virtual_time.scheduling.lead import LEADS
from pytest_claude_latency.virtual_time.scheduling.lock import LOCK, TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import admit, adoptable, line_up
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident, monotonic_ns
from pytest_claude_latency.virtual_time.scheduling.standing import stand
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS
from pytest_claude_latency.virtual_time.scheduling.wait import Wait

if TYPE_CHECKING:
    from asyncio import Future

    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

# A timer so close is due: above the error of float seconds, below the microsecond to which waits are rounded.
_RESOLUTION = 0.6 * MICROSECOND / SECOND

_PATCHES = Patches()

# How far a loop that was in no world is ahead of the machine, as `LEADS` was when it last began to run without timers.
_LEAD = "_claude_latency_lead"
_BIRTHPLACE = "_claude_latency_birthplace"  # the world of the thread that made the loop
STATE = "_claude_latency_state"  # the attribute of a loop that holds its `LoopState`


@final
class LoopState:
    """One loop in one world: where its time began, and its tasks that wait for an exact instant."""

    def __init__(self, loop: BaseEventLoop, world: WorldState, lead: Nanoseconds) -> None:
        """`lead` is how far the time of the loop is ahead of the machine's at this moment."""
        assert world.schedule is not None
        assert world.readings is not None
        self.loop = loop
        self.world = world
        self.readings = world.readings
        self.schedule = world.schedule
        # One turn of the loop later, as a file's reader hands on what it got. A timer that was due while the program
        # held the loop runs before the task that waits for the answer, so a time-out cancels it, as in reality.
        self.alarms: Alarms[Future[None]] = Alarms(wake=lambda future: loop.call_soon(_end, future))
        self.writes = 0  # to the loop's self-pipe
        self.awake: Nanoseconds = self.schedule.clock.now()  # when it last came back from its selector
        self.wait: LoopWait | None = None
        self.watch(loop._selector)  # type: ignore[attr-defined]
        # The program may compare the loop's time with time.monotonic(), so the loop takes over the origin of the world.
        # A loop that already holds timers keeps its own, or they would all be due at once.
        origin = monotonic_ns() + lead - self.readings.now()
        timers: list[Any] = loop._scheduled  # type: ignore[attr-defined] # asyncio's own heap of timers
        older = loop.__dict__.get(_BIRTHPLACE) is not world
        self.origin = origin if timers and older else max(origin, self.readings.origin)

    def watch(self, selector: Any) -> None:
        """Look from now on at the files of this selector, which the loop has."""
        self.selector = selector
        files = selector.get_map() if hasattr(selector, "get_map") else None
        # A program may put a mock in the place of the selector, which has any attribute, but no files.
        self.files: Mapping[Any, SelectorKey] | None = files if isinstance(files, Mapping) else None
        fds = getattr(selector, "_fd_to_key", self.files)  # its length costs less to ask
        self._fds: Sized | None = fds if isinstance(fds, Mapping) else None

    def lead(self) -> Nanoseconds:
        """Return how far the loop's time is ahead of the machine's. It no longer changes when the world has ended."""
        return self.origin + self.readings.now() - monotonic_ns()

    def other_files(self) -> list[SelectorKey]:
        """Return the files this loop waits for, except its own self-pipe."""
        if self.files is None or len(self.files) <= 1:
            return []
        pipe: Any = self.loop._ssock  # type: ignore[attr-defined] # the reading end
        own = None if pipe is None else pipe.fileno()
        return [key for key in tuple(self.files.values()) if key.fd != own]

    def idle_until(self, instant: Nanoseconds) -> bool:
        """Return whether the running task is the only thing this loop could do before or at `instant`."""
        loop: Any = self.loop
        if loop._ready or loop._stopping or self._fds is None or len(self._fds) > 1:
            return False
        timers = loop._scheduled
        if timers and timers[0]._when <= (self.origin + instant) / SECOND + _RESOLUTION:
            return False
        first = self.alarms.first()
        return first is None or first > instant


@final
class LoopWait(Wait):
    """One wait of a loop: in its selector, since a file may end it too, and woken through the self-pipe."""

    holds = False

    def __init__(self, instant: Nanoseconds | None, state: LoopState) -> None:
        super().__init__(instant, "an event loop with nothing to do")
        self._state = state
        self.in_selector = True

    def files(self) -> list[int]:
        """Return the files that the loop watches, except its self-pipe."""
        return [key.fd for key in self._state.other_files()]

    def ready(self) -> bool:
        """Return whether one of these files is ready; False where the system has no `poll` to ask."""
        return file_waits.any_ready(file_waits.events_of(self._state.other_files()))

    def details(self) -> list[tuple[str, str, str]]:
        """Return a row for each task of the loop: its name, what it is, and where it waits."""
        from asyncio import all_tasks

        from pytest_claude_latency.virtual_time.watch import source_location

        rows = []
        for task in sorted(all_tasks(self._state.loop), key=lambda task: task.get_name()):
            stack = task.get_stack(limit=1)
            where = source_location.of_frame(stack[0]) if stack else ""
            rows.append((task.get_name(), "a task, not done", where))
        return rows

    def wake(self) -> None:
        """Let the thread go on; if it still waits in its selector, make the selector return first."""
        super().wake()
        if self.in_selector:
            self._state.loop._write_to_self()  # type: ignore[attr-defined] # how asyncio wakes itself


def _end(future: Future[None]) -> None:
    """End the wait of a task, unless it was cancelled meanwhile."""
    if not future.done():
        future.set_result(None)


def enter_world(loop: Any, world: WorldState) -> LoopState:
    """Return the state of the loop in this world, a new one if the loop was not in it yet.

    The calling thread must run the loop, or know that no thread does.
    """
    state: LoopState | None = loop.__dict__.get(STATE)
    if state is None or state.world is not world:
        state = loop.__dict__[STATE] = LoopState(
            loop, world, loop.__dict__.get(_LEAD, 0) if state is None else state.lead()
        )
    return state


def state_of(loop: BaseEventLoop) -> LoopState | None:
    """Return the state of the loop in the world of the thread that asks.

    If that thread is an outsider, or may not take the loop along, return the loop's last state; None if the loop was
    never in a world.
    """
    state: LoopState | None = loop.__dict__.get(STATE)
    member = MEMBERS.get(get_ident())
    if member is None or member.world.schedule is None or (state is not None and state.world is member.world):
        return state
    if state is not None and not state.world.ended:
        return state
    if member.world.ended or loop._thread_id not in {None, member.ident}:  # type: ignore[attr-defined]
        return state  # another thread runs the loop; if it is an outsider, its time must not jump
    return enter_world(loop, member.world)


def join_world(world: WorldState, loop: Any) -> bool:
    """Make the calling thread, which runs the loop, a member of the loop's world if it may be; return whether it is."""
    ident = get_ident()
    member = MEMBERS.get(ident)
    if member is not None and member.world is world:
        return True
    with TRACKED_LOCK:
        if world.ended or not adoptable(ident):
            return False
        admit(world, ident, borrowed_through=loop).visiting = True
        return True


def lend(loop: Any, world: WorldState) -> bool:
    """Let the calling thread and the loop that it runs, both outsiders, work for the world; return whether they do."""
    if not join_world(world, loop):
        return False
    enter_world(loop, world)
    lent_loops.note(loop)
    return True


def _give_back(state: LoopState, select: Callable[[float | None], Any]) -> Any:
    """Let a loop that was lent be an outsider's again, with its time as it is; return the files that are ready."""
    loop: Any = state.loop
    with TRACKED_LOCK:
        # Asked under the lock: whoever calls into the loop or writes to it later, runs still, so that the clock stands.
        ready = select(0)
        if not ready:
            loop.__dict__[_LEAD] = state.lead()
            del loop.__dict__[STATE]
            lent_loops.give_back(loop, get_ident())
    return ready


def _time(loop: BaseEventLoop) -> float:
    """Return the loop's time in seconds: exact for asyncio itself, late by the float skew for the program."""
    # asyncio compares it with the instants of timers, which it computed from earlier readings. A skew that has grown
    # since then would make a timer due that is not.
    state = state_of(loop)
    if state is None:
        return (monotonic_ns() + loop.__dict__.get(_LEAD, 0)) / SECOND  # type: ignore[no-any-return]
    # The program may give it another selector while it runs.
    if state.selector is not loop._selector and selector_hooks.HOOK in loop.__dict__:  # type: ignore[attr-defined]
        selector_hooks.put(loop, _select)
        state.watch(loop._selector)  # type: ignore[attr-defined]
    caller = sys._getframe(1)
    module = caller.f_globals.get("__name__", "")
    exact = module.startswith("asyncio.") and not (module == "asyncio.timeouts" and _shows(caller))
    return state.readings.loop_time(state.origin, float_skew=not exact)


def _shows(caller: FrameType) -> bool:
    """Return whether this function of `asyncio.timeouts` makes or compares an instant that no timer waits for.

    A program may ask a time-out that is over at once for its instant, and compare it with the loop's time before.
    """
    name = caller.f_code.co_name
    delay = caller.f_locals.get("delay") if name == "timeout" else None
    return name == "reschedule" or (delay is not None and delay <= 0)


@_PATCHES.wraps("BaseEventLoop.__init__")
def _init(original: Callable[..., None], loop: Any, *args: Any, **kwargs: Any) -> None:
    """Do what making a loop does; it begins with the time of the thread that makes it."""
    # The program may compute the first timer from `time.monotonic()`.
    ident = get_ident()
    member = MEMBERS.get(ident)
    loop.__dict__[_BIRTHPLACE] = None if member is None else member.world
    loop.__dict__[_LEAD] = LEADS.of(ident).monotonic
    original(loop, *args, **kwargs)


def _begins(loop: Any) -> None:
    """Prepare a loop that begins to run."""
    if not isinstance(loop, BaseEventLoop) or getattr(loop, "_selector", None) is None:
        return
    if LEADS.latest.monotonic and not getattr(loop, "_scheduled", True):
        loop.__dict__[_LEAD] = max(loop.__dict__.get(_LEAD, 0), LEADS.of(get_ident()).monotonic)
    selector_hooks.put(loop, _select)


def _select(loop: Any, select: Callable[[float | None], Any], timeout: float | None) -> Any:
    """Do what the loop's selector does: wait until a file is ready, or until `timeout` seconds have passed."""
    member = MEMBERS.get(get_ident())
    if member is not None:
        state: LoopState | None = loop.__dict__.get(STATE)
        loop_holds.look(loop, member.world, state)
        if state is not None and state.world is member.world:
            state.alarms.hold(state.awake, state.readings.now())
    ready = _wait_for_events(loop, select, timeout)
    # If a member called into the loop meanwhile, this thread works for the member's world now. `call_soon_threadsafe`
    # has queued it for a turn; it must not run the call before the turn comes.
    member = MEMBERS.get(get_ident())
    if member is not None:
        if member.wait is not None:
            line_up()
        loop_holds.goes_on(loop, member.world, loop.__dict__.get(STATE))
    return ready


def _wait_for_events(loop: Any, select: Callable[[float | None], Any], timeout: float | None) -> Any:
    state = state_of(loop)
    if state is None:
        return select(timeout)
    alarms, readings = state.alarms, state.readings
    if state.world.ended or not join_world(state.world, loop):
        alarm = alarms.first()
        if alarm is not None:  # its task went on waiting when the world ended, now for real
            rest = max(0, alarm - readings.now()) / SECOND
            timeout = rest if timeout is None else min(timeout, rest)
        ready = select(timeout)
        alarms.ring(readings.now())
        return ready
    if lent_loops.is_over(loop) and alarms.first() is None:
        return _give_back(state, select) or select(timeout)
    loop._clock_resolution = _RESOLUTION  # how close asyncio takes a timer for due; a real clock's is too fine
    # Read before the selector is asked, for `_wait_in_world`: a thread that writes to the self-pipe before this line
    # makes `select(0)` return its byte, and one that writes after it changes the count.
    writes = state.writes
    ready = select(0)
    alarms.ring(readings.now())
    if ready or timeout == 0 or loop._ready:
        return ready
    instant = alarms.first()
    limits = False
    if timeout is not None:
        timer = due(readings.now(), timeout)
        limits = instant is None or timer < instant
        instant = timer if instant is None else min(timer, instant)
    unsupported_loops.refuse_unknown_files(state, state.selector)
    if type(loop).time is _time and "time" not in loop.__dict__:
        return _wait_in_world(state, select, instant, writes, limits=limits)
    began, before = readings.now(), loop.time()
    ready = _wait_in_world(state, select, instant, writes, limits=limits)
    unsupported_loops.refuse_own_clock(state, readings.now() - began, loop.time() - before)
    return ready


def _wait_in_world(
    state: LoopState, select: Callable[[float | None], Any], instant: Nanoseconds | None, writes: int, *, limits: bool
) -> Any:
    """Wait until the clock reads `instant`, until a file is ready or until another thread calls into the loop.

    `limits` says that a timer is due at the instant, and not only a replayed answer.
    """
    schedule = state.schedule
    with LOCK:
        member = MEMBERS.get(get_ident())
        # A thread that called into the loop since `writes` was read found no wait that it could end. If the loop waited
        # now, the clock would move past this call. It looks at its queue again instead, also if its world has ended.
        if state.writes != writes or member is None or member.schedule is not schedule:
            return []
        if instant is not None and schedule.free_until(instant, limits=limits) and not state.other_files():
            schedule.move_to(instant)
            wait = None
        else:
            wait = state.wait = LoopWait(instant, state)
            wait.limits = wait.sleeps = limits
            wait.park(member)
    ready: Any = []
    if wait is not None:
        try:
            ready = select(None)
        finally:
            with LOCK:
                state.wait, wait.in_selector = None, False
                # If a file or a signal ended the wait, nobody has counted this thread as running yet.
                schedule.unpark(wait)
        stand(schedule, wait)
    state.alarms.ring(state.readings.now())
    return ready


def _write_to_self(original: Callable[[Any], None], loop: Any) -> None:
    """Do what a loop does when another thread calls into it: write a byte to its self-pipe."""
    # The byte is written first and counted second, in one step under the lock. If the write were counted first, the
    # loop could read the new count, find no byte, and wait although it has a call to run.
    with TRACKED_LOCK:
        original(loop)
        state: LoopState | None = loop.__dict__.get(STATE)
        if state is not None:
            state.writes += 1
            if state.wait is not None:
                state.schedule.unpark(state.wait)


@_PATCHES.wraps("BaseEventLoop.call_soon_threadsafe")
def _call_soon_threadsafe(original: Callable[..., Any], loop: Any, *args: Any, **kwargs: Any) -> Any:
    """Do what `call_soon_threadsafe` does; a loop of an outsider works for the world of the member that calls."""
    caller = MEMBERS.get(get_ident())
    if caller is not None and not caller.world.ended:
        # Before the call is queued: the loop's thread may run it at any moment from then on, and must be in the world.
        with TRACKED_LOCK:
            ident = loop._thread_id
            may_enter = ident is None or adoptable(ident)
            if may_enter and caller.world.schedule is not None:
                enter_world(loop, caller.world)
            if may_enter and ident is not None:
                member = admit(caller.world, ident, borrowed_through=loop, counted=True)
                member.visiting = True
                if member.schedule is not None:
                    member.schedule.reserve(Wait.of(member))
    handle = original(loop, *args, **kwargs)
    if handle._source_traceback:  # of a loop in debug mode: it ends with the caller, not with our two functions
        del handle._source_traceback[-2:]
    return handle


def install_loops(module: Any) -> None:
    """Patch the module `asyncio.base_events`."""
    module.BaseEventLoop.time = _time
    selector_hooks.on_running(module.events, _begins)
    LOANS.lend_loop = lend
    _PATCHES.install(module)


def install_wake_up(module: Any) -> None:
    """Patch how the loops of an asyncio module, of selectors or of proactors, are woken by other threads."""
    for name in ("BaseSelectorEventLoop", "BaseProactorEventLoop"):
        if name in module.__dict__:
            wrap(module.__dict__[name], "_write_to_self", _write_to_self)

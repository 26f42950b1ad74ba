"""Bystanders: threads that are no members of a world but may do something for one.

An exporter that a member waits for, an older thread that was handed a job through
a pipe: both live in the machine's time, and a limit in virtual time must not end
a member's wait before they had their chance. So each move of the clock asks about
them. A bystander that runs holds the clock to the machine's pace, whatever is due.
One that waits holds it only where a limit is due, and only if it waits somewhere
else than where it rests: a thread that polls all day long must hold up nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, final

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time.scheduling import real_clock
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import OURS, bystanders, thread_is_background
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS
from pytest_claude_latency.virtual_time.watch import source_location, thread_state
from pytest_claude_latency.virtual_time.watch.activity import Activity
from pytest_claude_latency.virtual_time.watch.thread_state import ThreadState, Waiting

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pytest_claude_latency.virtual_time.scheduling.wait import Wait

MOMENT = 0.0005  # seconds: enough for a thread that only waits for the interpreter to move

_SERVICE = 2 * SECOND  # for so long the thread of a library is waited for that a member has woken

_ROUND = 10 * SECOND  # a library that polls looks at its own flags at least as often, or is not waited for

# What only a thread of this process can end: such a thread has nothing to do now.
_AT_REST = {Waiting.IDLE, Waiting.PEER}


@dataclass(frozen=True, slots=True)
class _Sighting:
    """Where a bystander was seen: how it waited, and the lines on its stack."""

    state: ThreadState
    position: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, ident: int) -> _Sighting:
        return cls(thread_state.look(ident), source_location.position(ident))


def _serving() -> set[int]:
    """Return the threads of libraries that a member has woken of late, and that have not come back since."""
    # One that never comes back may have begun to poll, and must not make a whole replay real.
    latest = real_clock.monotonic_ns() - _SERVICE
    for ident in [ident for ident, service in tuple(OUTSIDERS.serving.items()) if service.woken < latest]:
        OUTSIDERS.serving.pop(ident, None)
    return set(OUTSIDERS.serving)


def _one_moves(states: Mapping[int, ThreadState], seconds: float) -> bool:
    """Return whether one of these threads moves within this time."""
    end = real_clock.monotonic() + seconds
    while real_clock.monotonic() < end:
        real_clock.sleep(MOMENT)
        if any(thread_state.look(ident) != state for ident, state in states.items()):
            return True
    return False


@final
class Bystanders:
    """The bystanders of one world. Caller of every method must hold LOCK."""

    def __init__(self) -> None:
        OUTSIDERS.begin_world()
        # The threads of pytest's that were listed once may have ended, and the kernel gives their numbers to others.
        OURS.difference_update([thread for thread in OURS.copy() if thread_state.has_ended(thread)])
        # Where each was when the world began. A thread that comes back there has done its work.
        own = real_clock.get_ident()  # about to become a member
        self._at_first = {ident: _Sighting.of(ident) for ident in chain(*bystanders()) if ident != own}
        self._at_standstill: dict[int, ThreadState] = {}
        self._still_since = 0
        self._activity = Activity()  # since all that are awake were last seen at rest
        self._seen: list[int] = []  # who they were
        self._limited: dict[int, ThreadState] = {}  # those whose wait with a limit is believed

    def readers(self) -> dict[int, tuple[int, ThreadState]]:
        """Return which file each waited for that wanted to read one when the world began, by the file's descriptor."""
        found = {}
        for ident, sighting in self._at_first.items():
            file = sighting.state.reads
            if file is not None:
                found[file] = (ident, sighting.state)
        return found

    def quiet(self, limits: bool) -> bool:
        """Return whether nobody could hold the clock; `limits` says that a limit is due next."""
        if OUTSIDERS.serving or OUTSIDERS.coming:
            return False
        awake, asleep, _ = bystanders()
        if not awake:
            return not (limits and asleep)
        return not limits and self._seen == awake and not self._activity.since()

    def hold(self, wait: Wait | None, parked: Collection[Wait] = ()) -> bool:
        """Return whether one runs, or works for whoever stands in `wait`, the next to end; None if no wait will end.

        `parked` are all waits. A thread of a library that a member has woken may do something for any of them.
        """
        if OUTSIDERS.coming:
            return True
        listed = bystanders()
        limits = wait is not None and wait.limits
        serving = _serving() if any(other.limits for other in parked) else set()
        # Who sleeps can be working for somebody, but nobody can have woken it since. Who asks stands here: an outsider
        # that has just ceased to be a member, and is about to wait.
        own = real_clock.get_ident()
        asleep = [ident for ident in listed.asleep if limits or ident in serving]
        idents = [ident for ident in listed.awake + asleep if ident != own]
        self._seen = []
        self._activity.note()
        states = {ident: thread_state.look(ident) for ident in idents}
        if not states:
            return False
        kinds = {ident: state.waiting() for ident, state in states.items()}
        if self._one_runs(states, kinds, set(listed.awake) if limits else set()):
            return True
        if own not in listed.awake:
            self._seen = listed.awake
        if not limits:
            return any(kinds[ident] not in _AT_REST for ident in serving & kinds.keys())
        joined = None if wait is None else wait.joins
        return any(
            (ident in serving and kind not in _AT_REST) or self._works(ident, states[ident], kind, joined)
            for ident, kind in kinds.items()
        )

    def _one_runs(self, states: Mapping[int, ThreadState], kinds: Mapping[int, Waiting], unclear: set[int]) -> bool:
        """Return whether one of these threads runs, or is about to.

        `unclear` are those of which nobody has said that they wait with a limit.
        """
        if Waiting.NOTHING in kinds.values():
            return True
        # A thread that waits for the interpreter looks like one in a wait with a limit. Let it run. If it has been
        # woken but not come to run yet, nothing but another look tells.
        doubtful = {ident: states[ident] for ident, kind in kinds.items() if kind not in _AT_REST}
        if doubtful and _one_moves(doubtful, MOMENT):
            return True
        # The interpreter may be given to others first, which takes longer where the machine is busy.
        new = {
            ident: state
            for ident, state in doubtful.items()
            if ident in unclear and kinds[ident] is Waiting.LIMITED and self._limited.get(ident) != state
        }
        if new and _one_moves(new, thread_state.least_age(Waiting.LIMITED) / SECOND):
            return True
        self._limited.update(new)
        # The first may have been woken by the second after it was seen; then one of them has moved. And one that waits
        # for our own lock looks as if it waited for another thread.
        stirs = self._activity.since() and any(thread_state.look(ident) != state for ident, state in states.items())
        return stirs or not TRACKED_LOCK.waiting.isdisjoint(states)

    def stand_still(self) -> None:
        """Note that from now on nobody in the world runs, and no timer is set."""
        states = {ident: thread_state.look(ident) for ident in chain(*bystanders())}
        # One that is awake may have looked at what it polls already, so its next wait counts.
        self._at_standstill = {ident: state for ident, state in states.items() if state.blocked}
        self._still_since = real_clock.monotonic_ns()

    def could_end(self, waits: Collection[Wait]) -> bool:
        """Return whether a bystander could still end one of these waits since `stand_still`."""
        joined = {wait.joins for wait in waits}
        is_early = real_clock.monotonic_ns() - self._still_since < _ROUND
        for ident in chain(*bystanders()):
            state = thread_state.look(ident)
            kind = state.waiting()
            if kind is Waiting.NOTHING or self._works(ident, state, kind, ident if ident in joined else None):
                return True
            # A thread of the program that sleeps or polls may do anything when it wakes up. Let it wake up once. So may
            # the server of a library that is told to end: it looks between two rounds.
            sleeps = state.ends_by_itself and (not thread_is_background(ident) or (state.polls and is_early))
            if sleeps and self._at_standstill.setdefault(ident, state) == state:
                return True
        return self.hold(None)

    def _works(self, ident: int, state: ThreadState, kind: Waiting, joined: int | None) -> bool:
        """Return whether a bystander that waits does so in the middle of some work."""
        if kind in _AT_REST:
            return False
        if ident == joined:
            return True
        first = self._at_first.get(ident)
        if first is None or first.state.native_id != state.native_id:
            # Younger than the world, so where it rests is not known. Exporters rest in waits with a limit.
            return kind is Waiting.WORK
        return first.state != state and first.position != source_location.position(ident)

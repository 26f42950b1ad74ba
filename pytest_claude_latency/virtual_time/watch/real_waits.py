"""Real waits: what a test waited for in reality, who waited and where, seen by looking again and again."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.scheduling.table import Member
from pytest_claude_latency.virtual_time.watch import source_location, thread_state
from pytest_claude_latency.virtual_time.watch.thread_state import Blockage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_claude_latency.virtual_time.scheduling.wait import Wait
    from pytest_claude_latency.virtual_time.watch.thread_state import ThreadState

_WORTH_A_NOTE = 100 * MILLISECOND
_POLLS_AFTER = 100 * MILLISECOND  # of waking only to wait in the same call again
_LONG_WORK = 100 * MILLISECOND  # shorter work must not change the order in which threads go on
_GRACE = 2  # looks that may find such a thread awake, beyond the number of looks that found it waiting


@dataclass(frozen=True, slots=True)
class RealWait:
    """A wait for something real, which cost the test no virtual time: the thread, the place, and how long."""

    thread: str
    place: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.thread} waited {self.seconds:.1f}s in reality, at {self.place}"


@final
class Watch:
    """A wait of one thread without a break, as far as the looks tell."""

    def __init__(self, member: Member, state: ThreadState, now: Nanoseconds) -> None:
        self.member = member
        self.state = state
        self.since = self.until = now
        self.blockage: Blockage | None = None  # what the latest look saw, if that can be believed
        self.idle = True
        self.place = ""
        self.name = thread_name(member.ident)
        self._waiting_looks = 1
        self._awake_looks = 0

    def goes_on(self, state: ThreadState) -> bool:
        """Return whether another look sees the same wait, or the next round of a thread that polls.

        A thread that polls is awake between two rounds. Some looks may find it so.
        """
        if state.blocked and (state == self.state or state.repeats(self.state)):
            return True
        self.blockage = None
        self._awake_looks += 1
        return self.state.blocked and self.state.polls and self._awake_looks <= self._waiting_looks + _GRACE

    def holds_up(self, now: Nanoseconds) -> bool:
        """Return whether the thread should not keep its turn: it waits for others, or works for long."""
        return self.blockage is not None and (not self.blockage.works or now - self.since >= _LONG_WORK)

    def look_again(self, state: ThreadState, now: Nanoseconds) -> None:
        """Note a look at which the wait goes on.

        The wait is believed when it has lasted longer than whatever only looks like one.
        """
        if not (state == self.state or state.repeats(self.state)):
            return  # awake between two rounds
        age, polling = now - self.since, state != self.state
        self.state, self.until = state, now
        self._waiting_looks += 1
        waiting = state.waiting()
        if age >= thread_state.least_age(waiting) and (not polling or age >= _POLLS_AFTER):
            self.blockage = Blockage(self.member.ident, state, waiting, polling)
            self.idle = self.blockage.idle
            # Found only once a wait is believed: it walks the whole stack. The stack does not change while it waits.
            self.place = self.place or source_location.of_thread(self.member.ident)


@final
class RealWaitLog:
    """Adds up what threads waited for in reality."""

    def __init__(self) -> None:
        self._spent: dict[tuple[str, str], Nanoseconds] = {}
        self._at_files: dict[Wait, tuple[Nanoseconds, str]] = {}  # loops that wait for files now: since when, and where

    def close(self, watch: Watch, now: Nanoseconds) -> None:
        """Add a watched wait, which is over."""
        if not watch.idle:
            self._add(watch.name, watch.place, (now if watch.blockage else watch.until) - watch.since)

    def see_files(self, waits: list[Wait], now: Nanoseconds) -> None:
        """Note the loops that stand still, at this look, for files of the outside; the waits of all others are over."""
        for wait in [wait for wait in self._at_files if wait not in waits]:
            since, place = self._at_files.pop(wait)
            self._add("" if wait.member is None else thread_name(wait.member.ident), place, now - since)
        for wait in waits:
            if wait not in self._at_files and wait.member is not None:
                self._at_files[wait] = (now, source_location.of_thread(wait.member.ident))

    def longest_first(self) -> Sequence[RealWait]:
        """Return the real waits of each thread at each place, the longest first."""
        items = sorted(self._spent.items(), key=lambda item: -item[1])
        return [RealWait(thread, place, spent / SECOND) for (thread, place), spent in items]

    def _add(self, name: str, place: str, spent: Nanoseconds) -> None:
        if spent >= _WORTH_A_NOTE:
            self._spent[name, place] = self._spent.get((name, place), 0) + spent


def thread_name(ident: int) -> str:
    """Return how messages name a thread."""
    thread = threading._active.get(ident)  # type: ignore[attr-defined] # threads by identifier
    return f"thread {ident}" if thread is None else str(thread.name)

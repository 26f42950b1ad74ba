"""Real waits: what a test waited for in reality, by whom and where, found by looking again and again."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.scheduling.members import Member
from pytest_claude_latency.virtual_time.watch import blocked_threads, source_location, thread_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_claude_latency.virtual_time.scheduling.scheduler import Wait
    from pytest_claude_latency.virtual_time.watch.thread_state import Blockage, Sight

_WORTH_TELLING = 100 * MILLISECOND
_POLLS_AFTER = 100 * MILLISECOND  # of waking only to wait in the same call again
_LONG_WORK = 100 * MILLISECOND  # shorter work shall not change the order in which threads go on
_GRACE = 2  # looks that find such a thread awake, beyond those that find it waiting


@dataclass(frozen=True, slots=True)
class RealWait:
    """A wait for something real, which cost the test no virtual time: by whom, where, and how long."""

    thread: str
    place: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.thread} waited {self.seconds:.1f}s in reality, at {self.place}"


@final
class Watch:
    """An unbroken wait of one thread, as far as the looks tell."""

    def __init__(self, member: Member, sight: Sight, now: Nanoseconds) -> None:
        self.member = member
        self.sight = sight
        self.since = self.until = now
        self.blockage: Blockage | None = None  # what the latest look saw, if that can be believed
        self.idle = True
        self.place = ""
        self.name = thread_name(member.ident)
        self._met = 1  # looks that found it waiting, and awake
        self._missed = 0

    def goes_on(self, sight: Sight) -> bool:
        """Whether another look sees the same wait, or the next round of a thread that polls, or the time between."""
        if sight.blocked and (sight == self.sight or sight.repeats(self.sight)):
            return True
        self.blockage = None
        self._missed += 1
        return self.sight.blocked and self.sight.polls and self._missed <= self._met + _GRACE

    def holds_up(self, now: Nanoseconds) -> bool:
        """Whether the thread should not keep its turn: it waits for others, or for long."""
        return self.blockage is not None and (not self.blockage.works or now - self.since >= _LONG_WORK)

    def look_again(self, sight: Sight, now: Nanoseconds) -> None:
        """The wait goes on. It counts as one when it has outlasted whatever might only look like it."""
        if not (sight == self.sight or sight.repeats(self.sight)):
            return
        age, polling = now - self.since, sight != self.sight
        self.sight, self.until = sight, now
        self._met += 1
        waiting = sight.waiting()
        if age >= blocked_threads.least_age(waiting) and (not polling or age >= _POLLS_AFTER):
            self.blockage = thread_state.Blockage(self.member.ident, sight, waiting, polling)
            self.idle = self.blockage.idle
            self.place = self.place or source_location.of_thread(self.member.ident)


@final
class Account:
    """Adds up what threads waited for real."""

    def __init__(self) -> None:
        self._spent: dict[tuple[str, str], Nanoseconds] = {}
        self._at_files: dict[Wait, tuple[Nanoseconds, str]] = {}

    def close(self, watch: Watch, now: Nanoseconds) -> None:
        """A watched wait is over."""
        if not watch.idle:
            self._add(watch.name, watch.place, (now if watch.blockage else watch.until) - watch.since)

    def see_files(self, waits: list[Wait], now: Nanoseconds) -> None:
        """These loops stand still for files of the outside at this look, and no others."""
        for wait in [wait for wait in self._at_files if wait not in waits]:
            since, place = self._at_files.pop(wait)
            self._add("" if wait.member is None else thread_name(wait.member.ident), place, now - since)
        for wait in waits:
            if wait not in self._at_files and wait.member is not None:
                self._at_files[wait] = (now, source_location.of_thread(wait.member.ident))

    def told(self) -> Sequence[RealWait]:
        """What cost real seconds, the longest first."""
        told = sorted(self._spent.items(), key=lambda item: -item[1])
        return [RealWait(thread, place, spent / SECOND) for (thread, place), spent in told]

    def _add(self, name: str, place: str, spent: Nanoseconds) -> None:
        if spent >= _WORTH_TELLING:
            self._spent[name, place] = self._spent.get((name, place), 0) + spent


def thread_name(ident: int) -> str:
    """How messages call a thread."""
    thread = threading._active.get(ident)  # type: ignore[attr-defined] # threads by identifier
    return f"thread {ident}" if thread is None else str(thread.name)

"""Looks at a thread from outside: does it run, and if not, what does it wait for?

On Linux `/proc` tells the thread's state, its system call with arguments, and
how often it was switched out. Two looks a few milliseconds apart that agree in
all of it saw one unbroken wait. Elsewhere only the Python frame can be compared.
"""

from __future__ import annotations

import platform
import sys
import threading
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from pytest_claude_latency.virtual_time.watch import open_files

_TASKS = Path("/proc/self/task")


class Waiting(Enum):
    """What a blocked thread waits for, as far as time is concerned."""

    NOTHING = auto()  # it runs, or is about to
    IDLE = auto()  # something only another thread of this process, or nobody, will do
    PEER = auto()  # a socket whose other end is in this process
    LIMITED = auto()  # a lock with a time limit; or the interpreter's own lock
    WORK = auto()  # something real outside: it will come when it comes
    UNKNOWN = auto()  # where only frames can be looked at


@dataclass(frozen=True, slots=True)
class Sight:
    """One look: equal sights at different times are one wait."""

    native_id: int
    state: str
    call: str
    switches: str

    @property
    def polls(self) -> bool:
        """Whether it is in a call that programs repeat with a limit."""
        return _CALLS.get(self.call.partition(" ")[0]) in _LIMIT

    def repeats(self, earlier: Sight) -> bool:
        """Whether it waits for the same files as before, in another call of the same kind."""
        return self.blocked and self.polls and self.call.split()[:3] == earlier.call.split()[:3]

    @property
    def blocked(self) -> bool:
        """Whether the thread stood still at the moment of the look."""
        return self.state in "SD"

    def ends_by_itself(self) -> bool:
        """Whether the call it is blocked in has a limit of its own."""
        name, arguments = self._parsed() if _CALLS else ("", [])
        if name == "futex":
            return arguments[3] != 0
        if name in {"poll", "epoll"}:
            return arguments[_LIMIT[name]] & 0xFFFFFFFF != _FOREVER
        return name in _LIMIT and arguments[_LIMIT[name]] != 0

    def waiting(self) -> Waiting:
        """What the thread waits for. Costs more than the look."""
        if not self.blocked:
            return Waiting.NOTHING
        if not _CALLS:
            return Waiting.UNKNOWN
        name, arguments = self._parsed()
        return _WAITS[name](arguments) if name in _WAITS and self.state == "S" else Waiting.WORK

    def _parsed(self) -> tuple[str, list[int]]:
        number, *arguments = self.call.split()
        return _CALLS.get(number, ""), [int(argument, 16) for argument in arguments]


def look(ident: int) -> Sight:
    """A look at a thread by its Python identifier. One that cannot be seen runs, for all we know."""
    thread = threading._active.get(ident)  # type: ignore[attr-defined] # threads by identifier
    native_id = getattr(thread, "native_id", None)
    if native_id is None:
        return _UNSEEN
    return (look_at_task(native_id) if _CALLS else _look_at_frame(ident, native_id)) or _UNSEEN


_UNSEEN = Sight(0, "R", "running", "")


@dataclass(frozen=True, slots=True)
class Blockage:
    """A wait of a thread as it was seen: still the same as long as a new look is equal."""

    ident: int
    sight: Sight
    waiting: Waiting
    polling: bool = False  # it wakes now and then, only to wait in the same call again

    @property
    def idle(self) -> bool:
        """Whether it waits for nothing that takes time."""
        return self.waiting is Waiting.IDLE

    @property
    def works(self) -> bool:
        """Whether it waits for something outside."""
        return self.waiting in {Waiting.WORK, Waiting.UNKNOWN}

    @property
    def takes_time(self) -> bool:
        """Whether it waits for something outside, or may do so."""
        return self.works or self.waiting is Waiting.LIMITED

    @property
    def ends_by_itself(self) -> bool:
        """Whether the call it is blocked in has a limit of its own."""
        return self.sight.ends_by_itself()

    def lasts(self) -> bool:
        """Whether the thread has not moved since."""
        now = look(self.ident)
        return now == self.sight or (self.polling and now.repeats(self.sight))


def look_at_task(native_id: int) -> Sight | None:
    """A look at a thread by the kernel's identifier; None if it is gone."""
    try:
        status = (_TASKS / str(native_id) / "status").read_text()
        call = (_TASKS / str(native_id) / "syscall").read_text()
    except OSError:
        return None
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    switches = f"{facts.get('voluntary_ctxt_switches')}/{facts.get('nonvoluntary_ctxt_switches')}"
    return Sight(native_id, facts.get("State", "R")[0] if call[0].isdigit() else "R", call.strip(), switches)


def _look_at_frame(ident: int, native_id: int) -> Sight | None:
    frame = sys._current_frames().get(ident)
    return None if frame is None else Sight(native_id, "D", f"{id(frame)}", f"{frame.f_lasti}")


def tasks() -> list[int]:
    """The kernel's identifiers of all threads of this process; empty where they cannot be listed."""
    return [int(task.name) for task in _TASKS.iterdir()] if _CALLS else []


def _futex(arguments: list[int]) -> Waiting:
    return Waiting.IDLE if arguments[3] == 0 else Waiting.LIMITED


def _nobody(_: list[int]) -> Waiting:
    return Waiting.IDLE


def _one_file(arguments: list[int]) -> Waiting:
    return _of(open_files.use(arguments[0]))


def _poll(arguments: list[int]) -> Waiting:
    return _of(*map(open_files.use, open_files.polled(arguments[0], arguments[1])))


def _select(arguments: list[int]) -> Waiting:
    return _of(*map(open_files.use, open_files.selected(arguments[0], arguments[1:4])))


def _epoll(arguments: list[int]) -> Waiting:
    return _of(*map(open_files.use, open_files.watched_by(arguments[0])))


def _of(*uses: open_files.Use) -> Waiting:
    """What waiting for any of these files amounts to."""
    if open_files.Use.OUTSIDE in uses:
        return Waiting.WORK
    return Waiting.PEER if open_files.Use.INSIDE in uses else Waiting.IDLE


_WAITS = {
    "futex": _futex,
    "pause": _nobody,
    "accept": _nobody,
    "read": _one_file,
    "poll": _poll,
    "select": _select,
    "epoll": _epoll,
    "ppoll": _poll,
    "epoll2": _epoll,
}

# Which argument is the limit: milliseconds, of which -1 means none, or else a pointer, of which 0 does.
_LIMIT = {"poll": 2, "ppoll": 2, "select": 4, "epoll": 3, "epoll2": 3}
_FOREVER = 0xFFFFFFFF

_NUMBERS = {
    "x86_64": {
        "futex": (202,),
        "pause": (34, 130),
        "accept": (43, 288),
        "read": (0, 19, 45, 47),
        "poll": (7,),
        "ppoll": (271,),
        "select": (23, 270),
        "epoll": (232, 281),
        "epoll2": (441,),
    },
    "aarch64": {
        "futex": (98,),
        "pause": (133,),
        "accept": (202, 242),
        "read": (63, 65, 207, 212),
        "ppoll": (73,),
        "select": (72,),
        "epoll": (22,),
        "epoll2": (441,),
    },
}


def _calls() -> dict[str, str]:
    """The system calls we know by their number; empty where looking is not possible."""
    if not (_TASKS / str(threading.get_native_id()) / "syscall").exists() or sys.maxsize < 2**32:
        return {}
    known = _NUMBERS.get(platform.machine(), {})
    return {str(number): name for name, numbers in known.items() for number in numbers}


_CALLS = _calls()

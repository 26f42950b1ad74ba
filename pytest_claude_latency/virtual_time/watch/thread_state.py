"""Looks at a thread from outside: does it run, and if not, what does it wait for?

On Linux `/proc` tells the thread's state, its system call with arguments, and how
often it was switched out. Two looks a few milliseconds apart that agree in all of
it saw one wait without a break. Elsewhere only the Python frame can be compared.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple

from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.scheduling import real_clock
from pytest_claude_latency.virtual_time.scheduling.members import NATIVE_IDS
from pytest_claude_latency.virtual_time.watch import open_files, thread_frames

_os_read = os.read  # the machine's, bound before it is patched
_TASKS = Path("/proc/self/task")
_ROUNDS, _ROUND = 8, 0.0003  # how often, and after how many seconds, a thread that polls is looked at once more


class Waiting(Enum):
    """What a blocked thread waits for, as far as time is concerned."""

    NOTHING = auto()  # it runs, or is about to
    IDLE = auto()  # something that only another thread of this process, or nobody, will do
    PEER = auto()  # a socket whose other end is in this process
    LIMITED = auto()  # a lock with a time limit; or the interpreter's own lock
    WORK = auto()  # something real outside: it will come when it comes
    UNKNOWN = auto()  # where only frames can be looked at


def least_age(waiting: Waiting) -> Nanoseconds:
    """Return for how long a wait must be seen until it is believed to be one."""
    if waiting is Waiting.LIMITED:
        # A thread that waits for the interpreter's own lock looks the same, but moves at each switch interval.
        return max(20 * MILLISECOND, round(4 * sys.getswitchinterval() * SECOND))
    # Where only frames can be compared, a long call in C looks like a wait: its frame does not move either.
    return 50 * MILLISECOND if waiting is Waiting.UNKNOWN else 0


class ThreadState(NamedTuple):
    """What one look saw. Equal states at different times are one wait.

    `letter` is the kernel's for the state: "R" for a thread that runs, "S" and "D" for one that sleeps. `call` is the
    number of the system call and its arguments. `switches` counts how often the thread was switched out.
    """

    native_id: int
    letter: str
    call: str
    switches: str

    @property
    def blocked(self) -> bool:
        """Whether the thread stood still at the moment of the look."""
        return self.letter in "SD"

    @property
    def polls(self) -> bool:
        """Whether it is in a call that programs repeat with a time limit."""
        return _CALLS.get(self.call.partition(" ")[0]) in _LIMIT

    @property
    def ends_by_itself(self) -> bool:
        """Whether the call it is blocked in has a time limit."""
        name, arguments = self._parsed()
        if name == "sleep":
            return True
        if name == "futex":
            return arguments[3] != 0
        if name in {"poll", "epoll"}:
            return arguments[_LIMIT[name]] & 0xFFFFFFFF != _FOREVER
        return name in _LIMIT and arguments[_LIMIT[name]] != 0

    @property
    def reads(self) -> int | None:
        """The file that the thread waits to read from; None if it waits for something else, or for several files."""
        name, arguments = self._parsed() if self.blocked else ("", [])
        if name == "read":
            return arguments[0]
        files = open_files.polled(arguments[0], arguments[1]) if name == "poll" and arguments[1] == 1 else []
        return files[0] if files else None

    def repeats(self, earlier: ThreadState) -> bool:
        """Return whether it waits for the same files as before, in another call of the same kind."""
        return self.blocked and self.polls and self.call.split()[:3] == earlier.call.split()[:3]

    def waiting(self) -> Waiting:
        """Return what the thread waits for. Costs more than the look: it reads about the files."""
        if not self.blocked:
            return Waiting.NOTHING
        if not _CALLS:
            return Waiting.UNKNOWN
        # "D", the state that is not "S": a disk, most often.
        return _waiting_in(*self._parsed()) if self.letter == "S" else Waiting.WORK

    def _parsed(self) -> tuple[str, list[int]]:
        if not _CALLS:
            return "", []
        number, *arguments = self.call.split()
        return _CALLS.get(number, ""), [int(argument, 16) for argument in arguments]


def _waiting_in(call: str, arguments: list[int]) -> Waiting:
    match call:
        case "futex":
            return Waiting.IDLE if arguments[3] == 0 else Waiting.LIMITED
        case "pause" | "accept":
            return Waiting.IDLE
        case "read":
            files = [arguments[0]]
        case "poll" | "ppoll":
            files = open_files.polled(arguments[0], arguments[1])
        case "select":
            files = open_files.selected(arguments[0], arguments[1:4])
        case "epoll" | "epoll2":
            files = open_files.watched_by(arguments[0])
        case _:
            return Waiting.WORK
    uses = {open_files.use(file) for file in files}
    if open_files.Use.OUTSIDE in uses:
        return Waiting.WORK
    return Waiting.PEER if open_files.Use.INSIDE in uses else Waiting.IDLE


class Blockage(NamedTuple):
    """A wait of a thread as it was seen: it lasts as long as a new look is equal."""

    ident: int
    state: ThreadState
    waiting: Waiting
    polling: bool = False  # it wakes now and then, only to wait in the same call again

    @property
    def idle(self) -> bool:
        """Whether the thread waits for nothing that takes time."""
        return self.waiting is Waiting.IDLE

    @property
    def works(self) -> bool:
        """Whether the thread waits for something outside."""
        return self.waiting in {Waiting.WORK, Waiting.UNKNOWN}

    @property
    def takes_time(self) -> bool:
        """Whether the thread waits for something outside, or may do so."""
        return self.works or self.waiting is Waiting.LIMITED

    @property
    def ends_by_itself(self) -> bool:
        """Whether the call the thread is blocked in has a time limit."""
        return self.state.ends_by_itself

    def lasts(self) -> bool:
        """Return whether the thread has not moved since; who polls may move, if it comes back to the same call."""
        # Between two rounds it is awake for a moment, and longer if it has to wait for the interpreter, as it does when
        # somebody looks at many threads. If it found something, it does not come back so soon.
        for _ in range(_ROUNDS if self.polling else 1):
            now = look(self.ident)
            if now == self.state or (self.polling and now.repeats(self.state)):
                return True
            if self.polling:
                real_clock.sleep(_ROUND)
        return False


_UNSEEN = ThreadState(0, "R", "running", "")


def look(ident: int) -> ThreadState:
    """Look at a thread by its Python identifier. A thread that cannot be seen is taken for one that runs."""
    thread = threading._active.get(ident)  # type: ignore[attr-defined] # threads by identifier
    native_id = getattr(thread, "native_id", None) or NATIVE_IDS.get(ident)
    if native_id is None:
        return _UNSEEN
    if _CALLS:
        return look_at_native(native_id) or _UNSEEN
    frame = thread_frames.frame_of(ident)
    # "D": whether it sleeps is not known, only whether it moves. The look is compared with the next one.
    return _UNSEEN if frame is None else ThreadState(native_id, "D", f"{id(frame)}", f"{frame.f_lasti}")


def look_at_native(native_id: int) -> ThreadState | None:
    """Look at a thread by the kernel's identifier; None if the thread has ended."""
    try:
        status = _read(f"{_TASKS}/{native_id}/status")
        call = _read(f"{_TASKS}/{native_id}/syscall")
    except OSError:
        return None
    letter = status.partition("\nState:\t")[2][:1] or "R"
    switches = status.partition("\nvoluntary_ctxt_switches:")[2]  # the last two lines: of its own will, and not
    # The two files are read one after the other. If the thread woke in between, its call reads "running".
    return ThreadState(native_id, letter if call[:1].isdigit() else "R", call.strip(), switches)


def done_by(native_id: int) -> tuple[int, int] | None:
    """Return how often a thread was switched out, and for how many nanoseconds it ran; None if that cannot be told."""
    try:
        status = _read(f"{_TASKS}/{native_id}/status")
        ran = _read(f"{_TASKS}/{native_id}/schedstat").split()[0]
        voluntary, _, other = status.partition("\nvoluntary_ctxt_switches:")[2].partition(
            "\nnonvoluntary_ctxt_switches:"
        )
        return int(voluntary) + int(other), int(ran)
    except (OSError, ValueError, IndexError):  # it has ended, or the kernel does not tell
        return None


def _read(path: str) -> str:
    # Without the layers of Python's files: threads are looked at before each move of the clock.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return _os_read(descriptor, 8192).decode()
    finally:
        os.close(descriptor)


def has_ended(native_id: int) -> bool:
    """Return whether a thread of this process has ended, by the kernel's identifier; False where that is not told."""
    return bool(_CALLS) and not (_TASKS / str(native_id)).exists()


def native_ids() -> list[int]:
    """Return the kernel's identifiers of all threads of this process; empty where they cannot be listed."""
    return [int(task.name) for task in _TASKS.iterdir()] if _CALLS else []


# Which argument is the limit: milliseconds, of which -1 means none, or else a pointer, of which 0 does.
_LIMIT = {"poll": 2, "ppoll": 2, "select": 4, "epoll": 3, "epoll2": 3}
_FOREVER = 0xFFFFFFFF

# The system calls in which Python waits, by machine. Related calls share a name: "read" is also `readv` and `recvfrom`.
_NUMBERS = {
    "x86_64": {
        "futex": (202,),
        "pause": (34, 130),
        "sleep": (35, 230),
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
        "sleep": (101, 115),
        "accept": (202, 242),
        "read": (63, 65, 207, 212),
        "ppoll": (73,),
        "select": (72,),
        "epoll": (22,),
        "epoll2": (441,),
    },
}

# Threads can be looked at where `/proc` shows system calls. Not on 32-bit systems: the structures that `open_files`
# reads from memory are laid out differently there.
_CAN_LOOK = (_TASKS / str(threading.get_native_id()) / "syscall").exists() and sys.maxsize > 2**32

# The names of the system calls by their number; empty where looking is not possible.
_CALLS = {
    str(number): name
    for name, numbers in _NUMBERS.get(platform.machine() if _CAN_LOOK else "", {}).items()
    for number in numbers
}

"""Loans: threads older than a test that are handed work by a pipe or a socket, a server of a wider fixture for example.

What a member writes, somebody else reads. If that is an outsider, it works for the member's world from there on, until
it waits for the next thing that a member may send. A thread that runs an event loop of asyncio is lent with its loop.
"""

from __future__ import annotations

import _socket
import os
import select
import socket
import stat
import sys
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, final

from pytest_claude_latency.virtual_time.patches.blocking import greenlets
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import admit, adoptable, dismiss, line_up
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident
from pytest_claude_latency.virtual_time.scheduling.table import Member
from pytest_claude_latency.virtual_time.watch import open_files, thread_state
from pytest_claude_latency.virtual_time.watch.socket_pairs import peer_of

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState
    from pytest_claude_latency.virtual_time.watch.thread_state import ThreadState

LOAN = object()  # what a thread is borrowed through that has read what a member wrote
_INTERNET = (socket.AF_INET, socket.AF_INET6)


@final
class Loans:
    """Into which files the members of the active world have written, and which outsiders wait for such a file."""

    def __init__(self) -> None:
        self.world: WorldState | None = None  # None if no world of virtual time is active
        self._written: set[Hashable] = set()  # the ends of pipes and connections that members write into
        # Threads that have waited since before the world began, by the end that is written into: each in a call that
        # was not patched then, so it does not tell when it has read something.
        self._waiting: dict[Hashable, tuple[int, ThreadState]] = {}
        # How a loop is lent, which the patches of asyncio say when they are installed: they are on top of this.
        self.lend_loop: Callable[[Any, WorldState], bool] = lambda loop, world: False

    def begin(self, world: WorldState, readers: Mapping[int, tuple[int, ThreadState]]) -> None:
        """Follow this world; `readers` are the threads that wait to read, by descriptor. Caller must hold LOCK."""
        self._waiting = {end: reader for file, reader in readers.items() if (end := _other_end(file)) is not None}
        self._written = set()
        self.world = world

    def end(self) -> None:
        """Follow no world."""
        self.world = None
        self._written, self._waiting = set(), {}

    def written(self, member: Member, file: Any) -> None:
        """Note that a member is about to write into a pipe or a connection: a descriptor, or a socket."""
        end = _own_end(file)
        if end is None or self.world is not member.world:
            return
        self._written.add(end)
        if self._waiting and (reader := self._waiting.pop(end, None)) is not None:
            ident, seen = reader
            with TRACKED_LOCK:
                if not member.world.ended and thread_state.look(ident) == seen and adoptable(ident):
                    admit(member.world, ident, borrowed_through=LOAN).visiting = True

    def read(self, file: Any) -> None:
        """Lend the calling thread, an outsider that has just read something, if a member has written into that file."""
        world, ident = self.world, get_ident()
        if world is None or not self._written or not adoptable(ident) or _other_end(file) not in self._written:
            return
        loop = sys.modules["asyncio.events"]._get_running_loop() if "asyncio.events" in sys.modules else None
        if loop is None:
            trio = sys.modules.get("trio._core._run")
            is_in_trio = trio is not None and hasattr(trio.GLOBAL_RUN_CONTEXT, "runner")
            if is_in_trio or greenlets.patched_by() is not None:  # what this module cannot take along
                return
            with TRACKED_LOCK:
                if world.ended:
                    return
                admit(world, ident, borrowed_through=LOAN).visiting = True
            line_up()
        elif hasattr(loop, "_scheduled") and self.lend_loop(loop, world):
            line_up()

    def over(self, member: Member, files: Iterable[Any]) -> bool:
        """End the loan of a member that is about to wait for these files, if all of them are for members to fill.

        Return whether the thread is an outsider now.
        """
        waiting = [file for file in files if not (hasattr(file, "gettimeout") and file.gettimeout() == 0)]
        descriptors = [file if isinstance(file, int) else file.fileno() for file in waiting]
        if not descriptors or not all(
            open_files.use(descriptor) is open_files.Use.NOBODY or _other_end(descriptor) in self._written
            for descriptor in descriptors
        ):
            return False
        with TRACKED_LOCK:
            # Asked under the lock: whatever a member has written until now is seen here, and one that writes later runs
            # still, so that the clock stands.
            if not select.select(descriptors, [], [], 0)[0] and member.schedule is not None:
                dismiss(member.ident)
                return True
        return False


def _own_end(file: Any) -> Hashable | None:
    """Return the end of a pipe or connection that the holder of this file writes into; None for other files."""
    try:
        if isinstance(file, int):
            status = os.fstat(file)
            return ("pipe", status.st_ino) if stat.S_ISFIFO(status.st_mode) else None
        if file.family in _INTERNET:
            return _address(file.getsockname())
        return ("unix", os.fstat(file.fileno()).st_ino)
    except (OSError, ValueError):  # closed, or not connected
        return None


def _other_end(file: Any) -> Hashable | None:
    """Return the end whose writers fill this pipe or connection; None if it is none."""
    try:
        if not isinstance(file, int):
            if file.family in _INTERNET:
                return _address(file.getpeername())
            return ("unix", peer_of(os.fstat(file.fileno()).st_ino))
        if stat.S_ISSOCK(os.fstat(file).st_mode):
            with closing(_socket.socket(fileno=os.dup(file))) as connection:
                return _other_end(connection)
        return _own_end(file)
    except (OSError, ValueError):
        return None


def _address(address: Any) -> tuple[str, int]:
    # A socket for both versions of the protocol names the other end as version 6 does.
    return address[0].removeprefix("::ffff:"), address[1]


# State of the process, since the patches are.
LOANS = Loans()

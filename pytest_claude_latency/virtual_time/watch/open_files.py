"""Open files that somebody waits for: who could make one ready?

The answer decides whether the clock may move meanwhile. A file that only this
process can make ready is no reason to wait: if no thread of it runs, nobody will.
"""

from __future__ import annotations

import _socket
import os
import socket
import struct
import sys
from contextlib import closing
from enum import Enum, auto
from pathlib import Path

from pytest_claude_latency.virtual_time.watch import children
from pytest_claude_latency.virtual_time.watch.socket_pairs import peer_of

_SELF = Path("/proc/self")
_SIOCOUTQNSD = 0x894B  # of Linux; Python has no name for it


class Use(Enum):
    """Where the event that makes a file ready would come from."""

    NOBODY = auto()  # a listening socket, standard input: it may never come
    INSIDE = auto()  # this process
    OUTSIDE = auto()  # another process, another machine, a device


def use(descriptor: int) -> Use:
    """Return where the file's next event would come from; outside, if in doubt."""
    if descriptor == 0:
        return Use.NOBODY
    # Where there is no /proc, the two ends of a connection cannot be found.
    connection = _socket_of(descriptor) if _SELF.exists() else None
    if connection is None:
        return Use.INSIDE if _SELF.exists() and _is_own_pipe(descriptor) else Use.OUTSIDE
    with closing(connection):
        if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return Use.NOBODY
        try:
            here, there = connection.getsockname(), connection.getpeername()
        except OSError:  # not connected
            return Use.OUTSIDE
        if connection.family == getattr(socket, "AF_UNIX", None):
            inside = _was_paired_here(connection)
        else:
            unsent = _connections().get((there, here))
            inside = unsent is not None
            if unsent:  # the kernel holds small packets back for some milliseconds, whoever runs
                return Use.OUTSIDE
    return Use.INSIDE if inside else Use.OUTSIDE


def polled(address: int, count: int) -> list[int]:
    """Return the files in the array of `count` `struct pollfd` at `address` in this process."""
    return [descriptor for (descriptor, _) in struct.iter_unpack("=ii", _memory(address, 8 * count))]


def selected(limit: int, addresses: list[int]) -> list[int]:
    """Return the files in the sets at `addresses` that `select` was given, all of them below `limit`."""
    size = (limit + 63) // 64 * 8
    sets = [int.from_bytes(_memory(address, size), "little") for address in addresses if address]
    return [descriptor for descriptor in range(limit) if any(bits >> descriptor & 1 for bits in sets)]


def watched_by(epoll: int) -> list[int]:
    """Return the files that are registered with an epoll."""
    try:
        lines = (_SELF / "fdinfo" / str(epoll)).read_text().splitlines()
    except OSError:  # closed since we looked
        return []
    return [int(line.split()[1]) for line in lines if line.startswith("tfd:")]


def _memory(address: int, size: int) -> bytes:
    # Our own memory, but read as a file: the thread may have moved on and freed it, and a bad address is an error here,
    # not a crash.
    try:
        with (_SELF / "mem").open("rb", buffering=0) as memory:
            return os.pread(memory.fileno(), size, address)
    except (OSError, OverflowError):
        return b""


def _socket_of(descriptor: int) -> _socket.socket | None:
    # A copy of the descriptor: closing the socket object must not close the program's file. And the type written in C,
    # since tools that forbid a test the network put something else in the place of Python's.
    try:
        copy = os.dup(descriptor)
    except OSError:
        return None
    try:
        return _socket.socket(fileno=copy)
    except OSError:  # a file, but no socket
        os.close(copy)
        return None


def _connections() -> dict[tuple[object, object], int]:
    """Return this end and the other end of each connected socket of this process, with how much it has yet to send."""
    ends: dict[tuple[object, object], int] = {}
    for descriptor in [int(entry.name) for entry in (_SELF / "fd").iterdir()]:
        connection = _socket_of(descriptor)
        if connection is None:
            continue
        with closing(connection):
            try:
                ends[connection.getsockname(), connection.getpeername()] = _unsent(connection)
            except OSError:
                continue
    return ends


def _is_own_pipe(descriptor: int) -> bool:
    """Return whether the file is an end of a pipe whose other end is open here, and in no child process."""
    try:
        pipe = (_SELF / "fd" / str(descriptor)).readlink().name
        if not pipe.startswith("pipe:"):
            return False
        mode = _access_mode(descriptor)
        ends = [end for end, name in children.open_files(_SELF) if name == pipe]
        return any(_access_mode(end) != mode for end in ends) and not children.hold(pipe)
    except OSError:  # closed since we looked
        return False


def _access_mode(descriptor: int) -> int:
    lines = (_SELF / "fdinfo" / str(descriptor)).read_text().splitlines()
    return next(int(line.split()[1], 8) & 3 for line in lines if line.startswith("flags:"))


def _unsent(connection: _socket.socket) -> int:
    """Return how many bytes the program has written that the kernel has not sent; 0 where it does not tell."""
    import fcntl  # Windows has none; there nothing gets here

    try:
        return int.from_bytes(fcntl.ioctl(connection.fileno(), _SIOCOUTQNSD, bytes(4)), sys.byteorder)
    except OSError:
        return 0


def _was_paired_here(connection: _socket.socket) -> bool:
    """Return whether a UNIX socket's other end was made here, and no child process has it too."""
    credentials = getattr(socket, "SO_PEERCRED", None)
    if credentials is None:
        return False
    pid: int = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, credentials, 12))[0]
    if pid != os.getpid():
        return False
    peer = peer_of(os.fstat(connection.fileno()).st_ino)
    # Where the kernel does not tell which socket the other end is, it may be any that a child has.
    return not children.hold("socket:" if peer is None else f"socket:[{peer}]")

"""Open files, as far as somebody waits for them: who could make one ready?"""

from __future__ import annotations

import os
import socket
import struct
from enum import Enum, auto
from pathlib import Path

_SELF = Path("/proc/self")


class Use(Enum):
    """Where the event that makes a file ready would come from."""

    NOBODY = auto()  # a listening socket, standard input: it may never come
    INSIDE = auto()  # this process
    OUTSIDE = auto()  # another process, another machine, a device


def use(descriptor: int) -> Use:
    """Where that file's next event comes from; outside, if in doubt."""
    if descriptor == 0:
        return Use.NOBODY
    if not _SELF.exists():
        return Use.OUTSIDE
    connection = _socket(descriptor)
    if connection is None:
        return Use.OUTSIDE
    with connection:
        return _use_of_socket(connection)


def polled(address: int, count: int) -> list[int]:
    """The files in the `struct pollfd` array at that address of this process."""
    return [descriptor for (descriptor, _) in struct.iter_unpack("=ii", _memory(address, 8 * count))]


def selected(limit: int, addresses: list[int]) -> list[int]:
    """The files in the sets that `select` was given."""
    size = (limit + 63) // 64 * 8
    sets = [int.from_bytes(_memory(address, size), "little") for address in addresses if address]
    return [descriptor for descriptor in range(limit) if any(bits >> descriptor & 1 for bits in sets)]


def watched_by(epoll: int) -> list[int]:
    """The files registered with that epoll."""
    try:
        lines = (_SELF / "fdinfo" / str(epoll)).read_text().splitlines()
    except OSError:
        return []
    return [int(line.split()[1]) for line in lines if line.startswith("tfd:")]


def _memory(address: int, size: int) -> bytes:
    """Our own memory, read as a file: a thread that has moved on meanwhile cannot crash us."""
    try:
        with (_SELF / "mem").open("rb", buffering=0) as memory:
            return os.pread(memory.fileno(), size, address)
    except (OSError, OverflowError):
        return b""


def _socket(descriptor: int) -> socket.socket | None:
    try:
        copy = os.dup(descriptor)
    except OSError:
        return None
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None


def _use_of_socket(connection: socket.socket) -> Use:
    if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return Use.NOBODY
    try:
        here, there = connection.getsockname(), connection.getpeername()
    except OSError:
        return Use.OUTSIDE
    if connection.family == getattr(socket, "AF_UNIX", None):
        return Use.INSIDE if _paired_inside(connection) else Use.OUTSIDE
    return Use.INSIDE if (there, here) in _connections() else Use.OUTSIDE


def _connections() -> set[tuple[object, object]]:
    """Both ends of every connected socket of this process."""
    ends: set[tuple[object, object]] = set()
    for descriptor in [int(entry.name) for entry in (_SELF / "fd").iterdir()]:
        connection = _socket(descriptor)
        if connection is None:
            continue
        with connection:
            try:
                ends.add((connection.getsockname(), connection.getpeername()))
            except OSError:
                continue
    return ends


def _paired_inside(connection: socket.socket) -> bool:
    """Whether a UNIX socket's other end was made here, and no child can have taken it along."""
    peer = getattr(socket, "SO_PEERCRED", None)
    if peer is None:
        return False
    pid: int = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, peer, 12))[0]
    return pid == os.getpid() and not _has_children()


def _has_children() -> bool:
    try:
        return any((task / "children").read_text() for task in (_SELF / "task").iterdir())
    except OSError:
        return True

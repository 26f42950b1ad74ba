"""Connections that code in C opens and closes within a test: seen while they are open, by looking again and again.

Python's events do not tell of them, and at the end of the test they are gone. A call to Claude takes some hundred
milliseconds, and whoever watches the test looks every few. Linux is asked for its table of connections, and no
socket is copied for it: a copy would keep a connection open that the program closes in that moment. Other systems show
a process no such table. There, each socket is copied for an instant and asked for its other end.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from pytest_claude_latency.http.guard import judging, seen_sockets
from pytest_claude_latency.http.guard.hosts import is_loopback
from pytest_claude_latency.http.guard.listening import copy_of, internet_sockets, is_internet
from pytest_claude_latency.virtual_time.scheduling.real_clock import monotonic_ns, thread_time_ns

_FILES: Final = "/proc/self/fd"
_TABLES: Final = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
_SHARE: Final = 100
"""Looking takes at most this part of the time: a process with thousands of connections is looked at more rarely."""


@final
@dataclass(frozen=True)
class Remote:
    """The other end of a connection."""

    number: int
    """What tells the socket of this end from all others."""
    address: str
    port: int
    name: str | None
    """The name of the Claude API that is served there; `None` if none is known."""

    @property
    def host(self) -> str:
        """The address, with its port."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@final
class ShortConnections:
    """What was seen of the connections of one test that no event tells of; `older` are the sockets from before it.

    With `closes` a connection to a Claude API is shut down at once.
    """

    def __init__(self, older: frozenset[int], *, closes: bool = False) -> None:
        self._left_alone = set(older)
        self._closes = closes
        self._next = 0
        self._list: Callable[[Callable[[int, int], bool]], Iterator[tuple[int, int, str, int]]] | None = None
        self.found: dict[Remote, None] = {}
        self._taken = 0

    def look(self) -> None:
        """Look at what is open now, unless the last look was just now, for what it cost."""
        if monotonic_ns() < self._next:
            return
        # What it costs is the processor's time: on a busy machine a look takes long without costing more.
        began = thread_time_ns()
        if self._list is None:  # only now: most tests are over before anybody looks
            has_tables = Path(_FILES).exists() and any(table.exists() for table in _TABLES)
            self._list = _in_tables if has_tables else _in_files
        with suppress(OSError):  # no file is free to look with
            for file, number, address, port in self._list(self._is_unknown):
                # Asked again: an event may have told of it since it was listed.
                if seen_sockets.is_connecting_in_c() or not self._is_unknown(number, file):
                    continue
                remote = Remote(number, address, port, judging.claudes_at(address, port))
                if remote.name is None and is_loopback(address):
                    continue
                self.found[remote] = None
                if not self._closes or remote.name is None:
                    continue
                with suppress(OSError), copy_of(file) as connection:
                    if seen_sockets.number_of(connection.fileno()) == number:  # else the file is another one's by now
                        connection.shutdown(socket.SHUT_RDWR)  # so that as little as possible leaves
        self._next = monotonic_ns() + (thread_time_ns() - began) * _SHARE

    def take(self) -> list[Remote]:
        """Return those found since this was last asked."""
        found = list(self.found)[self._taken :]
        self._taken += len(found)
        return found

    def _is_unknown(self, number: int, file: int) -> bool:
        if number in self._left_alone or seen_sockets.was_connected(number, file):
            return False
        # No table shows a socket of another family, so that it would have them read at each look.
        with suppress(OSError), copy_of(file) as opened:
            if not is_internet(opened) and seen_sockets.number_of(opened.fileno()) == number:
                self._left_alone.add(number)
                return False
        return True


def _in_tables(is_unknown: Callable[[int, int], bool]) -> Iterator[tuple[int, int, str, int]]:
    """Yield file, number, address and port of each connection of this process, as the system's tables have them."""
    unknown: dict[int, int] = {}
    for file in os.listdir(_FILES):  # noqa: PTH208 - names, not paths
        try:
            target = os.readlink(f"{_FILES}/{file}")  # noqa: PTH115 - each path of `pathlib` costs as much again
        except OSError:  # closed meanwhile
            continue
        if target.startswith("socket:[") and is_unknown(number := int(target[8:-1]), int(file)):
            unknown[number] = int(file)
    if unknown:
        for number, address, port in _connections():
            if number in unknown:
                yield unknown[number], number, address, port


def _in_files(is_unknown: Callable[[int, int], bool]) -> Iterator[tuple[int, int, str, int]]:
    """Yield the same on a system without tables: each socket is copied, and asked."""
    for file, copy in internet_sockets():
        with suppress(OSError):  # not connected
            number, peer = seen_sockets.number_of(copy.fileno()), copy.getpeername()
            # To choose among the addresses of a name, systems connect datagrams to each of them and send nothing.
            is_stream = copy.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
            if is_stream and is_unknown(number, file):
                yield file, number, peer[0].removeprefix("::ffff:"), peer[1]


def _connections() -> Iterator[tuple[int, str, int]]:
    """Yield each connection of the system: the number of its socket, and the address and port of the other end."""
    for table in _TABLES:
        try:
            # The first line has the names of the columns.
            lines = table.read_text("ascii").splitlines()[1:]
        except OSError:  # no such family here
            continue
        for line in lines:
            fields = line.split()
            address, _, port = fields[2].partition(":")
            if not int(port, 16):  # it listens
                continue
            # An address is written as words of 32 bits, in the order of this machine.
            words = [int(address[place : place + 8], 16) for place in range(0, len(address), 8)]
            packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
            text = socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
            yield int(fields[9]), text.removeprefix("::ffff:"), int(port, 16)

"""Connections to a Claude API that no event tells of: those from before the test, and those opened in C code.

Nothing tells what is sent on a connection that is open already. So those are listed when a test begins. What Python
sends on one is refused at its socket; what C code sends (uvloop, libcurl, gRPC) is counted by the system, and fails the
test at its end. So does a connection that is open at the end, was not at the beginning, and was met by nobody. One that
is open for a moment only is seen by looking again and again (`short_connections`).
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, final

from pytest_claude_latency.http.door import note_carrier, uncarried
from pytest_claude_latency.http.guard import judging, seen_sockets
from pytest_claude_latency.http.guard.connection import Connection
from pytest_claude_latency.http.guard.hosts import are_same
from pytest_claude_latency.http.guard.listening import is_internet, sockets
from pytest_claude_latency.http.guard.short_connections import ShortConnections
from pytest_claude_latency.virtual_time.patches.patching import wrap

_LEAST: Final = 128
"""More bytes than this are a request. Fewer may say goodbye, or that the connection lives."""

_BYTES_SENT: Final = 200
"""Where Linux tells, in its `tcp_info`, how many bytes of data a connection has sent."""
_TOLD: Final = _BYTES_SENT + 8

_OLDER: dict[int, tuple[str, int]] = {}
"""The files of the connections that were open before the test, with the destination of each."""

_SENT_UNSEEN: Final = (
    "code in C used a connection to a Claude API, which a replay cannot hold back\n"
    "  host      {host}\n"
    "  opened    {opened}\n"
    "  do        call Claude through a client that is recorded and replayed, for example Anthropic's SDK, or keep this "
    "code out of latency tests"
)
_UNKNOWN: Final = (
    "code in C connected to {host}, and no name is known for that address: if a Claude API is there, the call is "
    "neither measured nor recorded, and a replay cannot hold it back"
)
_WEB_PORTS: Final = frozenset({80, 443})


@final
@dataclass(frozen=True)
class _Open:
    """A connection that is open."""

    number: int
    """What tells its socket from all others."""
    file: int
    name: str
    port: int
    sent: int
    """Bytes sent on it; 0 where the system does not tell."""


@final
@dataclass(frozen=True)
class UnseenConnection:
    """A connection to a Claude API that code in C used in a test."""

    name: str
    port: int
    is_older: bool

    def missed(self) -> str:
        """Return the message about it in a replay."""
        opened = "before the test" if self.is_older else "in the test"
        return _SENT_UNSEEN.format(host=f"{self.name}:{self.port}", opened=opened)

    def as_connection(self) -> Connection:
        """Return it as those are told that an event told of."""
        return Connection(self.name, self.port, "code in C", "not known: code in C shows no line of the program")


@final
class OpenConnections:
    """The connections to a Claude API during one test."""

    def __init__(self) -> None:
        self._before: dict[int, _Open] = {}
        self._told: set[int] = set()
        self._began = 0
        self._uncarried = uncarried()
        self._short = ShortConnections(frozenset())

    def look(self, *, replays: bool) -> None:
        """List those that are open as the test begins. A replay also closes what it sees C code open in it."""
        opened, numbers = _listed()
        seen_sockets.forget_closed(numbers)
        self._short = ShortConnections(frozenset(numbers), closes=replays)
        self._began, self._uncarried = seen_sockets.time_now(), uncarried()
        self._before = {connection.number: connection for connection in opened}
        _OLDER.clear()
        _OLDER.update((connection.file, (connection.name, connection.port)) for connection in opened)
        if opened:
            _watch_sends()

    def sample(self) -> None:
        """Look for connections that may be gone again at the end."""
        self._short.look()

    def news(self) -> list[UnseenConnection]:
        """Return each that code in C has used in the test, once."""
        # In this order: whoever looks again and again notes a connection before it is shut down, so that one which is
        # not open any more has been noted.
        connections, _ = _listed()
        found = {
            connection.number: UnseenConnection(connection.name, connection.port, connection.number in self._before)
            for connection in connections
            if self._is_unseen(connection)
        }
        for remote in self._short.take():
            if remote.name is not None:
                found.setdefault(remote.number, UnseenConnection(remote.name, remote.port, is_older=False))
        new = found.keys() - self._told
        self._told |= new
        return [connection for number, connection in found.items() if number in new]

    def unknown(self) -> list[str]:
        """Return the message about connections to a web server of which nobody can say whether Claude is there."""
        hosts = {remote.host for remote in self._short.found if remote.name is None and remote.port in _WEB_PORTS}
        return [_UNKNOWN.format(host=host) for host in sorted(hosts)]

    def _is_unseen(self, connection: _Open) -> bool:
        """Return whether a connection was used by nobody whom an event, a door or a patch told of."""
        before = self._before.get(connection.number)
        if before is None:
            is_known = seen_sockets.was_connected(connection.number, connection.file)
            return not (is_known or seen_sockets.is_connecting_in_c())
        if connection.sent - before.sent <= _LEAST or seen_sockets.was_used(connection.number, self._began):
            return False
        # A door may have let a request pass on it that code in C sent, as uvloop does: clouds serve other models too.
        unseen = uncarried() - self._uncarried
        return not any(are_same(connection.name, host) and connection.port == port for host, port in unseen)


def leave_to_door(connection: socket.socket | None) -> None:
    """Leave what is sent on a connection from now on to the door that has taken it for its request."""
    if connection is not None:
        _OLDER.pop(connection.fileno(), None)
        seen_sockets.note_use(connection.fileno())


def _listed() -> tuple[list[_Open], set[int]]:
    """Return the connections of this process to a Claude API that another process serves.

    Beside them are the numbers of all its sockets.
    """
    connections: list[_Open] = []
    numbers: set[int] = set()
    for file, opened in sockets():
        with suppress(OSError):  # another thread has closed it since it was listed
            numbers.add(seen_sockets.number_of(file))
        if not is_internet(opened):
            continue
        try:
            peer = opened.getpeername()
        except OSError:  # not connected
            continue
        if (name := judging.claudes_at(peer[0], peer[1])) is not None:
            info = b""
            if sys.platform == "linux":
                with suppress(OSError):  # no TCP
                    info = opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TOLD)
            sent = struct.unpack_from("@Q", info, _BYTES_SENT)[0] if len(info) == _TOLD else 0
            # Asked of the copy: another thread may have closed the program's file since.
            connections.append(_Open(seen_sockets.number_of(opened.fileno()), file, name, peer[1], sent))
    return connections, numbers


def _watch_sends(watched: list[bool] = []) -> None:  # noqa: B006 - once per process
    """Look at what Python sends. Only from when there is something to look at: each send of a program pays for it."""
    if watched:
        return
    watched.append(True)
    kinds = [socket.socket]
    if "ssl" in sys.modules:  # no connection of it can be open otherwise
        kinds.append(sys.modules["ssl"].SSLSocket)
    for kind in kinds:
        for name in ("send", "sendall", "sendmsg", "write"):
            if hasattr(kind, name):
                wrap(kind, name, _send)


def _send(original: Any, connection: Any, data: Any, *args: Any, **kwargs: Any) -> Any:
    older = _OLDER.get(connection.fileno()) if _OLDER else None
    # A request may be sent in parts, but one of them is longer than a goodbye. `sendmsg` takes a list of them.
    size = len(data) if isinstance(data, bytes | bytearray | memoryview) else _LEAST
    if older is not None and size > _LEAST // 2:
        judging.judge(*older, sys._getframe(2))
        seen_sockets.note_use(connection.fileno())
    else:
        note_carrier()  # of a request on a connection that was opened in the test
    return original(connection, data, *args, **kwargs)

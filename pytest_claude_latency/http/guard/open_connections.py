"""Connections to a Claude API that no event tells of: those from before the test, and those opened in C code.

Nothing tells what is sent on a connection that is open already. So those are listed when a test begins. What Python
sends on one is refused at its socket; what C code sends (uvloop, libcurl, gRPC) is counted by the system, and fails the
test at its end. So does a connection that is open at the end, was not at the beginning, and was met by nobody.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, final

from pytest_claude_latency.http.door import passed
from pytest_claude_latency.http.guard import judging
from pytest_claude_latency.http.guard.hosts import are_same
from pytest_claude_latency.http.guard.listening import sockets
from pytest_claude_latency.virtual_time.patches.patching import wrap

_LEAST: Final = 128
"""More bytes than this are a request. Fewer may say goodbye, or that the connection lives."""

_BYTES_SENT: Final = 200
"""Where Linux tells, in its `tcp_info`, how many bytes of data a connection has sent."""
_TOLD: Final = _BYTES_SENT + 8

_OLDER: dict[int, tuple[str, int]] = {}
"""The files of the connections that were open before the test, with the destination of each."""

_SENT_UNSEEN: Final = (
    "a connection to a Claude API was used that no recording can answer, and by code in C, which cannot be held back\n"
    "  host      {host}\n"
    "  opened    {opened}\n"
    "  do        call Claude through a client that is recorded and replayed, for example Anthropic's SDK, or keep this "
    "code out of latency tests"
)


@final
@dataclass(frozen=True)
class _Open:
    """A connection that is open."""

    file: int
    address: tuple[Any, ...]
    """This side of it, by which a later one of the same file is told from it."""
    name: str
    port: int
    sent: int
    """Bytes sent on it; 0 where the system does not tell."""


@final
class OpenConnections:
    """The connections to a Claude API during one test."""

    def __init__(self) -> None:
        self._before: dict[tuple[int, tuple[Any, ...]], _Open] = {}
        self._told: set[tuple[int, tuple[Any, ...]]] = set()
        self._passed = passed()

    def look(self) -> None:
        """List those that are open as the test begins."""
        opened = list(_to_claude())
        self._passed = passed()
        self._before = {(connection.file, connection.address): connection for connection in opened}
        _OLDER.clear()
        _OLDER.update((connection.file, (connection.name, connection.port)) for connection in opened)
        if opened:
            _watch_sends()

    def misses(self) -> list[str]:
        """Return what is said of each that a replay should not have used, once.

        Where a door has let a request pass in the meantime, the connection may be its own: clouds serve other models.
        """
        missed = []
        met = [destination for destination, count in passed().items() if count > self._passed[destination]]
        for connection in _to_claude():
            place = (connection.file, connection.address)
            before = self._before.get(place)
            is_used = before is None or connection.sent - before.sent > _LEAST
            is_a_doors = any(are_same(connection.name, host) and connection.port == port for host, port in met)
            if is_used and not is_a_doors and place not in self._told:
                self._told.add(place)
                opened = "in the test" if before is None else "before the test"
                missed.append(_SENT_UNSEEN.format(host=f"{connection.name}:{connection.port}", opened=opened))
        return missed


def leave_to_door(connection: socket.socket | None) -> None:
    """Leave what is sent on a connection from now on to the door that has taken it for its request."""
    if connection is not None:
        _OLDER.pop(connection.fileno(), None)


def _to_claude() -> Iterator[_Open]:
    """Yield the connections of this process to a Claude API that another process serves."""
    for file, opened in sockets():
        try:
            peer, own = opened.getpeername(), opened.getsockname()
        except OSError:  # not connected
            continue
        if isinstance(peer, tuple) and (name := judging.claudes_at(peer[0], peer[1])) is not None:
            told = opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TOLD) if sys.platform == "linux" else b""
            sent = struct.unpack_from("@Q", told, _BYTES_SENT)[0] if len(told) == _TOLD else 0
            yield _Open(file, own[:2], name, peer[1], sent)


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
    return original(connection, data, *args, **kwargs)

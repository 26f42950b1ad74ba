"""One connection of the test server: it reads complete requests, and its waits end when one side closes."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator
from typing import Literal, TypeAlias, final

from pytest_claude_latency.duration import SECOND, Nanoseconds
from pytest_claude_latency.messages_api.exchange import Headers, Request, header
from pytest_claude_latency.virtual_time.clock import WallClock

Ended: TypeAlias = Literal["complete", "close", "reset", "client left", "server closed"]

CLOCK = WallClock()
_SELECTS = 1024


def until_readable(sockets: list[socket.socket], left: float | None) -> list[socket.socket]:
    """Wait for the first readable socket, at most `left` seconds, and return those that are readable."""
    timeout = None if left is None else max(left, 0)
    # `select` is exact to the microsecond, but cannot take large descriptors
    if max(connection.fileno() for connection in sockets) < _SELECTS:
        return select.select(sockets, [], [], timeout)[0]
    poll = select.poll()
    for connection in sockets:
        poll.register(connection, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(None if timeout is None else timeout * 1000)}
    return [connection for connection in sockets if connection.fileno() in ready]


class Over(Exception):  # noqa: N818 - it is no error if one side closes
    """Raised with the reason when the connection cannot go on."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended)
        self.ended = ended


@final
class Wire:
    """One connection: it reads complete requests, and its waits end when one side closes."""

    def __init__(self, connection: socket.socket, stop: socket.socket) -> None:
        self._connection = connection
        self._stop = stop
        self._buffer = b""
        self._client_waits = True

    def read_request(self, base: str) -> Request | None:
        """Return the next request; `None` when the client has closed the connection."""
        try:
            return self._read_request(base)
        except EOFError:
            return None

    def _read_request(self, base: str) -> Request:
        head = self._read_until(b"\r\n\r\n").decode("latin-1")
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ")
        headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        return Request(method, base + target, headers, self._read_body(headers))

    def _read_body(self, headers: Headers) -> bytes:
        if header(headers, "transfer-encoding") == "chunked":
            return b"".join(self._read_chunks())
        return self._read(int(header(headers, "content-length") or 0))

    def _read_chunks(self) -> Iterator[bytes]:
        while size := int(self._read_until(b"\r\n"), 16):
            yield self._read(size)
            self._read(2)
        self._read_until(b"\r\n")

    def _read_until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._receive()
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def _read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._receive()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _receive(self) -> None:
        readable = until_readable([self._stop, self._connection], None)
        if self._stop in readable:
            raise Over("server closed")
        try:
            data = self._connection.recv(65_536)
        except ConnectionError:
            data = b""
        if not data:
            raise EOFError
        self._buffer += data

    def wait_until(self, due: Nanoseconds | None) -> None:
        """Wait until this instant, or without end.

        Raises:
            Over: the client left or the server is being closed.
        """
        while due is None or CLOCK.now() < due:
            left = None if due is None else (due - CLOCK.now()) / SECOND
            readable = until_readable(self._watched(), left)
            if self._stop in readable:
                raise Over("server closed")
            if self._connection in readable:
                self._look_who_is_there()

    def _watched(self) -> list[socket.socket]:
        return [self._stop, self._connection] if self._client_waits else [self._stop]

    def _look_who_is_there(self) -> None:
        try:
            data = self._connection.recv(1, socket.MSG_PEEK)
        except ConnectionError:
            data = b""
        if not data:
            raise Over("client left")
        self._client_waits = False  # the next request has come; the socket stays readable, so another look would spin

    def send(self, data: bytes) -> None:
        """Send all bytes at once.

        Raises:
            Over: the client left.
        """
        try:
            self._connection.sendall(data)
        except ConnectionError:
            raise Over("client left") from None

    def reset(self) -> None:
        """Close the connection with a reset instead of a normal end."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()

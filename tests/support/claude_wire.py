"""One connection of the test server: requests read whole, and waits that notice when either side is done."""

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
    """Which of these are readable; waits for the first, `left` seconds at most."""
    timeout = None if left is None else max(left, 0)
    if max(each.fileno() for each in sockets) < _SELECTS:  # exact to the microsecond, but not for every descriptor
        return select.select(sockets, [], [], timeout)[0]
    poll = select.poll()
    for each in sockets:
        poll.register(each, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(None if timeout is None else timeout * 1000)}
    return [each for each in sockets if each.fileno() in ready]


class Over(Exception):  # noqa: N818 - it is no error that a side leaves
    """The conversation cannot go on, and why."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended)
        self.ended = ended


@final
class Wire:
    """One connection: requests read whole, waits that notice when either side is done."""

    def __init__(self, connection: socket.socket, stop: socket.socket) -> None:
        self._connection = connection
        self._stop = stop
        self._buffer = b""
        self._client_waits = True

    def read_request(self, base: str) -> Request | None:
        """The next request, or None when the client has closed the connection."""
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
        """Wait for this instant, or for ever.

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
        self._client_waits = False  # the next request is here already; it stays readable, so looking again would spin

    def send(self, data: bytes) -> None:
        """Send it all at once.

        Raises:
            Over: the client left.
        """
        try:
            self._connection.sendall(data)
        except ConnectionError:
            raise Over("client left") from None

    def reset(self) -> None:
        """Close so that the other side reads a reset, not an end."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()

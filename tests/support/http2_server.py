"""A server on 127.0.0.1 that speaks HTTP/2 without TLS, and may speak first: settings, a goodbye, an early answer.

It serves the connections one after the other, each by a script of its own: a function that is given the connection.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeAlias, final

import h2.config
import h2.connection
import h2.events

from tests.support.claude_messages import text

_TEXT = "Hello wor|ld"


@final
class Connection:
    """One connection of a client, from the server's side."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire
        self._state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._state.initiate_connection()  # its settings go out before the client has said anything
        self._flush()
        self._events: list[Any] = []
        self.requests = 0

    def await_request(self, *, body: bool = True) -> int:
        """Return the stream of the next request, once its body is here or, without `body`, its headers."""
        kind = h2.events.StreamEnded if body else h2.events.RequestReceived
        stream: int = self._await(kind).stream_id
        self.requests += 1
        return stream

    def await_body(self) -> None:
        """Wait for the rest of a request whose headers are here."""
        self._await(h2.events.StreamEnded)

    def await_end(self) -> None:
        """Wait until the client has gone."""
        with suppress(OSError):
            while self._wire.recv(65536):  # after a goodbye nothing it says is understood any more
                pass

    def answer(self, stream: int, status: int = 200, gap: float = 0.02) -> None:
        """Send an answer with a message, an event at a time."""
        headers = [(":status", str(status)), ("content-type", "text/event-stream; charset=utf-8")]
        self._state.send_headers(stream, headers)
        self._flush()
        for part in _parts():
            time.sleep(gap)
            self._state.send_data(stream, part)
            self._flush()
        self._state.end_stream(stream)
        self._flush()

    def say_goodbye(self, last: int) -> None:
        """Send GOAWAY: streams above `last` are not answered any more."""
        self._state.close_connection(last_stream_id=last)
        self._flush()

    def reset(self, stream: int) -> None:
        """Break a stream off."""
        self._state.reset_stream(stream)
        self._flush()

    def _await(self, kind: type) -> Any:
        while True:
            while self._events:
                event = self._events.pop(0)
                if isinstance(event, h2.events.DataReceived):
                    self._state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if isinstance(event, kind):
                    return event
            self._flush()
            if not (data := self._wire.recv(65536)):
                raise EOFError
            self._events += self._state.receive_data(data)

    def _flush(self) -> None:
        if data := self._state.data_to_send():
            self._wire.sendall(data)


Script: TypeAlias = Callable[[Connection], None]


@final
class HTTP2Server:
    """A running server. The first connection gets the first script, and so on; one too many is closed at once."""

    def __init__(self, scripts: Sequence[Script]) -> None:
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.connections: list[Connection] = []
        self.failures: list[BaseException] = []

    @property
    def url(self) -> str:
        """Return the `base_url` for the SDK."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def requests(self) -> list[int]:
        """Return how many requests came over each connection."""
        return [connection.requests for connection in self.connections]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()
        if self.failures and error is None:
            raise self.failures[0]

    def _accept(self) -> None:
        with suppress(OSError):  # the end
            while True:
                wire, _ = self._listener.accept()
                wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                thread = threading.Thread(target=self._serve, args=(wire, len(self.connections)), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, wire: socket.socket, number: int) -> None:
        with wire:
            try:
                connection = Connection(wire)
                self.connections.append(connection)
                if number < len(self._scripts):
                    self._scripts[number](connection)
            except (EOFError, OSError):  # the client has gone
                return
            except BaseException as error:
                self.failures.append(error)


def _parts() -> list[bytes]:
    """Return the events of the message, an event each."""
    return [part.data for part in text(_TEXT).parts if part.data]

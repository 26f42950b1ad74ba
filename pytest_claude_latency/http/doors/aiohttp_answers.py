"""Answers that arrive at a connection of aiohttp, noted in an attempt.

An answer is noted where the bytes of the socket reach aiohttp's own protocol. From there on everything is aiohttp's:
it parses, decompresses, wakes the reader and runs its time-outs. A replayed answer is handed to the same method, so
both are noted in the same way.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, final
from unittest import mock

from aiohttp import ClientConnectorError, ClientOSError, ServerDisconnectedError, ServerTimeoutError
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import ContentEncodingError
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from pytest_claude_latency.http.recorder import Attempt
from pytest_claude_latency.messages_api.exchange import Headers, header

_ANSWER = "_claude_latency_answer"
"""The attribute of a connection's protocol that holds the answer it waits for."""


def name_of(error: BaseException) -> str:
    """Return what a recording calls an error of aiohttp: the name that httpx has for it."""
    # From the special to the general: ClientConnectorError is a ClientOSError, which is an OSError.
    if isinstance(error, ClientConnectorError):
        return "ConnectError"
    if isinstance(error, ServerTimeoutError):
        return "ReadTimeout"
    if isinstance(error, ServerDisconnectedError):
        return "RemoteProtocolError"
    if isinstance(error, ClientOSError):
        return "WriteError" if error.errno == errno.EPIPE else "ReadError"
    if isinstance(error.__cause__, ContentEncodingError):
        return "DecodingError"
    return "RemoteProtocolError"  # what arrived is no answer, or only a part of one


@final
class ObservedAnswer:
    """The answer to one request, while it arrives."""

    def __init__(self, attempt: Attempt, *, is_decompressed: bool) -> None:
        self.attempt = attempt
        self.payload: Any = None
        """The body, as aiohttp hands it to the program. `None` before the headers are here."""
        self.reads_on: Callable[[], None] | None = None
        """Called before the program waits for more of the body."""
        self._is_decompressed = is_decompressed
        self._arrived = attempt.arrivals()
        self._now = attempt.now

    @property
    def is_idle(self) -> bool:
        """Whether the program has the headers, and does not wait for more of the body now."""
        return self.payload is not None and getattr(self.payload, "_waiter", None) is None

    def begun(self, message: Any, payload: Any) -> None:
        """Note that the headers are here."""
        if message.code < 200 and message.code != 101:  # an interim answer: the real one follows
            return
        headers: Headers = tuple(message.headers.items())
        encoding = header(headers, "content-encoding")
        if self._is_decompressed:  # aiohttp takes the encoding off before anyone can see the body
            headers = tuple((name, value) for name, value in headers if name.lower() != "content-encoding")
        self.attempt.answered(message.code, headers, encoding)
        self.payload = payload
        if payload is EMPTY_PAYLOAD:
            self.attempt.finish()

    def received(self, data: bytes, receive: Callable[[bytes], None]) -> None:
        """Let the protocol `receive` bytes of the socket, and note what of the body came with them."""
        was_begun = self.payload is not None
        known = len(self._pieces())
        receive(data)
        if self.payload is None:
            return
        # Nobody else runs in between: the reader of the body is only woken, and takes its pieces later. But aiohttp may
        # have closed the connection already, if this was the end of the body.
        pieces = self._pieces()[known:]
        # What decompresses to nothing ends the wait of a socket, and is noted. The end of the body is no piece of it.
        if pieces or (was_begun and data and not self.payload.is_eof()):
            self._arrived(b"".join(pieces))
        error = self.payload.exception()
        if error is not None:
            self.attempt.finish(error, called=name_of(error))
        elif self.payload.is_eof():
            self.attempt.finish()

    def closed(self) -> None:
        """Note that the program closes the connection: behind the end of the answer, or before."""
        # A body that is closed early is given an error of its own first, which is no failure of the wire.
        self.attempt.finish(closed=None if self._is_complete else "client")

    def failed(self, error: BaseException) -> None:
        """Note that the connection failed, or that the program waited too long for it."""
        if self._is_complete:  # a body without a length ends with its connection
            self.attempt.finish()
        else:
            met = None if self.payload is None else self.payload.exception()  # the text is what the program meets
            self.attempt.finish(met or error, called=name_of(error))

    @property
    def _is_complete(self) -> bool:
        body = self.payload
        return body is not None and body.is_eof() and body.exception() is None

    def _pieces(self) -> list[bytes]:
        return list(getattr(self.payload, "_buffer", ()))


def observe(handler: ResponseHandler, answer: ObservedAnswer) -> None:
    """Note in `answer` what arrives at this connection from now on."""
    handler.__dict__[_ANSWER] = answer


def answer_at(handler: ResponseHandler) -> ObservedAnswer | None:
    """Return the answer that is expected at this connection. `None` if it is none of a measured request."""
    answer: ObservedAnswer | None = handler.__dict__.get(_ANSWER)
    return answer


def patches() -> list[Any]:
    """Return the patches that let `observe` work. They must be in place before a connection is opened.

    Some event loops look the methods of a protocol up only once, when the connection is made.
    """
    return [mock.patch.object(kind, name, make(getattr(kind, name))) for kind, name, make in _PATCHES]


def _data_received(original: Callable[..., None]) -> Callable[..., None]:
    def data_received(handler: ResponseHandler, data: bytes) -> None:
        answer = handler.__dict__.get(_ANSWER)
        if answer is None or answer.attempt.ended:
            original(handler, data)
        else:
            answer.received(data, lambda data: original(handler, data))

    return data_received


def _feed_data(original: Callable[..., None]) -> Callable[..., None]:
    def feed_data(handler: ResponseHandler, data: Any, *size: int) -> None:
        answer = handler.__dict__.get(_ANSWER)
        if answer is not None:
            answer.begun(*data)
        original(handler, data, *size)

    return feed_data


def _set_exception(original: Callable[..., None]) -> Callable[..., None]:
    def set_exception(handler: ResponseHandler, error: BaseException, *cause: BaseException) -> None:
        answer = handler.__dict__.get(_ANSWER)
        original(handler, error, *cause)
        if answer is not None:
            answer.failed(error)

    return set_exception


def _closing(original: Callable[..., None]) -> Callable[..., None]:
    def close(handler: ResponseHandler) -> None:
        answer = handler.__dict__.pop(_ANSWER, None)
        if answer is not None:
            answer.closed()
        original(handler)

    return close


def _waiting(original: Callable[..., Any]) -> Callable[..., Any]:
    async def wait(stream: StreamReader, caller: str) -> None:
        # A server's requests are read through the same class, from protocols without attributes of their own.
        answer = getattr(stream._protocol, "__dict__", {}).get(_ANSWER)
        if answer is not None and answer.reads_on is not None:
            answer.reads_on()
        await original(stream, caller)

    return wait


_PATCHES: tuple[tuple[Any, str, Callable[[Callable[..., Any]], Callable[..., Any]]], ...] = (
    (ResponseHandler, "data_received", _data_received),
    (ResponseHandler, "feed_data", _feed_data),
    (ResponseHandler, "set_exception", _set_exception),
    (ResponseHandler, "close", _closing),
    *([(ResponseHandler, "abort", _closing)] if hasattr(ResponseHandler, "abort") else []),
    (StreamReader, "_wait", _waiting),
)

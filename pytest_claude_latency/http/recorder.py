"""A tee on one HTTP attempt: the program streams on, an `Exchange` comes to be.

The same tee observes live and replayed attempts, so recorded, live and
replayed numbers are taken at the same place. While a stream runs it only notes
instants and bytes; decompressing and parsing wait until someone asks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Literal, final

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.http.library import HTTPLibrary, Transport
from pytest_claude_latency.messages_api.exchange import (
    Chunk,
    Connect,
    End,
    Exchange,
    Headers,
    Request,
    Response,
    header,
    redirects,
)
from pytest_claude_latency.virtual_time.clock import Clock

_OPENING = ("connection.connect_tcp.started", "connection.connect_unix_socket.started")
_OPENED = (
    "connection.connect_tcp.complete",
    "connection.connect_unix_socket.complete",
    "connection.start_tls.complete",
)


@final
class Attempt:
    """One HTTP attempt as it happens. Instants count from when it was sent."""

    def __init__(self, request: Request, clock: Clock, origin: Nanoseconds, library: HTTPLibrary) -> None:
        self.request = request
        self._clock = clock
        self._library = library
        self._start = clock.now()
        self.sent = self._start - origin
        self._connecting: Nanoseconds | None = None
        self._connect: Connect | None = None
        self._response: Response | None = None
        self._parts: list[tuple[Nanoseconds, bytes]] = []
        self._end: End | None = None
        self._exchange: Exchange | None = None
        self.met_another_loop = False
        self.place = 0  # in the recording that answers it, which orders what is sent at one instant

    def now(self) -> Nanoseconds:
        """Time since it was sent."""
        return self._clock.now() - self._start

    def begin_now(self) -> None:
        """What was done so far only prepared it: it is sent from now on."""
        now = self._clock.now()
        self.sent += now - self._start
        self._start = now

    @property
    def ended(self) -> bool:
        """Whether its end is known."""
        return self._end is not None

    @property
    def status(self) -> int | None:
        """The HTTP status; None before the headers."""
        return self._response.status if self._response else None

    @property
    def location(self) -> str | None:
        """Where a redirecting answer points; None for any other."""
        response = self._response
        return header(response.headers, "location") if response and redirects(response.status) else None

    def traced(self, event: str) -> None:
        """Note an event of httpcore's trace extension: the truest moments of opening a connection."""
        if event in _OPENING:
            self._connecting = self.now()
        elif event in _OPENED and self._connecting is not None:
            self._connect = Connect(self._connecting, self.now() - self._connecting)

    def foretold(self, connect: Connect | None) -> None:
        """It is a replay, in which no connection is opened; what was recorded of one is known beforehand."""
        self._connect = connect

    def answered(self, status: int, headers: Headers) -> None:
        """The response headers are here."""
        self._response = Response(self.now(), status, headers)

    def arrivals(self) -> Callable[[bytes], None]:
        """What notes that some of the body is here, as encoded on the wire: called for each chunk, so it is lean."""
        now, start, note = self._clock.now, self._start, self._parts.append

        def arrived(data: bytes) -> None:
            note((now() - start, data))

        return arrived

    def finish(self, error: BaseException | None = None, closed: Literal["client"] | None = None) -> None:
        """It is over: in full, by a failure, or because the program stopped reading. The first end counts."""
        if self._end is None:
            self.met_another_loop = isinstance(error, RuntimeError) and "loop" in str(error).lower()
            failed = isinstance(error, Exception)  # a cancellation, ^C or a miss is the program stopping, not the wire
            name = type(error).__name__ if failed else None
            self._end = End(self.now(), name, "client" if closed or (error and not failed) else None)

    def exchange(self) -> Exchange:
        """What is known so far."""
        if self._exchange is None or self._exchange.end is None:
            self._exchange = Exchange(
                self.sent, self.request, self._connect, self._response, tuple(self._chunks()), self._end
            )
        return self._exchange

    def _chunks(self) -> Iterator[Chunk]:
        parts = list(self._parts)
        headers = self._response.headers if self._response else ()
        data = [part for _, part in parts]
        if (header(headers, "content-encoding") or "identity") != "identity":
            data = self._library.decoded(headers, data)
        return (Chunk(at, piece) for (at, _), piece in zip(parts, data, strict=False))


@final
class ObservedTransport:
    """A transport that notes in an `Attempt` what passes through it."""

    def __init__(self, inner: Transport, attempt: Attempt, library: HTTPLibrary) -> None:
        self._inner = inner
        self._attempt = attempt
        self._library = library

    def handle_request(self, request: Any) -> Any:
        """Answer a sync client's request."""
        self._trace(request)
        try:
            response = self._inner.handle_request(request)
        except BaseException as error:
            self._attempt.finish(error)
            raise
        stream = response.stream
        self._attempt.answered(response.status_code, tuple(response.headers.multi_items()))
        response.stream = self._library.sync_body(self._pass_on(stream), self._closing(stream))
        return response

    async def handle_async_request(self, request: Any) -> Any:
        """Answer an async client's request."""
        self._trace_async(request)
        try:
            response = await self._inner.handle_async_request(request)
        except BaseException as error:
            self._attempt.finish(error)
            raise
        stream = response.stream
        self._attempt.answered(response.status_code, tuple(response.headers.multi_items()))
        response.stream = self._library.async_body(self._pass_on_async(stream), self._closing_async(stream))
        return response

    def _pass_on(self, stream: Any) -> Iterator[bytes]:
        attempt, arrived = self._attempt, self._attempt.arrivals()
        try:
            for data in stream:
                arrived(data)
                yield data
        except GeneratorExit:
            raise  # the reader went away; closing the response says when
        except BaseException as error:
            attempt.finish(error)
            raise
        attempt.finish()

    async def _pass_on_async(self, stream: Any) -> AsyncIterator[bytes]:
        attempt, arrived = self._attempt, self._attempt.arrivals()
        try:
            async for data in stream:
                arrived(data)
                yield data
        except GeneratorExit:
            raise
        except BaseException as error:
            attempt.finish(error)
            raise
        attempt.finish()

    def _closing(self, stream: Any) -> Callable[[], None]:
        def close() -> None:
            self._attempt.finish(closed="client")
            stream.close()

        return close

    def _closing_async(self, stream: Any) -> Callable[[], Awaitable[None]]:
        async def close() -> None:
            self._attempt.finish(closed="client")
            await stream.aclose()

        return close

    def _trace(self, request: Any) -> None:
        theirs = request.extensions.get("trace")

        def trace(event: str, info: Any) -> None:
            self._attempt.traced(event)
            if theirs is not None:
                theirs(event, info)

        request.extensions = {**request.extensions, "trace": trace}

    def _trace_async(self, request: Any) -> None:
        theirs = request.extensions.get("trace")

        async def trace(event: str, info: Any) -> None:
            self._attempt.traced(event)
            if theirs is not None:
                await theirs(event, info)

        request.extensions = {**request.extensions, "trace": trace}

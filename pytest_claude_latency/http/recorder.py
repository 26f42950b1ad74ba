"""The recorder of one HTTP attempt: the program streams on while an `Exchange` is noted.

The same recorder observes live and replayed attempts, so recorded, live and replayed numbers are taken at the same
place. While a stream runs it only notes instants and bytes. Decompressing and parsing wait until someone asks, since
what they cost would be measured as the API's time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
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

# Only httpcore traces. Under the SDK's aiohttp transport no connection is noted, and its time counts as the call's.
_OPENING = ("connection.connect_tcp.started", "connection.connect_unix_socket.started")
_OPENED = (
    "connection.connect_tcp.complete",
    "connection.connect_unix_socket.complete",
    "connection.start_tls.complete",
)


@final
class Attempt:
    """One HTTP attempt as it happens. Its instants count from when it was sent."""

    def __init__(self, request: Request, clock: Clock, origin: Nanoseconds, library: HTTPLibrary) -> None:
        self.request = request
        self._clock = clock
        self._library = library
        self._start = clock.now()
        self.sent = self._start - origin
        """When it was sent, since the start of the test."""
        self._connecting: Nanoseconds | None = None
        self._connect: Connect | None = None
        self._response: Response | None = None
        self._parts: list[tuple[Nanoseconds, bytes]] = []
        self._end: End | None = None
        self._exchange: Exchange | None = None
        self.met_another_loop = False
        """Whether it failed because its connection belongs to another event loop than the one that asked."""
        self.place = 0
        """Its place in the recording that answers it, which orders what is sent at one instant."""

    def now(self) -> Nanoseconds:
        """Return the time since it was sent."""
        return self._clock.now() - self._start

    def begin_now(self) -> None:
        """Count from now on: what was done so far only prepared it."""
        now = self._clock.now()
        self.sent += now - self._start
        self._start = now

    @property
    def ended(self) -> bool:
        """Whether its end is known."""
        return self._end is not None

    @property
    def location(self) -> str | None:
        """Where a redirecting answer points. `None` for any other."""
        response = self._response  # read once: another thread may set it in between
        return header(response.headers, "location") if response and redirects(response.status) else None

    def traced(self, event: str) -> None:
        """Note an event of httpcore's trace extension, which tells most exactly when a connection was opened."""
        if event in _OPENING:
            self._connecting = self.now()
        elif event in _OPENED and self._connecting is not None:
            self._connect = Connect(self._connecting, self.now() - self._connecting)

    def foretold(self, connect: Connect | None, place: int) -> None:
        """Note what a replay knows beforehand, since it opens no connection: the recorded one, and the place."""
        self._connect = connect
        self.place = place

    def answered(self, status: int, headers: Headers) -> None:
        """Note that the response headers are here."""
        self._response = Response(self.now(), status, headers)

    def arrivals(self) -> Callable[[bytes], None]:
        """Return what notes that a part of the body is here, as encoded on the wire.

        It is called for each chunk of a stream, so it looks nothing up.
        """
        now, start, note = self._clock.now, self._start, self._parts.append

        def arrived(data: bytes) -> None:
            note((now() - start, data))

        return arrived

    def finish(self, error: BaseException | None = None, closed: Literal["client"] | None = None) -> None:
        """Note that it is over: in full, by a failure, or because the program stopped reading. The first end counts."""
        if self._end is None:
            self.met_another_loop = isinstance(error, RuntimeError) and "loop" in str(error).lower()
            failed = isinstance(error, Exception)  # a cancellation, ^C or a miss is the program stopping, not the wire
            name = type(error).__name__ if failed else None
            self._end = End(self.now(), name, "client" if closed or (error and not failed) else None)

    def exchange(self) -> Exchange:
        """Return what is known so far."""
        if self._exchange is None or self._exchange.end is None:  # after its end nothing changes
            parts = list(self._parts)  # another thread may be reading the answer right now
            headers = self._response.headers if self._response else ()
            data = [part for _, part in parts]
            if (header(headers, "content-encoding") or "identity") != "identity":
                data = self._library.decoded(headers, data)
            # not strict: what follows bytes that cannot be decoded is left out
            chunks = tuple(Chunk(at, piece) for (at, _), piece in zip(parts, data, strict=False))
            self._exchange = Exchange(self.sent, self.request, self._connect, self._response, chunks, self._end)
        return self._exchange


@final
class ObservedTransport:
    """A transport that notes in an `Attempt` what passes through it."""

    def __init__(self, inner: Transport, attempt: Attempt, library: HTTPLibrary) -> None:
        self._inner = inner
        self._attempt = attempt
        self._library = library

    def handle_request(self, request: Any) -> Any:
        """Answer a sync client's request."""
        attempt = self._attempt
        users_trace = request.extensions.get("trace")

        def trace(event: str, info: Any) -> None:
            attempt.traced(event)
            if users_trace is not None:
                users_trace(event, info)

        # a new dictionary: the program's own may serve its next request, which has another attempt
        request.extensions = {**request.extensions, "trace": trace}
        try:
            response = self._inner.handle_request(request)
        except BaseException as error:  # a cancellation, too, ends the attempt
            attempt.finish(error)
            raise
        stream = response.stream

        def close() -> None:
            attempt.finish(closed="client")  # counts only if the answer was not read to its end
            stream.close()

        # The program gets the body as the library would hand it out: compressed, and by the chunks of the wire.
        attempt.answered(response.status_code, tuple(response.headers.multi_items()))
        response.stream = self._library.sync_body(self._pass_on(stream), close)
        return response

    async def handle_async_request(self, request: Any) -> Any:
        """Answer an async client's request."""
        attempt = self._attempt
        users_trace = request.extensions.get("trace")

        async def trace(event: str, info: Any) -> None:
            attempt.traced(event)
            if users_trace is not None:
                await users_trace(event, info)

        request.extensions = {**request.extensions, "trace": trace}
        try:
            response = await self._inner.handle_async_request(request)
        except BaseException as error:
            attempt.finish(error)
            raise
        stream = response.stream

        async def close() -> None:
            attempt.finish(closed="client")
            await stream.aclose()

        attempt.answered(response.status_code, tuple(response.headers.multi_items()))
        response.stream = self._library.async_body(self._pass_on_async(stream), close)
        return response

    def _pass_on(self, stream: Any) -> Iterator[bytes]:
        attempt, arrived = self._attempt, self._attempt.arrivals()
        try:
            for data in stream:
                arrived(data)
                yield data
        except GeneratorExit:
            raise  # the reader went away; closing the response notes when
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

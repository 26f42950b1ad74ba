"""The recorder of one HTTP attempt: the program streams on while an `Exchange` is noted.

The same recorder observes live and replayed attempts, so recorded, live and replayed numbers are taken at the same
place. While a stream runs it only notes instants and bytes. Decompressing and parsing wait until someone asks, since
what they cost would be measured as the API's time.
"""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, final

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.http.library import UndecodableError
from pytest_claude_latency.messages_api.endpoints import asks_to_stream
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
from pytest_claude_latency.virtual_time.scheduling.holds import LEAST_LAG

Decoder: TypeAlias = Callable[[Headers, Sequence[bytes]], list[bytes]]
"""Returns each part of a body as its content encoding let it be read on arrival; it is the client library's own."""


@final
class AnswerOrigin:
    """Where the answer of one attempt came from: the API, or a mock, a cache, or another tool's playback."""

    __slots__ = ("_request", "body_has_ended", "has_connection", "is_foreign")

    def __init__(self, request: Request) -> None:
        self._request = request
        self.has_connection = False
        """Whether a connection carries the attempt."""
        self.body_has_ended = False
        """Whether the last byte of a body has come."""
        self.is_foreign = False
        """Whether something other than the API answered."""

    def judge(self) -> None:
        """Note that the head of the answer is here, or that the attempt failed.

        If no connection carried the attempt, that was not the API's doing. A stream that something below read to its
        end before it handed on the head has no times of the API's.
        """
        self.is_foreign = not self.has_connection or (self.body_has_ended and asks_to_stream(self._request))


@final
class Attempt:
    """One HTTP attempt as it happens, whatever client library makes it. Its instants count from when it was sent."""

    def __init__(
        self,
        request: Request,
        clock: Clock,
        origin: Nanoseconds,
        decoded: Decoder,
        *,
        client: str = "",
        line: str | None = None,
    ) -> None:
        self.request = request
        self.client = client
        """Who sent it, with its version, for example `anthropic 2.14.0`."""
        self.line = line
        """The line of the program that sent it: `app/llm.py:56 in classify`."""
        self._clock = clock
        self.decoded = decoded
        self._start = clock.now()
        self.sent = self._start - origin
        """When it was sent, since the start of the test."""
        self._connecting: Nanoseconds | None = None
        self._connect: Connect | None = None
        self._response: Response | None = None
        self._parts: list[tuple[Nanoseconds, bytes]] = []
        self._pauses: list[tuple[Nanoseconds, Nanoseconds]] = []
        self._end: End | None = None
        self._exchange: Exchange | None = None
        self._recorded: Exchange | None = None
        # Two equal calls at once have equal counts of retries. The thread tells whose attempt this is.
        self._thread = get_ident()
        self.met_another_loop = False
        """Whether it failed because its connection belongs to another event loop than the one that asked."""
        self.answer_origin = AnswerOrigin(request)
        self.has_queued = False
        """Whether all connections that the client may have were in use, so that it had to wait for one."""
        self.pool: int | None = None
        """In a replay, the number of the pool of connections that it would have used; `None` if that is not known."""
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
        self._connecting = self._connect = None

    @property
    def ended(self) -> bool:
        """Whether its end is known."""
        return self._end is not None

    @property
    def location(self) -> str | None:
        """Where a redirecting answer points. `None` for any other."""
        response = self._response  # read once: another thread may set it in between
        return header(response.headers, "location") if response and redirects(response.status) else None

    def waited(self) -> None:
        """Note that it has a connection. One that another request used before is noted as opened in no time."""
        if self.has_queued and self._connecting is None:
            self.connecting()
            self.connected()

    def connecting(self) -> None:
        """Note that a connection is being opened."""
        self._connecting = self.now()

    def connected(self) -> None:
        """Note that the connection is there, or a further step on the way to it."""
        if self._connecting is not None:
            self._connect = Connect(self._connecting, self.now() - self._connecting)

    def foretold(self, recorded: Exchange, place: int) -> None:
        """Note what a replay knows beforehand: the exchange that answers it, and the place of that.

        A replay opens no connection, so the recorded one is taken over.
        """
        self._recorded = recorded
        self._connect = recorded.connect
        self.place = place

    def connected_as(self, connect: Connect | None) -> None:
        """Note that a replay waited for its connection in another way than the recorded program."""
        self._connect = connect

    def answered(self, status: int, headers: Headers, encoding: str | None = None) -> None:
        """Note that the response headers are here. `encoding` is how the body travels, where they do not say so."""
        encoding = encoding or header(headers, "content-encoding")
        encoding = None if encoding is None or encoding.lower() == "identity" else encoding.lower()
        self._response = Response(self.now(), status, headers, encoding)

    def arrivals(self) -> Callable[[bytes], None]:
        """Return what notes that a part of the body is here, as encoded on the wire.

        It is called for each chunk of a stream, so it looks nothing up.
        """
        now, start, note = self._clock.now, self._start, self._parts.append

        def arrived(data: bytes) -> None:
            note((now() - start, data))

        return arrived

    def timed_arrivals(self) -> tuple[Nanoseconds, Callable[[tuple[Nanoseconds, bytes]], None]]:
        """Return when it was sent, and what notes a part of the body with the time since then: a replay knows it."""
        return self._start, self._parts.append

    def asking(self) -> Callable[[], None] | None:
        """Return what notes that the program asks for the next part; `None` in a replay.

        What comes as soon as it is asked for may have been there since the last part came. A replay knows when it was.
        """
        if self._recorded is not None:
            return None
        now, start, parts, note = self._clock.now, self._start, self._parts, self._pauses.append

        def asked() -> None:
            at = now() - start
            since = parts[-1][0] if parts else self._response.at if self._response is not None else at
            if at - since >= LEAST_LAG:
                note((since, at))

        return asked

    def finish(
        self, error: BaseException | None = None, closed: Literal["client"] | None = None, *, called: str | None = None
    ) -> None:
        """Note that it is over: in full, by a failure, or because the program stopped reading. The first end counts.

        `called` is what recordings call the error, by the names of httpx; without it the error has such a name itself.
        """
        if self._end is None:
            # A client that several event loops share fails so. The SDK hides it in an `APIConnectionError`.
            self.met_another_loop = isinstance(error, RuntimeError) and "loop" in str(error).lower()
            self._end = End.of(self.now(), error, closed, called)

    def exchange(self) -> Exchange:
        """Return what is known so far."""
        if self._exchange is None or self._exchange.end is None:  # after its end nothing changes
            end, response = self._end, self._response
            if response and end and response.at > end.at:
                response = None
            headers = response.headers if response else ()
            # A copy of the parts: another thread may be reading the answer right now, also after the test has ended it.
            parts = [part for part in tuple(self._parts) if end is None or part[0] <= end.at]
            data, end = _as_decoded([part for _, part in parts], headers, end, self.decoded)
            # not strict: what follows bytes that cannot be decoded is left out
            chunks = tuple(Chunk(at, piece) for (at, _), piece in zip(parts, data, strict=False))
            self._exchange = Exchange(
                self.sent,
                self.request,
                self._connect,
                response,
                chunks,
                end,
                self._recorded,
                self._thread,
                pauses=tuple(self._pauses),
            )
        return self._exchange


def _as_decoded(
    parts: list[bytes], headers: Headers, end: End | None, decoded: Decoder
) -> tuple[list[bytes], End | None]:
    """Return the parts of a body as the program reads them, and the end that it meets then."""
    if (header(headers, "content-encoding") or "identity") == "identity":
        return parts, end
    try:
        return decoded(headers, parts), end
    except UndecodableError as error:
        # Some libraries decode above what is intercepted, so that the end does not tell their error. A program that
        # read the bytes as they came gets it too: without them it must not replay well.
        if end is not None and end.error is None:
            end = End.of(end.at, error, None, "DecodingError")
        return list(error.readable), end

"""A recorded exchange, served on a clock.

What happens is written once, as a script of instants to wait for and bytes to
hand out; a sync and an async driver play it. Time-outs are the program's own:
they are judged here against recorded instants, as a socket would have.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, NoReturn, Protocol, final

from pytest_claude_latency.duration import MILLISECOND, Nanoseconds, nanoseconds
from pytest_claude_latency.http.library import HTTPLibrary
from pytest_claude_latency.messages_api.exchange import End, Exchange
from pytest_claude_latency.virtual_time.clock import Clock

SLACK: Nanoseconds = 250 * MILLISECOND
"""How long a program may go on past the point where the recorded one stopped (its own computing took time then)."""

_TIMEOUTS = {"ConnectTimeout": "connect", "ReadTimeout": "read", "WriteTimeout": "write", "PoolTimeout": "pool"}


class Waiter(Protocol):
    """A clock one can wait on."""

    clock: Clock

    def sleep_until(self, instant: Nanoseconds) -> None:
        """Block the calling thread until `instant`."""
        ...

    def async_sleep_until(self, instant: Nanoseconds) -> Awaitable[None]:
        """Suspend the calling task until `instant`."""
        ...


@final
class ReplayTransport:
    """The transport that serves one recorded exchange to one request, at the recorded offsets."""

    def __init__(
        self,
        recorded: Exchange,
        waiter: Waiter,
        library: HTTPLibrary,
        overrun: Callable[[Exchange], NoReturn],
        *,
        place: int = 0,
    ) -> None:
        self._recorded = recorded
        self.place = place  # in its recording
        self.connect = recorded.connect
        self._end = recorded.end or End(0)
        self._waiter = waiter
        self._library = library
        self._overrun = overrun
        self._start = waiter.clock.now()

    def handle_request(self, request: Any) -> Any:
        """Answer a sync client's request."""
        for instant in self._headers(request):
            self._waiter.sleep_until(instant)
        return self._response(self._library.sync_body(self._play(request), lambda: None))

    async def handle_async_request(self, request: Any) -> Any:
        """Answer an async client's request."""
        for instant in self._headers(request):
            await self._waiter.async_sleep_until(instant)
        return self._response(self._library.async_body(self._play_async(request), _nothing_to_close))

    def _response(self, stream: Any) -> Any:
        response = self._recorded.response
        assert response is not None  # `_headers` raises where none was recorded
        return self._library.response(response.status, response.headers, stream)

    def _play(self, request: Any) -> Iterator[bytes]:
        now, wait = self._waiter.clock.now, self._waiter.sleep_until
        for due, data in self._body(request):
            if due > now():
                wait(due)
            if data is not None:
                yield data

    async def _play_async(self, request: Any) -> AsyncIterator[bytes]:
        now, wait = self._waiter.clock.now, self._waiter.async_sleep_until
        for due, data in self._body(request):
            if due > now():
                await wait(due)
            if data is not None:
                yield data

    def _headers(self, request: Any) -> Iterator[Nanoseconds]:
        """The waits until the response headers are in hand."""
        connect = self._recorded.connect
        connected = self._start
        if connect is not None:
            opened = self._start + connect.at
            yield from self._in_time(opened, opened + connect.duration, "ConnectTimeout", request)
            connected = opened + connect.duration
        if self._recorded.response is None:
            yield from self._break_off(connected, request)
        else:
            yield from self._in_time(connected, self._start + self._recorded.response.at, "ReadTimeout", request)

    def _body(self, request: Any) -> Iterator[tuple[Nanoseconds, bytes | None]]:
        """The instants of the body, each with the chunk that is due then; None where it is only a wait."""
        now, start = self._waiter.clock.now, self._start
        patience = self._allowed("ReadTimeout", request)
        for chunk in self._recorded.chunks:
            due = start + chunk.at
            if patience is not None and due - now() > patience:
                yield from ((instant, None) for instant in self._in_time(now(), due, "ReadTimeout", request))
            yield due, chunk.data
        asked = now()
        if self._end.error is None and self._end.closed is None:
            waits = self._in_time(asked, start + self._end.at, "ReadTimeout", request)
        else:
            waits = self._break_off(asked, request)
        yield from ((instant, None) for instant in waits)

    def _in_time(self, since: Nanoseconds, due: Nanoseconds, error: str, request: Any) -> Iterator[Nanoseconds]:
        """Wait for `due`, or for the program's own time-out counted from `since`, whichever comes first."""
        allowed = self._allowed(error, request)
        if allowed is not None and due - since > allowed:
            yield since + allowed
            raise self._library.error(error, f"no answer for {allowed / 1e9:g} s", request)
        yield due

    def _break_off(self, since: Nanoseconds, request: Any) -> Iterator[Nanoseconds]:
        """The recorded program got no further: by a failure of the wire, its own time-out, or its own choice."""
        failure = self._end.error
        if failure is not None and failure not in _TIMEOUTS:
            patience = "ConnectTimeout" if failure == "ConnectError" else "ReadTimeout"
            yield from self._in_time(since, self._start + self._end.at, patience, request)
            raise self._library.error(failure, "as recorded", request)
        yield from self._fall_silent(since, failure or "ReadTimeout", request)

    def _fall_silent(self, since: Nanoseconds, error: str, request: Any) -> Iterator[Nanoseconds]:
        """Nothing more was recorded because the recorded program stopped waiting: this one has to stop as well."""
        if error == "ConnectTimeout":
            since = self._start + (self._recorded.connect.at if self._recorded.connect else 0)
        elif error in ("PoolTimeout", "WriteTimeout"):
            since = self._start
        allowed = self._allowed(error, request)
        patience = self._start + self._end.at + SLACK
        if allowed is not None and since + allowed <= patience:
            yield since + allowed
            raise self._library.error(error, f"no answer for {allowed / 1e9:g} s", request)
        yield patience
        self._overrun(self._recorded)

    @staticmethod
    def _allowed(error: str, request: Any) -> Nanoseconds | None:
        limit = request.extensions.get("timeout", {}).get(_TIMEOUTS[error])
        return None if limit is None else nanoseconds(limit)


async def _nothing_to_close() -> None:
    """A replayed body holds no connection."""

"""A recorded exchange, served on a clock.

What happens is written once, as instants to wait for and bytes to hand out. A sync and an async transport play it.
Time-outs are the program's own. They are judged here against the recorded instants, as a socket would judge them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, NoReturn, Protocol, final

from pytest_claude_latency.duration import MILLISECOND, Nanoseconds, nanoseconds
from pytest_claude_latency.http.library import HTTPLibrary
from pytest_claude_latency.messages_api.exchange import End, Exchange
from pytest_claude_latency.virtual_time.clock import Clock

SLACK: Nanoseconds = 250 * MILLISECOND
"""How long a program may go on past the point where the recorded one stopped.

A recording contains the time that the program itself computed, and virtual time does not: a time-out that fired 194 ms
after the request was sent while recording fires after 200 ms in the replay.
"""

# By the exception that a recording names: the key of the program's own limit in the request's extensions.
_TIMEOUTS = {"ConnectTimeout": "connect", "ReadTimeout": "read", "WriteTimeout": "write", "PoolTimeout": "pool"}
_AS_RECORDED = "as recorded"
_TIMED_OUT = "no answer for {:g} s"


class Waiter(Protocol):
    """A clock that one can wait on."""

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
        self.place = place
        """The place of the exchange in its recording."""
        self.connect = recorded.connect
        self._end = recorded.end or End(0)
        self._waiter = waiter
        self._library = library
        self._overrun = overrun
        """Fails the test of a program that reads on where the recorded one stopped."""
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

    # The two players run once for each chunk. A chunk that is due already costs no wait: a wait, even one of no time,
    # gives the turn to other threads and tasks.

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
        """Yield the waits until the response headers are in hand."""
        connect = self._recorded.connect
        connected = self._start
        if connect is not None:
            opened = self._start + connect.at  # a wait for a free connection of the pool lies before it
            yield from self._in_time(opened, opened + connect.duration, "ConnectTimeout", request)
            connected = opened + connect.duration
        if self._recorded.response is None:
            yield from self._break_off(connected, request)
        else:
            yield from self._in_time(connected, self._start + self._recorded.response.at, "ReadTimeout", request)

    def _body(self, request: Any) -> Iterator[tuple[Nanoseconds, bytes | None]]:
        """Yield the instants of the body, each with the chunk that is due then; with `None` it is only a wait.

        A read time-out counts from when the program asks for the next bytes. Chunks that decompress to nothing end the
        wait of a socket too, so they are served like any other.
        """
        now, start = self._waiter.clock.now, self._start
        patience = self._allowed("ReadTimeout", request)
        for chunk in self._recorded.chunks:
            due = start + chunk.at
            if patience is not None and due - now() > patience:
                yield from ((instant, None) for instant in self._in_time(now(), due, "ReadTimeout", request))
            yield due, chunk.data
        asked = now()
        # Behind the last chunk a socket still waits for the end of the body, which has a time-out of its own.
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
            # In mid-stream the SDK hands this exception to the program as it is, so it has to be the library's own.
            raise self._library.error(error, _TIMED_OUT.format(allowed / 1e9), request)
        yield due

    def _break_off(self, since: Nanoseconds, request: Any) -> Iterator[Nanoseconds]:
        """Wait, and then end as the recorded program did not get further.

        A failure of the wire is raised again. Where the recorded program stopped waiting, by its own time-out or its
        own choice, it is not known what would have come, so this program has to stop waiting as well.
        """
        failure = self._end.error
        if failure is not None and failure not in _TIMEOUTS:
            # This program may be less patient than the recorded one: then its own time-out comes first.
            patience = "ConnectTimeout" if failure == "ConnectError" else "ReadTimeout"
            yield from self._in_time(since, self._start + self._end.at, patience, request)
            raise self._library.error(failure, _AS_RECORDED, request)
        # Each kind of time-out counts from another moment.
        timeout = failure or "ReadTimeout"
        if timeout == "ConnectTimeout":
            since = self._start + (self._recorded.connect.at if self._recorded.connect else 0)
        elif timeout in ("PoolTimeout", "WriteTimeout"):
            since = self._start
        allowed = self._allowed(timeout, request)
        latest = self._start + self._end.at + SLACK
        if allowed is not None and since + allowed <= latest:
            yield since + allowed
            raise self._library.error(timeout, _TIMED_OUT.format(allowed / 1e9), request)
        yield latest  # whoever is still waiting then has left what was recorded
        self._overrun(self._recorded)

    @staticmethod
    def _allowed(error: str, request: Any) -> Nanoseconds | None:
        """Return how long the program's own time-out lets it wait. `None` if it has none of that kind."""
        limit = request.extensions.get("timeout", {}).get(_TIMEOUTS[error])
        return None if limit is None else nanoseconds(limit)


async def _nothing_to_close() -> None:
    """Close nothing: a replayed body holds no connection."""

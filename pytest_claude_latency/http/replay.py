"""A recorded exchange, served to clients of httpx and httpx2: a sync and an async player of its script."""

from __future__ import annotations

import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import chain
from typing import Any, final

from pytest_claude_latency.duration import Nanoseconds, nanoseconds
from pytest_claude_latency.http.error_texts import Wire, text_of
from pytest_claude_latency.http.library import HTTPLibrary, error_over_aiohttp
from pytest_claude_latency.http.pools import Connections, Turn, async_event
from pytest_claude_latency.http.recorder import Attempt
from pytest_claude_latency.http.replay_script import Playback, ReplayScript, Timeouts


@final
class ReplayTransport:
    """The transport that serves one recorded exchange to one request, at the recorded offsets.

    The attempt notes what passes, as it does of what the network brings.
    The request waits for one of `connections` first; with `None` there is always one. `carrier` is the client's own
    transport, if it sends through aiohttp: the program gets the errors of the wire as that hands them on.
    """

    def __init__(
        self,
        playback: Playback,
        library: HTTPLibrary,
        attempt: Attempt,
        connections: Connections | None = None,
        *,
        carrier: Any = None,
    ) -> None:
        self._playback = playback
        self._waiter = playback.waiter
        self._library = library
        self._attempt = attempt
        self._connections = connections
        self._carrier = carrier
        self._called: str | None = None
        """What the recording calls the error that was raised: some transports give it another name."""

    def handle_request(self, request: Any) -> Any:
        """Answer a sync client's request."""
        script = self._script(request)
        turn = self._turn(threading.Event)
        leave = _leave_nothing if turn is None else turn.leave
        try:
            if turn is not None and not turn.has_connection:
                self._go_on(script, request, is_free=turn.wait(self._patience(request)))
            for instant in chain(script.connection(), script.headers()):
                self._waiter.sleep_until(instant)
        except BaseException as error:  # a miss or a cancellation, too, gives the connection back, or the next hangs
            leave()
            self._attempt.finish(error, called=self._called)
            raise

        def close() -> None:
            self._attempt.finish(closed="client")  # counts only if the answer was not read to its end
            leave()

        return self._response(script, self._library.sync_body(self._play(script, leave), close))

    async def handle_async_request(self, request: Any) -> Any:
        """Answer an async client's request."""
        script = self._script(request, "async" if self._carrier is None else "aiohttp")
        turn = self._turn(async_event)
        leave = _leave_nothing if turn is None else turn.leave
        try:
            if turn is not None and not turn.has_connection:
                self._go_on(script, request, is_free=await turn.wait_async(self._patience(request)))
            for instant in chain(script.connection(), script.headers()):
                await self._waiter.async_sleep_until(instant, script.since)
        except BaseException as error:
            leave()
            self._attempt.finish(error, called=self._called)
            raise

        async def close() -> None:
            self._attempt.finish(closed="client")
            leave()
            if self._carrier is None:
                await self._library.closing()

        return self._response(script, self._library.async_body(self._play_async(script, leave), close))

    def _turn(self, event: Callable[[], Any]) -> Turn | None:
        return None if self._connections is None else self._connections.turn(event, self._playback.got_connection)

    def _patience(self, request: Any) -> float | None:
        # Over HTTP/2 the pool has given a connection: the wait for a stream of it has no time-out.
        has_none = self._connections is not None and self._connections.are_streams
        return None if has_none else request.extensions.get("timeout", {}).get("pool")

    def _go_on(self, script: ReplayScript, request: Any, *, is_free: bool) -> None:
        """Go on behind a wait for a connection: with what was recorded, or with the time-out of the pool."""
        if not is_free:
            text = text_of("PoolTimeout", self._attempt.request.url)
            raise self._library.error("PoolTimeout", text, request)
        self._attempt.connected_as(script.postpone(self._attempt.now()))

    def _script(self, request: Any, wire: Wire = "sync") -> ReplayScript:
        def error(name: str, message: str) -> Exception:
            self._called = name
            if self._carrier is not None:
                in_body = self._playback.recorded.response is not None
                name = error_over_aiohttp(self._carrier, name, in_body=in_body)
            return self._library.error(name, message, request)

        return self._playback.script(timeouts_of(request), error, wire=wire)

    def _response(self, script: ReplayScript, stream: Any) -> Any:
        response = self._library.response(script.response.status, script.response.headers, stream)
        self._attempt.answered(response.status_code, tuple(response.headers.multi_items()))
        return response

    # The two players run once for each chunk. They note each chunk themselves: a stream inside of another one costs.

    # An answer that nobody reads on, nor closes, gives its connection back when it is collected, as in httpcore.

    def _play(self, script: ReplayScript, leave: Callable[[], None]) -> Iterator[bytes]:
        now, wait, skip = self._waiter.clock.now, self._waiter.sleep_until, self._waiter.skipping()
        start, note = self._attempt.timed_arrivals()
        try:
            for due, data in script.body():
                instant = skip(due)
                if instant is None and due > now():
                    wait(due)
                if data is not None:
                    note(((instant or now()) - start, data))
                    yield data
        except GeneratorExit:
            raise  # the reader went away; closing the response notes when
        except BaseException as error:
            self._attempt.finish(error, called=self._called)
            raise
        else:
            self._attempt.finish()
        finally:
            leave()

    async def _play_async(self, script: ReplayScript, leave: Callable[[], None]) -> AsyncIterator[bytes]:
        now, wait = self._waiter.clock.now, self._waiter.async_sleep_until
        skip = self._waiter.async_skipping(sys._getframe())
        start, note = self._attempt.timed_arrivals()
        try:
            for due, data in script.body():
                instant = skip(due)
                if instant is None and due > now():
                    await wait(due, script.since)
                if data is not None:
                    note(((instant or now()) - start, data))
                    yield data
        except GeneratorExit:
            raise
        except BaseException as error:
            self._attempt.finish(error, called=self._called)
            raise
        else:
            self._attempt.finish()
        finally:
            del skip  # it knows this frame, which would stay for as long
            leave()


def timeouts_of(request: Any) -> Timeouts:
    """Return the limits that a request of httpx carries."""
    limits = request.extensions.get("timeout", {})

    def limit(kind: str) -> Nanoseconds | None:
        seconds = limits.get(kind)
        return None if seconds is None else nanoseconds(seconds)

    return Timeouts(limit("connect"), limit("read"), limit("write"), limit("pool"))


def _leave_nothing() -> None:
    """Leave no pool: none holds the request back."""

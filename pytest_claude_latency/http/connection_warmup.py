"""Connection warm-up: a connection is opened ahead of the request that would have had to open it.

The first connection of a client is not a sample's fault, and with several
samples would decide every percentile. What opens it is a `GET` of the host's
root, without credentials, over the client's own transport: it makes no message,
so the prompt cache stays as the test left it. (A `HEAD` would be smaller, but a
server that answers one with a body leaves that for the next request to choke on.)
Clients whose transport has no pool that can be asked open their own, and it shows.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, final

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.http.library import HTTPLibrary, Transport
from pytest_claude_latency.http.recorder import Attempt, ObservedTransport
from pytest_claude_latency.messages_api.exchange import Request
from pytest_claude_latency.virtual_time.clock import WallClock

_LONGEST = 5.0
_KEPT_HEADERS = ("user-agent", "anthropic-version")  # by which a user's respx router knows whose it is


@final
class ConnectionWarmup:
    """Opens connections for the requests of one measurement."""

    def __init__(self, library: HTTPLibrary) -> None:
        self.library = library
        self.durations: list[Nanoseconds] = []
        """What each connection took."""

    def ahead_of(self, observed: Transport, attempt: Attempt, real: Any) -> Transport:
        """A transport that sees to the connection, and only then lets the attempt begin."""
        return _WarmingTransport(self, observed, attempt, real)

    def needs(self, transport: Any, request: Any) -> bool:
        """Whether a request would have to open a connection."""
        return self.library.opens_connection(transport, request.url)

    def request(self, request: Any) -> Any:
        """What is sent ahead of `request`, to the same host."""
        headers = {name: request.headers[name] for name in _KEPT_HEADERS if name in request.headers}
        times = request.extensions.get("timeout", {})
        within = {kind: min(times.get(kind) or _LONGEST, _LONGEST) for kind in ("connect", "read", "write", "pool")}
        url = request.url.join("/")
        return self.library.module.Request("GET", url, headers=headers, extensions={"timeout": within})

    def attempt(self, ahead: Any) -> Attempt:
        """An attempt of no call, which tells what opening the connection took."""
        return Attempt(Request(ahead.method, str(ahead.url)), WallClock(), 0, self.library)

    def note(self, attempt: Attempt) -> None:
        """The connection is open, if it could be opened: the request that follows meets its own error."""
        connect = attempt.exchange().connect
        if connect is not None:
            self.durations.append(connect.duration)


@final
class _WarmingTransport:
    """The client's own transport, observed, with its connection opened ahead."""

    def __init__(self, warmup: ConnectionWarmup, observed: Transport, attempt: Attempt, real: Any) -> None:
        self._warmup = warmup
        self._observed = observed
        self._attempt = attempt
        self._real = real

    def handle_request(self, request: Any) -> Any:
        """Answer a sync client's request."""
        warmup = self._warmup
        if warmup.needs(self._real, request):
            ahead = warmup.request(request)
            attempt = warmup.attempt(ahead)
            with suppress(Exception):
                response = ObservedTransport(self._real, attempt, warmup.library).handle_request(ahead)
                response.read()
                response.close()
            warmup.note(attempt)
            self._attempt.begin_now()
        return self._observed.handle_request(request)

    async def handle_async_request(self, request: Any) -> Any:
        """Answer an async client's request."""
        warmup = self._warmup
        if warmup.needs(self._real, request):
            ahead = warmup.request(request)
            attempt = warmup.attempt(ahead)
            with suppress(Exception):
                response = await ObservedTransport(self._real, attempt, warmup.library).handle_async_request(ahead)
                await response.aread()
                await response.aclose()
            warmup.note(attempt)
            self._attempt.begin_now()
        return await self._observed.handle_async_request(request)

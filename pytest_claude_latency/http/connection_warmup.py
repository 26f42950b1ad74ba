"""Connection warm-up: a connection is opened ahead of the request that would have had to open it.

Opening the first connection of a client takes time that a sample is not to blame for, and with several samples it would
decide each percentile. The connection is opened by a `GET` of the host's root, without credentials, over the client's
own transport. It makes no message, so the prompt cache stays as the test left it. A `HEAD` would be smaller, but some
servers answer one with a body, which would be left in the connection for the next request to read.

A client whose transport has no pool that can be asked opens its own connections, and the measurement includes them.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, final

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.http.library import HTTPLibrary, Transport
from pytest_claude_latency.http.observed_transport import ObservedTransport
from pytest_claude_latency.http.recorder import Attempt
from pytest_claude_latency.messages_api.exchange import Request
from pytest_claude_latency.virtual_time.clock import WallClock

_LONGEST = 5.0  # seconds: a host that does not answer must not hold up the test
_KEPT_HEADERS = ("user-agent", "anthropic-version")  # by them a user's respx router knows that it is a Claude request


@final
class ConnectionWarmup:
    """Opens connections for the requests of one measurement."""

    def __init__(self) -> None:
        self.durations: list[Nanoseconds] = []
        """How long each connection took to open."""

    def ahead_of(self, observed: Transport, attempt: Attempt, real: Any, library: HTTPLibrary) -> Transport:
        """Return a transport that opens the connection first, and only then lets the attempt begin."""
        return _WarmingTransport(self, observed, attempt, real, library)

    def note(self, attempt: Attempt) -> None:
        """Note how long the connection took to open. If it could not be opened, there is nothing to note."""
        connect = attempt.exchange().connect
        if connect is not None:
            self.durations.append(connect.duration)


@final
class _WarmingTransport:
    """The client's own transport, observed, with its connection opened ahead.

    Errors of the request that goes ahead are dropped: the request that follows meets the same error itself.
    """

    def __init__(
        self, warmup: ConnectionWarmup, observed: Transport, attempt: Attempt, real: Any, library: HTTPLibrary
    ) -> None:
        self._warmup = warmup
        self._library = library
        self._observed = observed
        self._attempt = attempt
        self._real = real

    def handle_request(self, request: Any) -> Any:
        """Answer a sync client's request."""
        if (prepared := self._prepare(request)) is not None:
            ahead, attempt = prepared
            with suppress(Exception):
                # below the interception, so that it is neither recorded nor counted as a call
                transport = ObservedTransport(self._real, attempt, self._library)
                response = transport.handle_request(ahead)
                response.read()  # a connection goes back to the pool only when its answer was read
                response.close()
            self._warmup.note(attempt)
            self._attempt.begin_now()  # opening the connection is no part of the call
        return self._observed.handle_request(request)

    async def handle_async_request(self, request: Any) -> Any:
        """Answer an async client's request."""
        if (prepared := self._prepare(request)) is not None:
            ahead, attempt = prepared
            with suppress(Exception):
                response = await ObservedTransport(self._real, attempt, self._library).handle_async_request(ahead)
                await response.aread()
                await response.aclose()
            self._warmup.note(attempt)
            self._attempt.begin_now()
        return await self._observed.handle_async_request(request)

    def _prepare(self, request: Any) -> tuple[Any, Attempt] | None:
        """Return what is to be sent ahead of `request`, and the attempt that times it. `None` if nothing need be.

        The attempt belongs to no call.
        """
        library = self._library
        if not library.opens_connection(self._real, request.url):
            return None
        headers = {name: request.headers[name] for name in _KEPT_HEADERS if name in request.headers}
        limits = request.extensions.get("timeout", {})
        timeout = {kind: min(limits.get(kind) or _LONGEST, _LONGEST) for kind in ("connect", "read", "write", "pool")}
        url = request.url.join("/")
        ahead = library.module.Request("GET", url, headers=headers, extensions={"timeout": timeout})
        return ahead, Attempt(Request(ahead.method, str(ahead.url)), WallClock(), 0, library.decoded)

"""Connections of `urllib3` that connect to nothing: to a recorded answer, or to the probe of the door."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.client import HTTPResponse
from socket import gaierror, getdefaulttimeout
from types import FrameType
from typing import Any, Final, NoReturn, final

from urllib3 import exceptions
from urllib3.connection import HTTPConnection

from pytest_claude_latency.duration import Nanoseconds, nanoseconds
from pytest_claude_latency.http.error_texts import why_no_connection
from pytest_claude_latency.http.http1_wire import RecordedError, ReplayedSocket, played
from pytest_claude_latency.http.replay_script import NO_CONNECTION, Playback, ReplayScript
from pytest_claude_latency.messages_api.exchange import End, Exchange, Request, Response, header
from pytest_claude_latency.virtual_time.clock import WallClock

PROBE_HOST: Final = "interception-probe.invalid"


NO_TUNNEL: Final = "Tunnel connection failed: "
"""How `http.client` begins to tell what a proxy answered that opens no tunnel."""

_SAYS_TO_WHAT: Final = hasattr(exceptions, "NameResolutionError")
"""Whether this is urllib3 2, whose errors name the connection and not an object."""


@final
class StandIn(HTTPConnection):
    """A connection in the place of one of the pool's, for one request. It connects to a recorded answer."""

    is_verified = True  # or urllib3 would warn of a certificate that nobody checked

    def __init__(self, pool: Any, replaced: Any, request: Request, script: ReplayScript, playback: Playback) -> None:
        super().__init__(replaced.host, replaced.port)
        self._pool = pool
        self._replaced = replaced
        self._script = script
        self._recorded = playback.recorded
        self._wait = playback.waiter.sleep_until
        self._pieces = _decodable(played(script, playback, request.method, header(request.headers, "accept-encoding")))

    def connect(self) -> None:
        """Wait as the recorded program waited for its connection."""
        limit = self.timeout if isinstance(self.timeout, int | float) else getdefaulttimeout()
        self._script.limit_connecting(None if limit is None else nanoseconds(limit))
        try:
            for instant in self._script.connection():
                self._wait(instant)
        except RecordedError as error:
            # What urllib3 itself raises where it gets no connection: its retries tell these errors apart by class.
            failure: Exception
            cause: OSError | None = None
            match error.name:
                case "ProxyError":
                    cause = OSError(NO_TUNNEL + error.message.removeprefix(NO_TUNNEL))
                    if self._pool.proxy is not None:
                        raise cause from None  # the pool makes its own error of it
                    # A proxy that the environment names may be missing in a replay.
                    text = "Unable to connect to proxy" if _SAYS_TO_WHAT else "Cannot connect to proxy."
                    failure = exceptions.ProxyError(text, cause)
                case "ConnectTimeout":
                    text = f"Connection to {self.host} timed out. (connect timeout={self.timeout})"
                    failure = exceptions.ConnectTimeoutError(self._replaced, text)
                case "PoolTimeout":
                    text = "Pool reached maximum size and no more connections are allowed."
                    failure = exceptions.EmptyPoolError(self._pool, text)
                case _:
                    cause = why_no_connection(error.message)
                    text = f"Failed to establish a new connection: {cause}"
                    failure = exceptions.NewConnectionError(self._replaced, text)
                    if isinstance(cause, ssl.SSLError):
                        # Only a proxy that is itself reached by TLS can fail so. Else it was what lies behind it.
                        proxy = self._pool.proxy
                        self._replaced._has_connected_to_proxy = proxy is not None and proxy.scheme == "http"
                        raise cause from None  # the pool makes its own error of it
                    if isinstance(cause, gaierror) and _SAYS_TO_WHAT:
                        failure = exceptions.NameResolutionError(self.host, self._replaced, cause)
            raise failure from cause
        # By this flag of the pool's own connection urllib3 tells errors of a proxy from errors behind it.
        self._replaced._has_connected_to_proxy = True
        self.sock = ReplayedSocket(self._script, self._pieces)
        self.sock.settimeout(limit)

    def close(self) -> None:
        """Close it. The pool's own connection forgets then, too, that it had reached its proxy."""
        super().close()
        self._replaced._has_connected_to_proxy = False

    def open_tunnel(self) -> None:
        """Fail where the recorded program did not get through its proxy. Otherwise do nothing yet."""
        recorded = self._recorded
        error = None if recorded.response is not None or recorded.end is None else recorded.end.error
        # A pool's first request is on no connection that was kept. What broke it before there was one broke the tunnel.
        is_first = recorded.connect is None and not self._pool.num_requests
        if error in NO_CONNECTION - {"PoolTimeout"} or (is_first and error in ("RemoteProtocolError", "ReadError")):
            self.timeout = self._replaced.timeout
            self.connect()
            HTTPResponse(self.sock).begin()  # the answer to `CONNECT`, as `http.client` reads it


def _decodable(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the pieces of an answer. What cannot be decoded is no broken connection, and is told in urllib3's way."""
    try:
        yield from pieces
    except RecordedError as error:
        if error.name != "DecodingError":
            raise
        raise exceptions.DecodeError(error.message) from None


@final
class Unmet(HTTPConnection):
    """The connection of a probe that the door did not meet."""

    class Error(Exception):
        """The probe would have been sent."""

    def connect(self) -> None:
        """Refuse to connect."""
        raise self.Error


class _NoWait:
    """The clock of the probe."""

    clock = WallClock()

    def sleep_until(self, instant: Nanoseconds) -> None:
        """Wait for nothing."""

    async def async_sleep_until(self, instant: Nanoseconds, since: Nanoseconds | None = None) -> None:
        """Wait for nothing."""

    def skipping(self) -> Callable[[Nanoseconds], Nanoseconds | None]:
        """Return what says that nothing has to be waited for."""
        return int

    def async_skipping(self, player: FrameType) -> Callable[[Nanoseconds], Nanoseconds | None]:
        """Return the same."""
        return int


def _reads_on(exchange: Exchange, patience: Nanoseconds | None) -> NoReturn:
    raise AssertionError(exchange)


PROBE: Final = Playback(
    Exchange(0, Request("POST", f"http://{PROBE_HOST}/"), response=Response(0, HTTPStatus.NO_CONTENT), end=End(0)),
    _NoWait(),
    _reads_on,
)
"""What answers the probe of the door."""

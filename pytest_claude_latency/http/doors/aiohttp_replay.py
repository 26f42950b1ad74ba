"""A recorded exchange, served to aiohttp: a connection of its own kind, to which the recorded bytes come in time.

The connection is made by the program's own connector, which keeps its limits, and handled by aiohttp's own protocol.
Only the socket is missing: a task hands over what it would have read. So the program's time-outs are aiohttp's own
timers, which follow virtual time like all timers of a loop. They are not given to the script.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, NoReturn, final

import aiohttp
from aiohttp import BaseConnector, ClientConnectorError, ClientPayloadError
from aiohttp.client_proto import ResponseHandler
from aiohttp.helpers import ceil_timeout
from aiohttp.http_exceptions import HttpProcessingError

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.http.doors.aiohttp_answers import answer_at
from pytest_claude_latency.http.error_texts import why_no_connection
from pytest_claude_latency.http.http1_wire import Framing, has_body
from pytest_claude_latency.http.recorder import Attempt
from pytest_claude_latency.http.replay_script import Playback, ReplayScript, Timeouts
from pytest_claude_latency.messages_api.exchange import Exchange

_REFUSED: Final = re.compile(r"(\d{1,9}), message:\n(.*)", re.DOTALL)
"""What aiohttp's errors of HTTP say."""
_NO_BYTE: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")


class _WireError(Exception):
    """A failure of the recorded wire, with the name that the recording gives it."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class _OverrunError(Exception):
    """The end of what was recorded is reached, where the recorded program stopped reading."""


def _stop(recorded: Exchange, patience: Nanoseconds | None) -> NoReturn:
    raise _OverrunError


class ReplayConnector(BaseConnector):
    """A connector whose next connection is a replayed one. Its limits and queues are those of the program's own."""

    _playback: Playback
    _script: ReplayScript
    _attempt: Attempt

    def __init__(self) -> None:
        raise TypeError("made by `beside` only")

    @classmethod
    def beside(cls, connector: BaseConnector, playback: Playback, attempt: Attempt) -> ReplayConnector:
        """Return a connector that shares the limits of `connector` and serves `playback`. It begins now."""
        connecting = cls.__new__(cls)
        connecting.__dict__.update(connector.__dict__)
        # The program's idle connections lead to real servers.
        connecting._conns = type(connector._conns)()
        connecting._playback = playback
        connecting._attempt = attempt
        script = replace(playback, overrun=_stop).script(Timeouts(), _WireError, wire="aiohttp")
        connecting._script = script
        return connecting

    def __del__(self, *args: Any) -> None:
        """Close nothing: the program's own connector does."""

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> ResponseHandler:
        if self._attempt.has_queued:  # then the answer comes as much later as this program waited longer
            self._attempt.connected_as(self._script.postpone(self._attempt.now()))
        try:
            async with ceil_timeout(timeout.sock_connect, ceil_threshold=timeout.ceil_threshold):
                for instant in self._script.connection():
                    await self._playback.waiter.async_sleep_until(instant)
        except _WireError as failure:
            error = connect_error(req.connection_key, str(failure))
            raise error from error.os_error
        except _OverrunError:
            self._playback.overrun(self._playback.recorded, None)
        handler = ResponseHandler(self._loop)
        handler._should_close = True  # the pool must not keep it for a request that goes to a real server
        handler.connection_made(_ReplayedSocket(self._loop, handler, self._playback, self._script, req))
        return handler


@final
class _ReplayedSocket(asyncio.Transport):
    """A transport that reads a recorded answer, and drops what is written."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handler: ResponseHandler,
        playback: Playback,
        script: ReplayScript,
        request: Any,
    ) -> None:
        super().__init__()
        self._loop = loop
        self._handler = handler
        self._playback = playback
        self._script = script
        self._request = request
        self._is_closing = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin to read, now that the protocol knows whose answer it waits for."""
        # Kept, since a loop holds its tasks only weakly: an answer could vanish in the middle.
        self._task = self._loop.create_task(self._play(), name="a replayed answer")

    async def _play(self) -> None:
        failure: _WireError | None = None
        try:
            await self._read()
        except _WireError as error:
            # Outside of this block: within it, aiohttp's own errors would have this one as their context.
            failure = error
        except _OverrunError:
            # A program that reads on fails. One that holds the answer and does not read did not go further.
            answer = answer_at(self._handler)
            if answer is not None and answer.is_idle:
                answer.reads_on = lambda: self._playback.overrun(self._playback.recorded, None)
                return
            try:
                self._playback.overrun(self._playback.recorded, None)
            except BaseException as miss:  # this task is nobody's, so the reader raises it
                self._raise_in_reader(miss)
        if failure is not None:
            self._break_off(failure)

    def _break_off(self, failure: _WireError) -> None:
        # A head that aiohttp refused to parse. It becomes a `ClientResponseError` where the answer is awaited.
        answer, refused = answer_at(self._handler), _REFUSED.fullmatch(str(failure))
        if refused and answer is not None and answer.payload is None:
            text = re.sub("(?m)^  ", "", refused[2])
            self._raise_in_reader(HttpProcessingError(code=int(refused[1]), message=text))
            return
        match failure.name:
            case "ReadError":
                self._lose(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))
            case "WriteError":
                self._lose(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)))
            case "RemoteProtocolError":
                self._lose(None)  # the server has closed it, which aiohttp does not take for an error of the socket
            case _:
                self._raise_in_reader(ClientPayloadError(str(failure)))

    async def _read(self) -> None:
        receive, script = self._handler.data_received, self._script
        now, wait = self._playback.waiter.clock.now, self._playback.waiter.async_sleep_until
        if self._request._continue is not None:  # the program sends its body only after the server's consent
            receive(b"HTTP/1.1 100 Continue\r\n\r\n")
        for instant in script.headers():
            await wait(instant, script.since)
        is_bodiless = not has_body(self._request.method, self._playback.recorded)
        framing = Framing(self._playback, self._request.headers.get("Accept-Encoding"), has_body=not is_bodiless)
        # aiohttp reads bytes that are no UTF-8 as some halves of surrogate pairs; the other halves came from no wire
        receive(_NO_BYTE.sub("?", framing.head).encode("utf-8", "surrogateescape"))
        if is_bodiless:
            return
        for due, data in script.body():
            if due > now():
                await wait(due, script.since)
            if not self._flowing.is_set():
                await self._flowing.wait()
            if data is not None:
                # For one that holds nothing, a leading zero of the next chunk's length is as good.
                receive(framing.chunk(data) or b"0")
        receive(framing.end())

    def _lose(self, error: Exception | None) -> None:
        self._is_closing = True
        self._handler.connection_lost(error)

    def _raise_in_reader(self, error: BaseException) -> None:
        answer = answer_at(self._handler)
        self._handler.set_exception(error)
        if answer is not None and answer.payload is not None:
            answer.payload.set_exception(error)

    # ── what aiohttp asks of a transport ──

    def write(self, data: Any) -> None:
        """Drop what the program sends: it was compared with the recording already."""

    def writelines(self, list_of_data: Any) -> None:
        """Drop it, too."""

    def get_write_buffer_size(self) -> int:
        """Return 0: everything is sent at once."""
        return 0

    def is_closing(self) -> bool:
        """Return whether the connection is closed, by either side."""
        return self._is_closing

    def close(self) -> None:
        """Close the connection. The protocol hears of it later, as from a socket."""
        if self._is_closing:
            return
        self._is_closing = True
        if self._task is not None:
            self._task.cancel()
        self._loop.call_soon(self._handler.connection_lost, None)

    def abort(self) -> None:
        """Close it: nothing is buffered that could be lost."""
        self.close()

    def pause_reading(self) -> None:
        """Hold back what comes: the program has enough to read."""
        self._flowing.clear()

    def resume_reading(self) -> None:
        """Go on."""
        self._flowing.set()


def begin(connection: Any) -> None:
    """Let the answer come to a connection that was made by `ReplayConnector`."""
    connection.transport.begin()


def exact(ceil: Callable[[float], int], is_virtual: Callable[[], bool]) -> Callable[[float], float]:
    """Return what takes the place of `aiohttp.helpers.ceil`, which rounds the instants of long time-outs up.

    aiohttp lets a time-out of 5 s and more fire at the next whole second of the loop's clock, which begins at a chance
    instant. In virtual time it fires when it is due, or no two replays would be equal.
    """

    def instant(when: float) -> float:
        return when if is_virtual() else ceil(when)

    return instant


def connect_error(key: Any, text: str) -> Any:
    """Return the error by which aiohttp tells that there was no connection: its class follows from what happened."""
    match why_no_connection(text):
        case socket.gaierror() as reason:
            # aiohttp before 3.11 has no class for it
            return getattr(aiohttp, "ClientConnectorDNSError", ClientConnectorError)(key, reason)
        case ssl.SSLCertVerificationError() as reason:
            return aiohttp.ClientConnectorCertificateError(key, reason)
        case ssl.SSLError() as reason:
            return aiohttp.ClientConnectorSSLError(key, reason)
        case reason:
            return ClientConnectorError(key, reason)

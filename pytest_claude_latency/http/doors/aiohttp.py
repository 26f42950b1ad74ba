"""The door of `aiohttp`: its requests are met where a connector is asked for a connection.

`BaseConnector.connect` lies below the middlewares, redirects and retries of a session, and above proxies, DNS and
sockets. Each attempt passes through it exactly once. A replayed request gets a connection to which the recording comes
(`aiohttp_replay`). A request that is sent gets a real one, where what arrives is noted (`aiohttp_answers`).
"""

from __future__ import annotations

import functools
import math
import uuid
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Final, final
from unittest import mock

import aiohttp
import aiohttp.helpers
from aiohttp import BaseConnector, ClientSession

from pytest_claude_latency import required_names
from pytest_claude_latency.errors import InterceptionError
from pytest_claude_latency.http.door import (
    Passage,
    Responders,
    Serving,
    current_passage,
    is_inside_another,
    note_let_pass,
)
from pytest_claude_latency.http.doors import aiohttp_answers
from pytest_claude_latency.http.doors.aiohttp_answers import ObservedAnswer, observe
from pytest_claude_latency.http.doors.aiohttp_bodies import read_body, rewrite
from pytest_claude_latency.http.doors.aiohttp_replay import ReplayConnector, begin, exact
from pytest_claude_latency.http.guard.open_connections import leave_to_door
from pytest_claude_latency.http.recorder import Attempt
from pytest_claude_latency.messages_api.clients import client_of
from pytest_claude_latency.messages_api.exchange import Headers, Request, canonical, header
from pytest_claude_latency.messages_api.recognition import Recognition
from pytest_claude_latency.messages_api.retries import INVOCATION_HEADER

_NOT_LIVE: Final = (
    "requests of aiohttp are not intercepted: something replaced `{name}` after this plugin patched it; nothing was "
    "sent. Expected to find the plugin's own; look for a plugin, fixture or conftest that patches aiohttp and undo it "
    "before latency tests"
)
_PORTS: Final = {"http": 80, "https": 443}
_PATCHED: Final = "_claude_latency_patched"
"""The attribute that marks a function of this door, and functions that wrap one as `functools.wraps` does."""


@final
@dataclass(frozen=True, slots=True)
class _Invocation:
    """One call of a session's method: what all its attempts share."""

    name: str
    decompresses: bool


_INVOCATION: ContextVar[_Invocation | None] = ContextVar("claude_latency_aiohttp_invocation", default=None)


@final
class AiohttpDoor:
    """The door of aiohttp's client."""

    name = "aiohttp"

    def __init__(self, responder: Responders, recognition: Recognition) -> None:
        self._responder = responder
        self._recognition = recognition
        self._patches: list[Any] = []

    def install(self) -> None:
        """Patch aiohttp. It must happen before the first connection is opened.

        Raises:
            InterceptionError: this version of aiohttp lacks a name that is needed; nothing is patched.
        """
        required_names.check("aiohttp")
        self._patches = [
            mock.patch.object(ClientSession, "_request", self._requesting(ClientSession._request)),
            mock.patch.object(BaseConnector, "connect", self._connecting(BaseConnector.connect)),
            mock.patch.object(aiohttp.helpers, "ceil", exact(math.ceil, self._replays)),
            *aiohttp_answers.patches(),
        ]
        for patch in self._patches:
            patch.start()

    def uninstall(self) -> None:
        """Leave aiohttp as it was."""
        while self._patches:
            self._patches.pop().stop()

    def prove(self) -> None:
        """Make sure that requests are met.

        Raises:
            InterceptionError: they are not; nothing has been sent.
        """
        # Each class is asked: a patch of the base does not reach a method that a subclass was given.
        for connector in (BaseConnector, aiohttp.TCPConnector, aiohttp.UnixConnector):
            if not hasattr(connector.connect, _PATCHED):
                raise InterceptionError(_NOT_LIVE.format(name=f"{connector.__name__}.connect"))

    def forget(self) -> None:
        """Drop nothing: what is known of a request goes with its connection."""

    def decoded(self, headers: Headers, parts: Sequence[bytes]) -> list[bytes]:
        """Return the parts as the decoder of another library decodes them: aiohttp's own session did not."""
        from pytest_claude_latency.http.library import HTTPLibrary

        return HTTPLibrary.of_sdk().decoded(headers, parts)

    def client_of(self, request: Request) -> str:
        """Return the library that made the request, as its headers say; where they do not, aiohttp."""
        return client_of(request) or f"aiohttp {aiohttp.__version__}"

    def _replays(self) -> bool:
        responder = self._responder()
        return responder is not None and responder.replays

    # ── what takes the place of aiohttp's own ──

    def _requesting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def request(session: ClientSession, *args: Any, **options: Any) -> Any:
            if self._responder() is None:
                return await original(session, *args, **options)
            decompresses = options.get("auto_decompress")
            if decompresses is None:
                decompresses = session.auto_decompress
            token = _INVOCATION.set(_Invocation(uuid.uuid4().hex, decompresses))
            try:
                return await original(session, *args, **options)
            finally:
                _INVOCATION.reset(token)

        return request

    def _connecting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def connect(connector: BaseConnector, req: Any, traces: Any, timeout: Any) -> Any:
            host, port = req.url.raw_host or "", req.url.port or _PORTS.get(req.url.scheme, 0)
            responder = self._responder()
            if responder is None:
                return await original(connector, req, traces, timeout)
            if is_inside_another(host, port):
                outer = current_passage()
                if outer is None or outer.attempt is None:
                    return await original(connector, req, traces, timeout)
                # The outer library does not tell of its connections; here they are seen.
                outer.attempt.answer_origin.has_connection = True
                opening = _Opening(outer.attempt, is_replayed=False)
                return await original(connector, req, [*traces, opening], timeout)
            with Passage(host, port):
                request = await self._claudes(req)
                if request is None:
                    note_let_pass(host, port)
                    return _taken(await original(connector, req, traces, timeout))
                serving = responder.answer(request, self)
                if serving.is_changed:
                    rewrite(req, serving.request)
                return await _connection(original, connector, req, (traces, timeout), serving)

        setattr(connect, _PATCHED, True)
        return connect

    async def _claudes(self, req: Any) -> Request | None:
        """Return a request that is Claude's as a plain value, its body read. `None` for all others."""
        head = Request(req.method, str(req.url), tuple(req.headers.items()))
        if self._recognition.by_head(head) is False:
            return None
        invocation = _INVOCATION.get()
        # Clients of AWS retry above the session, and say what belongs together.
        name = header(head.headers, INVOCATION_HEADER) or (invocation and invocation.name)
        request = replace(head, content=canonical(await read_body(req)), invocation=name)
        return request if self._recognition.is_claudes(request) else None


async def _connection(
    original: Callable[..., Any], connector: BaseConnector, req: Any, rest: tuple[Any, Any], serving: Serving
) -> Any:
    """Return a connection to which the answer comes: a replayed one, or one to the server."""
    traces, timeout = rest
    attempt, playback = serving.attempt, serving.playback
    opening = _Opening(attempt, is_replayed=playback is not None)
    # Whatever comes now, also an error, was not played back by another tool.
    attempt.answer_origin.has_connection = True
    try:
        connecting = connector if playback is None else ReplayConnector.beside(connector, playback, attempt)
        connection = _taken(await original(connecting, req, [*traces, opening], timeout))
    except BaseException as error:  # a cancellation, too, ends the attempt
        attempt.finish(error, called=opening.name_of(error))
        raise
    if serving.warmup is not None and opening.is_done:  # opening the connection is no part of the call
        serving.warmup.note(attempt)
        attempt.begin_now()
    connection._connector = connector  # a replayed one goes back there, too, and leaves room for another
    invocation = _INVOCATION.get()
    observe(connection.protocol, ObservedAnswer(attempt, is_decompressed=invocation is None or invocation.decompresses))
    if playback is not None:
        begin(connection)
    return connection


@final
class _Opening:
    """What aiohttp tells of a connection on its way, as to one of the traces of a request."""

    def __init__(self, attempt: Attempt, *, is_replayed: bool) -> None:
        self._attempt = attempt
        self._is_replayed = is_replayed
        self._has_begun = False
        self.is_done = False
        """Whether a connection was opened."""

    def name_of(self, error: BaseException) -> str:
        """Return what a recording calls the error by which no connection came."""
        if isinstance(error, TimeoutError):
            return "ConnectTimeout" if self._has_begun else "PoolTimeout"
        return "ConnectError"

    async def send_connection_queued_start(self) -> None:
        """Note that the connector's limit is reached."""
        self._attempt.has_queued = True

    async def send_connection_create_start(self) -> None:
        """Note that a connection begins to be opened."""
        self._has_begun = True
        self._attempt.connecting()

    async def send_connection_create_end(self) -> None:
        """Note that it is open."""
        self.is_done = True
        if not self._is_replayed:  # then it is known already how long the recorded one took
            self._attempt.connected()

    async def send_connection_reuseconn(self) -> None:
        """Note until when the request waited for a connection that another one used."""
        self._attempt.waited()

    def __getattr__(self, name: str) -> Any:
        return _nothing


async def _nothing(*args: Any, **more: Any) -> None:
    """Note nothing: DNS is part of opening a connection."""


def _taken(connection: Any) -> Any:
    """Return a connection that a request has taken. aiohttp sends on it later, when nothing tells that a door did."""
    leave_to_door(connection.transport.get_extra_info("socket"))
    return connection

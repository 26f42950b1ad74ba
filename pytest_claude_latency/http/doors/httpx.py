"""The door of `httpx` and `httpx2`: their requests are met by a respx mocker for each of the two.

respx alone does not see `httpx2`. The plugin patches `Client._send_single_request`. That method lies above the
transports (httpcore, aiohttp, custom ones) and above each place where a user's own respx router patches. So neither
takes requests from the other, whichever is started first. Each attempt, redirect and authentication step passes
through it exactly once. Below a transport of the program's own, the library's transports are met (`httpx_transports`).
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import FunctionType
from typing import Any, ClassVar, Final, final
from unittest import mock

from respx.mocks import Mocker
from respx.models import PassThrough
from respx.transports import TryTransport

from pytest_claude_latency.errors import InterceptionError
from pytest_claude_latency.http.compression import CompressingTransport
from pytest_claude_latency.http.door import (
    Destination,
    Passage,
    Responder,
    Responders,
    Serving,
    current_passage,
    is_inside_another,
    note_let_pass,
)
from pytest_claude_latency.http.doors.httpx_transports import AROUND, ProgramsTransport, wraps_one
from pytest_claude_latency.http.library import HTTPLibrary, Transport, is_over_aiohttp
from pytest_claude_latency.http.observed_transport import ObservedTransport
from pytest_claude_latency.http.pools import Pools
from pytest_claude_latency.http.recorder import Attempt
from pytest_claude_latency.http.replay import ReplayTransport
from pytest_claude_latency.http.rewriting import RewritingTransport
from pytest_claude_latency.messages_api.clients import client_of
from pytest_claude_latency.messages_api.exchange import Headers, Request, canonical
from pytest_claude_latency.messages_api.recognition import Recognition

_PROBE = "claude_latency_probe"
"""The extension of a request by which a door proves that it meets requests: the door itself."""

_PROBE_URL = "https://interception-probe.invalid/v1/messages"
_INTERCEPTED, _NOT_INTERCEPTED = 204, 500
_PORTS = {"http": 80, "https": 443}

_NOT_LIVE: Final = (
    "requests of Claude clients are not intercepted: something replaced `_send_single_request` of {library}'s clients "
    "after this plugin patched it; nothing was sent. Expected to find the plugin's own; look for a plugin, fixture or "
    "conftest that patches {library} and undo it before latency tests"
)
_WAITED: Final = "the interception probe was made to wait by something that wraps the HTTP client"


def transport_of(serving: Serving, real: Any, url: Any, door: HTTPXDoor) -> Transport:
    """Return the transport that does what `serving` says; `real` is the client's own, which would send to `url`."""
    library, attempt = door.library, serving.attempt
    if serving.playback is not None:
        attempt.answer_origin.has_connection = True  # that of the recording
        attempt.pool = door.pools.number_of(real)
        connections, carrier = door.pools.connections_of(real, url), real if is_over_aiohttp(real) else None
        replay = ReplayTransport(serving.playback, library, attempt, connections, carrier=carrier)
        recorded = serving.playback.recorded.response
        if recorded is None or recorded.encoding is None:
            return replay
        return CompressingTransport(replay, recorded, library, serving.playback.warn)
    if door.pools.is_full(real, url):
        attempt.has_queued = True
    # Outside in: the connection is opened, what passes is noted, the body is changed, and the client's own sends it.
    carrier = RewritingTransport(real, serving.request, library) if serving.is_changed else real
    observed = ObservedTransport(carrier, attempt, library)
    return observed if serving.warmup is None else serving.warmup.ahead_of(observed, attempt, real, library)


def head_of(raw: Any) -> Request:
    """Return the library's request as a plain value, without its body."""
    return Request(raw.method, str(raw.url), _headers_of(raw))


def _headers_of(raw: Any) -> Headers:
    """Return what `headers.multi_items()` does, which asks for the encoding at each name and value."""
    encoding = raw.headers.encoding
    return tuple([(name.lower().decode(encoding), value.decode(encoding)) for name, value in raw.headers.raw])


def as_request(raw: Any) -> Request:
    """Return the library's request as a plain value. Its body must have been read."""
    return Request(raw.method, str(raw.url), _headers_of(raw), canonical(raw.content))


def passage_of(raw: Any, attempt: Attempt | None) -> Passage:
    """Return the block in which the request is sent; `attempt` notes it if it is Claude's."""
    return Passage(*_destination(raw), attempt)


def _destination(raw: Any) -> Destination:
    url = raw.url
    return url.raw_host.decode("ascii"), url.port or _PORTS.get(url.scheme, 0)


class _View:
    """A client whose transport is chosen here; all else is the client's own."""

    def __init__(self, client: Any, transport: Transport) -> None:
        self._client = client
        # The client asks here for each URL, whatever its transport is: httpcore's, the SDK's aiohttp one or its own.
        self._transport_for_url = lambda url: transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


class _Below:
    """A transport of the library, without what a subclass of the program's does around it."""

    def __init__(self, transport: Any, handle: Callable[..., Any]) -> None:
        self._transport = transport
        self.handle_request = self.handle_async_request = functools.partial(handle, transport)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@final
class _Meeting:
    """A request that a door met while a measurement is under way, from before its body is read until it is answered.

    It is met at a client, or else at one of the library's transports that something of the program's own calls.
    """

    def __init__(self, door: HTTPXDoor, responder: Responder, raw: Any, *, is_at_client: bool) -> None:
        self._door = door
        self._responder = responder
        self._raw = raw
        self._is_at_client = is_at_client
        self._around = AROUND.get()
        self._head = head_of(raw)
        self._is_claudes = door.recognition.by_head(self._head)
        self._passage: Passage | None = None

    @property
    def needs_body(self) -> bool:
        """Whether the body, which may be an iterator, has to be read first: to recognise or to answer the request."""
        return self._is_claudes is not False or self._around is not None

    def client(self, client: Any) -> Any:
        """Return the client through which the request is to be sent: its own, or a view of it with what answers."""
        real = client._transport_for_url(self._raw.url)
        transport = self.transport(real)
        return client if transport is real else _View(client, transport)

    def transport(self, real: Any) -> Any:
        """Return the transport that answers the request: `real`, or what answers or observes in its place."""
        # The library reads the headers anew each time that somebody asks, which costs more than all else here.
        sent = replace(self._head, content=canonical(self._raw.content)) if self.needs_body else None
        around = self._around
        # What a program's transport sends on for Claude's request is Claude's, whatever it changed of it.
        is_claudes = sent is not None and (
            (around is not None and around.carries(sent)) or self._is_claudes or self._door.recognition.is_claudes(sent)
        )
        request = sent if is_claudes else None
        if self._door.library.is_stand_in(real):
            if request is not None:
                self._responder.note_stand_in(request)
            return real  # a program that brings its own server is answered by it
        if request is None:
            note_let_pass(*_destination(self._raw))
            self._let_pass(None)
            return real
        if self._is_at_client and self._door.meets_below(real):
            return ProgramsTransport(real, request, self._serve, replays=self._responder.replays)
        return self._serve(real, request)

    def __enter__(self) -> None:
        """Begin: a request that is sent is on its way until the end of the block."""

    def __exit__(self, *error: object) -> None:
        if self._passage is not None:
            self._passage.__exit__(*error)

    def _serve(self, real: Any, sent: Request | None = None) -> Transport:
        """Return what answers the request, or observes it on its way through `real`.

        `sent` is the request, where no transport of the program's can have changed it.
        """
        request = as_request(self._raw) if sent is None else sent
        if self._around is not None:
            self._around.is_met = True
            request = replace(request, invocation=self._around.mark)
        serving = self._responder.answer(request, self._door)
        if serving.playback is None:  # otherwise nothing is sent, so no inner door is asked
            self._let_pass(serving.attempt)
        return transport_of(serving, real, self._raw.url, self._door)

    def _let_pass(self, attempt: Attempt | None) -> None:
        self._passage = passage_of(self._raw, attempt)
        self._passage.__enter__()


class _ClientMocker(Mocker):
    """A respx mocker for one HTTP library. What respx calls its routers are here the doors of that library."""

    target_methods: ClassVar[list[str]] = ["_send_single_request", "handle_request", "handle_async_request"]
    routers: ClassVar[list[HTTPXDoor]]  # type: ignore[assignment]
    own: ClassVar[list[Callable[..., Any]]] = []
    """The functions that took the place of the library's."""

    @classmethod
    def mock(cls, spec: Callable[..., Any]) -> Callable[..., Any]:
        """Return what takes the place of `spec`: a method of a client, or of one of the library's transports.

        It calls `spec` with a view of the client, so all that the client does around its transport still happens. What
        a client sends through a transport was met at the client, unless something of the program's own lies in between.
        """
        is_at_client = spec.__name__ == "_send_single_request"
        # What a monitor has put in the place of the method (Datadog, OpenTelemetry) may not be a function: it has to be
        # bound as a method is, to know which argument is the owner.
        send: Callable[..., Any] = (
            spec if type(spec) is FunctionType else lambda owner, raw: spec.__get__(owner, type(owner))(raw)
        )

        async def meet_async(owner: Any, request: Any) -> Any:
            meeting = cls.meeting(request, is_at_client=is_at_client)
            if meeting is None:
                return await send(owner, request)
            # An iterator can be read once: the library, too, sends what was read here.
            if meeting.needs_body:
                await request.aread()
            with meeting:
                if is_at_client:
                    return await send(meeting.client(owner), request)
                return await meeting.transport(_Below(owner, send)).handle_async_request(request)

        def meet(owner: Any, request: Any) -> Any:
            meeting = cls.meeting(request, is_at_client=is_at_client)
            if meeting is None:
                return send(owner, request)
            if meeting.needs_body:
                request.read()
            with meeting:
                if is_at_client:
                    return send(meeting.client(owner), request)
                return meeting.transport(_Below(owner, send)).handle_request(request)

        function = meet_async if inspect.iscoroutinefunction(spec) else meet
        cls.own.append(function)
        return function

    @classmethod
    def meeting(cls, raw: Any, *, is_at_client: bool = True) -> _Meeting | _Proof | None:
        """Return how a door meets the request; `None` if none has a responder now, or an outer door has met it."""
        # The probe names its door: of two interceptions in one process, each proves its own and none answers for both.
        if (probing := raw.extensions.get(_PROBE)) is not None:
            return _Proof(probing) if probing in cls.routers else None
        for door in cls.routers:
            responder = door.responder()
            if responder is not None:
                is_met = is_inside_another(*_destination(raw))
                return None if is_met else _Meeting(door, responder, raw, is_at_client=is_at_client)
        return None


@final
class _Proof:
    """The meeting of a probe: it is answered at once."""

    needs_body: ClassVar[bool] = False

    def __init__(self, door: HTTPXDoor) -> None:
        self._door = door

    def client(self, client: Any) -> Any:
        """Return a view of the client that answers."""
        return _View(client, self.transport(None))

    def transport(self, real: Any) -> Any:
        """Return what answers."""
        return self._door.replying(_INTERCEPTED)

    def __enter__(self) -> None:
        """Begin: nothing is sent."""

    def __exit__(self, *error: object) -> None:
        """End: nothing was sent."""


def _mocker(library: str) -> type[Mocker]:
    """Return the mocker for one library. It is made once, since respx keeps one register of names for the process."""
    name = f"claude-latency-{library}"
    if name not in Mocker.registry:
        # The colon says where the module's name ends. With a dot, `mock` would first look for a module of the class's
        # name, in all folders from which modules come, for each method that is patched.
        kinds = ("._client:Client", "._client:AsyncClient", ":HTTPTransport", ":AsyncHTTPTransport")
        targets = [f"{library}{kind}" for kind in kinds]
        type(f"{library.title()}Mocker", (_ClientMocker,), {"name": name, "targets": targets})
    return Mocker.registry[name]


@final
class HTTPXDoor:
    """Where the requests of `httpx` or `httpx2` are met after `install`.

    Starting and stopping it around each test would not do: respx does not patch a method that is already mocked, and a
    user's longer-lived router that starts inside ours would leave our wrapper on the class.
    """

    def __init__(self, responder: Responders, recognition: Recognition, library: HTTPLibrary) -> None:
        self.responder = responder
        self.recognition = recognition
        self.library = library
        self.name = library.name
        self.pools = Pools(library)
        self._mocker: Any = _mocker(library.name)
        self._proven: list[Any] = []
        self._bystanders = [
            mock.patch.object(Mocker, "handler", classmethod(_asked_if_it_covers(Mocker.handler))),
            mock.patch.object(Mocker, "async_handler", classmethod(_asked_if_it_covers(Mocker.async_handler))),
        ]

    def install(self) -> None:
        """Patch the library's clients, unless a door of the same kind already did."""
        self._mocker.register(self)
        self._mocker.start()
        for patch in self._bystanders:
            patch.start()

    def uninstall(self) -> None:
        """Withdraw the door. The clients are restored when no door of this kind is left."""
        for patch in self._bystanders:
            patch.stop()
        self._mocker.unregister(self)
        self._mocker.stop()

    def forget(self) -> None:
        """Drop what is known of connections in use: a past test may have left answers unread."""
        self.pools.forget()

    def meets_below(self, transport: Any) -> bool:
        """Return whether a transport of the program's own ends, as far as can be seen, at one that is met here."""
        kinds = (self.library.module.HTTPTransport, self.library.module.AsyncHTTPTransport)
        if isinstance(transport, TryTransport):  # a user's router, above the transport of the client
            transport = transport.transports[-1]
        if not wraps_one(transport, kinds):
            return False
        # Another tool may have taken the patch away: then the whole transport is answered, as a stranger's is.
        methods = (kinds[0].handle_request, kinds[1].handle_async_request)
        return all(method in self._mocker.own for method in methods)

    def prove(self) -> None:
        """Make sure that interception is live.

        Requests are sent to find out. As long as nothing is replaced that they came through, that holds.

        Raises:
            InterceptionError: it is not; nothing has been sent.
        """
        now = self._path_of_requests()
        # By identity: what wraps a function often equals it.
        if len(now) != len(self._proven) or not all(map(operator.is_, now, self._proven)):
            if not self.is_live():
                raise InterceptionError(_NOT_LIVE.format(library=self.library.name))
            self._proven = now

    def decoded(self, headers: Headers, parts: Sequence[bytes]) -> list[bytes]:
        """Return each part of a body as the library let it be read on arrival."""
        return self.library.decoded(headers, parts)

    def client_of(self, request: Request) -> str:
        """Return the library that made the request, as its headers say; where they do not, the HTTP library."""
        return client_of(request) or f"{self.name} {self.library.version}"

    def is_live(self) -> bool:
        """Return whether a request made now, sync or async, would be met here: one is sent each way to find out."""
        module, extensions = self.library.module, {_PROBE: self}
        # Without the environment: its proxies and certificates cost time and may be wrong, and nothing is sent.
        with module.Client(transport=self.replying(_NOT_INTERCEPTED), trust_env=False) as client:
            answer = client.post(_PROBE_URL, extensions=extensions)

        async def probe() -> Any:
            async with module.AsyncClient(transport=self.replying(_NOT_INTERCEPTED), trust_env=False) as client:
                return await client.post(_PROBE_URL, extensions=extensions)

        coroutine = probe()
        try:
            coroutine.send(None)  # it never waits. No event loop is made, since one may be running already
        except StopIteration as done:
            return (answer.status_code, done.value.status_code) == (_INTERCEPTED, _INTERCEPTED)
        coroutine.close()
        raise RuntimeError(_WAITED)

    def _path_of_requests(self) -> list[Any]:
        """Return all that a request of the library comes through until it is met here."""
        clients = (self.library.module.Client, self.library.module.AsyncClient)
        kinds = [kind for owner in (*clients, self._mocker) for kind in owner.__mro__[:-1]]
        path: list[Any] = [*clients, self in self._mocker.routers]
        for kind in kinds:
            path += vars(kind).values()
        return path

    def replying(self, status: int) -> Any:
        """Return a transport that answers each request with this status."""
        return self.library.module.MockTransport(lambda request: self.library.module.Response(status))


def _asked_if_it_covers(handler: Any) -> Callable[..., Any]:
    """Return a respx handler that lets a measured request pass, unless a route of the user's covers it.

    A router stands at the transports. In a replay a measured request comes to it only above a transport of the
    program's own, and no mock is asked. In other modes the user's own mock is asked, but its guard against what it does
    not know must not stop the request: it is known here.
    """

    def handle(mocker: type[Mocker], request: Any) -> Any:
        passage, around = current_passage(), AROUND.get()
        if around is not None or (passage is not None and passage.attempt is not None):
            routes = [route for router in mocker.routers for route in router.routes]
            is_covered = any(route.pattern is None or route.pattern.match(request) for route in routes)
            if not is_covered or (around is not None and around.replays):
                raise PassThrough("a Claude call that is being measured", request=request, origin=None)  # type: ignore[arg-type]
        return handler.__func__(mocker, request)

    return handle

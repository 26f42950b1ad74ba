"""The door of `httpx` and `httpx2`: their requests are met by a respx mocker for each of the two.

respx alone does not see `httpx2`. The plugin patches `Client._send_single_request`. That method lies above the
transports (httpcore, aiohttp, custom ones) and above each place where a user's own respx router patches. So neither
takes requests from the other, whichever is started first. Each attempt, redirect and authentication step passes
through it exactly once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, final
from unittest import mock

import httpx
import respx
from respx.mocks import Mocker
from respx.models import AllMockedAssertionError, PassThrough

from pytest_claude_latency.errors import InterceptionError
from pytest_claude_latency.http.door import Passage, Responder, Serving
from pytest_claude_latency.http.library import HTTPLibrary, Transport
from pytest_claude_latency.http.observed_transport import ObservedTransport
from pytest_claude_latency.http.replay import ReplayTransport
from pytest_claude_latency.http.rewriting import RewritingTransport
from pytest_claude_latency.messages_api.clients import client_of
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.exchange import Headers, Request, canonical

_SERVICE = "claude_latency"
"""The key of two extensions: of a request shown to respx, the request itself; of respx's answer, what serves it."""

_PROBE_URL = "https://interception-probe.invalid/v1/messages"
_INTERCEPTED, _NOT_INTERCEPTED = 204, 500

_NOT_LIVE: Final = (
    "requests of Claude clients are not intercepted: something replaced `_send_single_request` of {library}'s clients "
    "after this plugin patched it; nothing was sent. Expected to find the plugin's own; look for a plugin, fixture or "
    "conftest that patches {library} and undo it before latency tests"
)
_PORTS = {"http": 80, "https": 443}
_WAITED: Final = "the interception probe was made to wait by something that wraps the HTTP client"


def transport_of(serving: Serving, real: Any, library: HTTPLibrary) -> Transport:
    """Return the transport that does what `serving` says; `real` is the client's own."""
    if serving.playback is not None:
        return ObservedTransport(ReplayTransport(serving.playback, library), serving.attempt, library)
    # Outside in: the connection is opened, what passes is noted, the body is changed, and the client's own sends it.
    carrier = RewritingTransport(real, serving.request, library) if serving.is_changed else real
    observed = ObservedTransport(carrier, serving.attempt, library)
    return observed if serving.warmup is None else serving.warmup.ahead_of(observed, serving.attempt, real, library)


def addressed_to_claude(request: Any) -> bool:
    """Return whether an HTTP request comes from a Claude client, by the headers that each SDK client sends.

    Clients of other clouds name no API version there, and a program may give a client a user agent of its own.
    """
    headers = request.headers
    if "anthropic-version" in headers:
        return True
    if "x-stainless-lang" not in headers:
        return False
    asks_for_message = is_prompt_call(Request(request.method, str(request.url)))
    return asks_for_message or "anthropic" in headers.get("user-agent", "").lower()


def as_request(raw: Any) -> Request:
    """Return the library's request as a plain value. Its body must have been read."""
    return Request(raw.method, str(raw.url), tuple(raw.headers.multi_items()), canonical(raw.content))


def _passage(raw: Any) -> Passage:
    url = raw.url
    return Passage(url.raw_host.decode("ascii"), url.port or _PORTS.get(url.scheme, 0))


class _View:
    """A client whose transport is chosen here; all else is the client's own."""

    def __init__(self, client: Any, transport: Transport) -> None:
        self._client = client
        # The client asks here for each URL, whatever its transport is: httpcore's, the SDK's aiohttp one or its own.
        self._transport_for_url = lambda url: transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


class _SDKMocker(Mocker):
    """A respx mocker for one HTTP library. Routers that are started with its name see requests of Claude clients."""

    target_methods: ClassVar[list[str]] = ["_send_single_request"]

    @classmethod
    def mock(cls, spec: Callable[..., Any]) -> Callable[..., Any]:
        """Return what takes the place of `spec`, the client's own `_send_single_request`.

        It calls `spec` with a view of the client, so all that the client does around its transport still happens.
        """
        if inspect.iscoroutinefunction(spec):

            async def send_async(client: Any, request: Any) -> Any:
                if addressed_to_claude(request):
                    await request.aread()  # what answers looks at the body, which may be an iterator
                    client = cls.served(client, request)
                with _passage(request):
                    return await spec(client, request)

            return send_async

        def send(client: Any, request: Any) -> Any:
            if addressed_to_claude(request):
                request.read()
                client = cls.served(client, request)
            with _passage(request):
                return spec(client, request)

        return send

    @classmethod
    def served(cls, client: Any, raw: Any) -> Any:
        """Return the client with the transport that a router's answer names; the client itself if no router answers.

        Routers and their answers are of httpx, whichever library the client uses: respx knows no other. So a router
        is shown a copy of the request, and the request itself travels along in an extension.
        """
        shown = httpx.Request(raw.method, str(raw.url), headers=raw.headers.raw, content=raw.content)
        shown.extensions[_SERVICE] = (raw, client._transport_for_url)
        for router in cls.routers:
            try:
                # A side effect has to return a response of httpx; the transport in it is of the client's library.
                transport: Transport = router.handler(shown).extensions[_SERVICE]
            except AllMockedAssertionError:
                continue  # this router let it pass; another of the same kind may answer
            return _View(client, transport)
        return client


def _mocker(library: str) -> type[Mocker]:
    """Return the mocker for one library. It is made once, since respx keeps one register of names for the process."""
    name = f"claude-latency-{library}"
    if name not in Mocker.registry:
        targets = [f"{library}._client.Client", f"{library}._client.AsyncClient"]
        type(f"{library.title()}Mocker", (_SDKMocker,), {"name": name, "targets": targets})
    return Mocker.registry[name]


@final
class HTTPXDoor:
    """The respx router through which each request of a Claude client passes after `install`.

    Starting and stopping it around each test would not do: respx does not patch a method that is already mocked, and a
    user's longer-lived router that starts inside ours would leave our wrapper on the class.
    """

    def __init__(self, responder: Callable[[], Responder | None], library: HTTPLibrary) -> None:
        self._responder = responder
        self.library = library
        self.name = library.name
        self._mocker = _mocker(self.library.name)
        self._router = respx.MockRouter(assert_all_called=False, using=self._mocker.name)
        self._route = self._router.route().mock(side_effect=self._answer)
        # A user's router sits below, at the transports. With these patches it lets our requests pass to the network
        # in a live run, where its guard against what it does not know would stop them.
        self._bystanders = [
            mock.patch.object(Mocker, "handler", classmethod(self._guarded(Mocker.handler))),
            mock.patch.object(Mocker, "async_handler", classmethod(self._guarded(Mocker.async_handler))),
        ]

    def install(self) -> None:
        """Patch the library's clients, unless a router of the same kind already did."""
        self._router.start()
        for patch in self._bystanders:
            patch.start()

    def uninstall(self) -> None:
        """Withdraw the router. The clients are restored when no router of this kind is left."""
        for patch in self._bystanders:
            patch.stop()
        self._router.stop()

    def forget(self) -> None:
        """Drop what respx noted of past requests, which holds their bodies."""
        self._router.calls.clear()
        for route in self._router.routes:
            route.calls.clear()

    def prove(self) -> None:
        """Make sure that interception is live.

        Raises:
            InterceptionError: it is not; nothing has been sent.
        """
        if not self.is_live():
            raise InterceptionError(_NOT_LIVE.format(library=self.library.name))

    def decoded(self, headers: Headers, parts: Sequence[bytes]) -> list[bytes]:
        """Return each part of a body as the library let it be read on arrival."""
        return self.library.decoded(headers, parts)

    def client_of(self, request: Request) -> str:
        """Return the library that made the request, as its headers say; where they do not, the HTTP library."""
        return client_of(request) or f"{self.library.name} {self.library.module.__version__}"

    def is_live(self) -> bool:
        """Return whether a request made now, sync or async, would be met here: one is sent each way to find out."""
        module = self.library.module
        headers = {"anthropic-version": "probe"}
        # Without the environment: its proxies and certificates cost time and may be wrong, and nothing is sent.
        with module.Client(transport=self._replying(_NOT_INTERCEPTED), trust_env=False) as client:
            answer = client.post(_PROBE_URL, headers=headers)

        async def probe() -> Any:
            async with module.AsyncClient(transport=self._replying(_NOT_INTERCEPTED), trust_env=False) as client:
                return await client.post(_PROBE_URL, headers=headers)

        async_answer = _result_of(probe())
        return (answer.status_code, async_answer.status_code) == (_INTERCEPTED, _INTERCEPTED)

    def _answer(self, shown: httpx.Request) -> httpx.Response | None:
        """Answer a request that respx shows: with the transport that serves it, or with `None` to let it pass."""
        raw, transport_for_url = shown.extensions[_SERVICE]
        if str(shown.url) == _PROBE_URL:
            transport = self._replying(_INTERCEPTED)
        else:
            responder, real = self._responder(), transport_for_url(raw.url)
            if responder is None or self.library.is_stand_in(real):
                return None  # a program that brings its own server is answered by it
            transport = transport_of(responder.answer(as_request(raw), self), real, self.library)
        return httpx.Response(200, extensions={_SERVICE: transport})

    def _guarded(self, handler: Any) -> Callable[..., Any]:
        """Return a router's own handler, but for measured requests on their way to the network: they pass."""

        def handle(mocker: type[Mocker], request: httpx.Request) -> Any:
            if addressed_to_claude(request) and self._responder() is not None:
                # In a replay none comes here: it was answered above. In a live run a mock must not stand for the API.
                raise PassThrough("a Claude call that is being measured", request=request, origin=self._route)
            return handler.__func__(mocker, request)

        return handle

    def _replying(self, status: int) -> Any:
        return self.library.module.MockTransport(lambda request: self.library.module.Response(status))


def _result_of(coroutine: Any) -> Any:
    """Return the result of a coroutine that never waits. No event loop is made, since one may be running already."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise RuntimeError(_WAITED)

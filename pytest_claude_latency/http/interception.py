"""Where requests of the SDK are met: respx mockers for the HTTP library it uses.

respx alone does not see `httpx2`. The seam is `Client._send_single_request`: it
lies above the transports (httpcore, aiohttp, custom ones) and above every place
where a user's own respx router patches, so that neither takes requests from the
other in whichever order they start, and it sees each attempt, redirect and
authentication step exactly once.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Protocol, final
from unittest import mock

import httpx
import respx
from respx.mocks import Mocker
from respx.models import AllMockedAssertionError, PassThrough

from pytest_claude_latency.errors import InterceptionError
from pytest_claude_latency.http.library import HTTPLibrary, Transport
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.exchange import Request, canonical

_SERVICE = "claude_latency"
"""Key of the extensions by which a request shown to respx names its sender, and the answer who shall serve it."""

_PROBE_URL = "https://interception-probe.invalid/v1/messages"


class Responder(Protocol):
    """Who is asked what to do with a request while interception is active."""

    def transport_for(self, request: Request, real: Transport) -> Transport:
        """The transport that shall answer; `real` is the client's own.

        Raises:
            BaseException: the request must not be sent at all.
        """
        ...


def addressed_to_claude(request: Any) -> bool:
    """Whether an HTTP request comes from a Claude client, by the headers every SDK client sends.

    Clients of other clouds name no version there, and a program may give them a user agent of its own.
    """
    headers = request.headers
    if "anthropic-version" in headers:
        return True
    if "x-stainless-lang" not in headers:
        return False
    asks_for_message = is_prompt_call(Request(request.method, str(request.url)))
    return asks_for_message or "anthropic" in headers.get("user-agent", "").lower()


def as_request(raw: Any) -> Request:
    """The library's request as a plain value. Its body has been read."""
    return Request(raw.method, str(raw.url), tuple(raw.headers.multi_items()), canonical(raw.content))


class _View:
    """A client whose transport is chosen here; all else is the client's own."""

    def __init__(self, client: Any, transport: Transport) -> None:
        self._client = client
        self._transport_for_url = lambda url: transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


class _SDKMocker(Mocker):
    """A respx mocker for one HTTP library; routers started with its name see the requests of Claude clients."""

    target_methods: ClassVar[list[str]] = ["_send_single_request"]

    @classmethod
    def mock(cls, spec: Any) -> Any:
        return _async_send(cls, spec) if inspect.iscoroutinefunction(spec) else _sync_send(cls, spec)

    @classmethod
    def transport_for(cls, client: Any, raw: Any) -> Transport | None:
        """The transport the routers' answer names; None if no router answers."""
        shown = httpx.Request(raw.method, str(raw.url), headers=raw.headers.raw, content=raw.content)
        shown.extensions[_SERVICE] = (raw, client._transport_for_url)
        for router in cls.routers:
            try:
                transport: Transport = router.handler(shown).extensions[_SERVICE]
            except AllMockedAssertionError:
                continue
            return transport
        return None


def _sync_send(mocker: type[_SDKMocker], spec: Callable[..., Any]) -> Callable[..., Any]:
    def _send_single_request(self: Any, request: Any) -> Any:
        if not addressed_to_claude(request):
            return spec(self, request)
        request.read()
        transport = mocker.transport_for(self, request)
        return spec(self if transport is None else _View(self, transport), request)

    return _send_single_request


def _async_send(mocker: type[_SDKMocker], spec: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    async def _send_single_request(self: Any, request: Any) -> Any:
        if not addressed_to_claude(request):
            return await spec(self, request)
        await request.aread()
        transport = mocker.transport_for(self, request)
        return await spec(self if transport is None else _View(self, transport), request)

    return _send_single_request


def _mocker(library: str) -> type[Mocker]:
    """The mocker for one library. respx keeps one register of them for the process, so it is made once."""
    name = f"claude-latency-{library}"
    if name not in Mocker.registry:
        targets = [f"{library}._client.Client", f"{library}._client.AsyncClient"]
        type(f"{library.title()}Mocker", (_SDKMocker,), {"name": name, "targets": targets})
    return Mocker.registry[name]


@final
class Interception:
    """The respx router through which every request of a Claude client passes, once `start`ed.

    It is started once per run and stays; what becomes of a request is the
    current responder's affair. With no responder, requests go on untouched.
    """

    def __init__(self, responder: Callable[[], Responder | None]) -> None:
        self._responder = responder
        self.library = HTTPLibrary.of_sdk()
        self._mocker = _mocker(self.library.name)
        self._router = respx.MockRouter(assert_all_called=False, using=self._mocker.name)
        self._route = self._router.route().mock(side_effect=self._answer)
        self._bystanders = [
            mock.patch.object(Mocker, "handler", classmethod(self._guarded(Mocker.handler))),
            mock.patch.object(Mocker, "async_handler", classmethod(self._guarded(Mocker.async_handler))),
        ]

    def start(self) -> None:
        """Patch the library's clients, unless a router of the same kind already did."""
        self._router.start()
        for patch in self._bystanders:
            patch.start()

    def stop(self) -> None:
        """Withdraw the router; the clients are restored when no router of this kind is left."""
        for patch in self._bystanders:
            patch.stop()
        self._router.stop()

    def forget(self) -> None:
        """Drop what respx noted of past requests."""
        self._router.calls.clear()
        for route in self._router.routes:
            route.calls.clear()

    def _answer(self, shown: httpx.Request) -> httpx.Response | None:
        raw, real = shown.extensions[_SERVICE]
        probing = str(shown.url) == _PROBE_URL
        transport = self._replying(204) if probing else self._ask(raw, real(raw.url))
        if transport is None:
            return None
        return httpx.Response(200, extensions={_SERVICE: transport})

    def _guarded(self, handler: Any) -> Callable[..., Any]:
        """A router's own handler for all but our requests on their way to the network, which it lets pass."""

        def handle(mocker: type[Mocker], request: httpx.Request) -> Any:
            if addressed_to_claude(request) and self._responder() is not None:
                raise PassThrough("a Claude call that is being measured", request=request, origin=self._route)
            return handler.__func__(mocker, request)

        return handle

    def _ask(self, raw: Any, real: Any) -> Transport | None:
        responder = self._responder()
        if responder is None or self.library.is_stand_in(real):
            return None
        return responder.transport_for(as_request(raw), real)

    def _replying(self, status: int) -> Any:
        return self.library.module.MockTransport(lambda request: self.library.module.Response(status))

    def prove(self) -> None:
        """Make sure that interception is live.

        Raises:
            InterceptionError: it is not; nothing has been sent.
        """
        if not self.is_live():
            raise InterceptionError(
                f"requests of Claude clients are not intercepted: something replaced `_send_single_request` of "
                f"{self.library.name}'s clients after this plugin patched it; nothing was sent. Expected to find the "
                f"plugin's own; look for a plugin, fixture or conftest that patches {self.library.name} and undo it "
                f"before latency tests"
            )

    def is_live(self) -> bool:
        """Whether a request made now, sync or async, would be met here: proved by sending one each way."""
        module = self.library.module
        headers = {"anthropic-version": "probe"}
        with module.Client(transport=self._replying(500), trust_env=False) as client:  # 500: nobody intercepted
            sync_answer = client.post(_PROBE_URL, headers=headers)
        async_answer = _run(self._async_probe(headers))
        return (sync_answer.status_code, async_answer.status_code) == (204, 204)

    async def _async_probe(self, headers: dict[str, str]) -> Any:
        async with self.library.module.AsyncClient(transport=self._replying(500), trust_env=False) as client:
            return await client.post(_PROBE_URL, headers=headers)


def _run(coroutine: Any) -> Any:
    """The result of a coroutine that never waits, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise RuntimeError("the interception probe was made to wait by something that wraps the HTTP client")

"""Where requests of the SDK are met: the respx mockers for the HTTP stack it uses.

anthropic < 1 sends through `httpx`, later ones through `httpx2`, which respx
alone does not see. The seam is `Client._send_single_request`: it lies above the
transports (httpcore, aiohttp, custom ones) and above the place where a user's
own respx router patches, so that neither takes requests from the other in
whichever order they start, and it sees each attempt, redirect and
authentication step exactly once.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import cache
from types import ModuleType
from typing import Any, ClassVar, Protocol, final

import httpx
import respx
from respx.mocks import Mocker
from respx.models import AllMockedAssertionError

from pytest_claude_latency.errors import InterceptionError
from pytest_claude_latency.exchange import Headers, Request, canonical

_SERVICE = "claude_latency"
"""Key of the response extension by which a respx answer names the transport that paces it."""

_PROBE_URL = "https://interception-probe.invalid/v1/messages"


class Transport(Protocol):
    """What answers one request in place of the network: at the pace of a recording, or from the network, observed."""

    def handle_request(self, request: Any) -> Any:
        """Answer a sync client's request with a response of its library."""
        ...

    async def handle_async_request(self, request: Any) -> Any:
        """Answer an async client's request with a response of its library."""
        ...


class Desk(Protocol):
    """Who is asked what to do with a request while interception is active."""

    def transport_for(self, request: Request, real: Transport) -> Transport:
        """The transport that shall answer; `real` is the client's own.

        Raises:
            BaseException: the request must not be sent at all.
        """
        ...


@final
class Stack:
    """The HTTP library the installed SDK uses: `httpx` or `httpx2`."""

    def __init__(self, library: ModuleType) -> None:
        self.library = library
        self.name = library.__name__
        self._sync_body = type("SyncBody", (_SyncBody, library.SyncByteStream), {})
        self._async_body = type("AsyncBody", (_AsyncBody, library.AsyncByteStream), {})

    @classmethod
    def of_sdk(cls) -> Stack:
        """The stack of the installed `anthropic`, told by the library its default client derives from."""
        return _stack_of_sdk()

    def is_stand_in(self, transport: object) -> bool:
        """Whether a transport is a program's own stand-in for a server, which no request leaves."""
        library = self.library
        return isinstance(transport, library.MockTransport | library.ASGITransport | library.WSGITransport)

    def response(self, status: int, headers: Headers, stream: Any) -> Any:
        """A response of this library over a byte stream made by `sync_body` or `async_body`."""
        return self.library.Response(status, headers=list(headers), stream=stream)

    def sync_body(self, parts: Iterator[bytes], close: Callable[[], None]) -> Any:
        """A byte stream of this library that hands out `parts` and calls `close` when it is closed."""
        return self._sync_body(parts, close)

    def async_body(self, parts: AsyncIterator[bytes], close: Callable[[], Awaitable[None]]) -> Any:
        """The same for async clients."""
        return self._async_body(parts, close)

    def decoded(self, headers: Headers, parts: Sequence[bytes]) -> list[bytes]:
        """Each part of a body as its content encoding (gzip, deflate, br, zstd) let it be read when it arrived.

        A part that decompresses to nothing is empty. What follows bytes that cannot be decoded is left out.
        """
        pieces: list[bytes] = []

        def feed() -> Iterator[bytes]:
            for part in parts:
                pieces.append(b"")
                yield part

        response = self.library.Response(200, headers=list(headers), content=feed())
        try:
            for piece in response.iter_bytes():
                pieces[-1] += piece
        except self.library.DecodingError:
            pass  # the program met the same error in its own stream, where it is recorded
        return pieces

    def error(self, name: str, message: str, request: Any) -> Exception:
        """The library's own exception called `name`; its `TransportError` where it has none of that name."""
        kind = getattr(self.library, name, None)
        if isinstance(kind, type) and issubclass(kind, self.library.DecodingError):
            return kind(message, request=request)
        if not (isinstance(kind, type) and issubclass(kind, self.library.TransportError)):
            kind, message = self.library.TransportError, f"{name}: {message}"
        return kind(message, request=request)  # type: ignore[no-any-return]  # the library is chosen at run time

    def is_error(self, error: BaseException) -> bool:
        """Whether the error is one this library raises for a failed transfer."""
        return isinstance(error, self.library.TransportError | self.library.DecodingError)


@cache
def _stack_of_sdk() -> Stack:
    import anthropic

    packages = [base.__module__.partition(".")[0] for base in anthropic.DefaultHttpxClient.__mro__]
    return Stack(importlib.import_module(next(name for name in packages if name.startswith("httpx"))))


class _SyncBody:
    def __init__(self, parts: Iterator[bytes], close: Callable[[], None]) -> None:
        self._parts = parts
        self._close = close

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def close(self) -> None:
        self._close()


class _AsyncBody:
    def __init__(self, parts: AsyncIterator[bytes], close: Callable[[], Awaitable[None]]) -> None:
        self._parts = parts
        self._close = close

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._parts

    async def aclose(self) -> None:
        await self._close()


def addressed_to_claude(request: Any) -> bool:
    """Whether an HTTP request comes from a Claude client, by the headers every SDK client sends."""
    headers = request.headers
    if "anthropic-version" in headers:
        return True
    return "x-stainless-lang" in headers and "anthropic" in headers.get("user-agent", "").lower()


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
        try:
            answer: httpx.Response = cls.handler(shown)  # type: ignore[no-untyped-call]  # respx leaves it untyped
        except AllMockedAssertionError:
            return None
        transport: Transport | None = answer.extensions.get(_SERVICE)
        return transport


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
    current desk's affair. With no desk, requests go on untouched.
    """

    def __init__(self, desk: Callable[[], Desk | None]) -> None:
        self._desk = desk
        self.stack = Stack.of_sdk()
        self._mocker = _mocker(self.stack.name)
        self._router = respx.MockRouter(assert_all_called=False, using=self._mocker.name)
        self._router.route().mock(side_effect=self._answer)

    def start(self) -> None:
        """Patch the stack's clients, unless a router of the same kind already did."""
        self._router.start()

    def stop(self) -> None:
        """Withdraw the router; the clients are restored when no router of this kind is left."""
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

    def _ask(self, raw: Any, real: Any) -> Transport | None:
        desk = self._desk()
        if desk is None or self.stack.is_stand_in(real):
            return None
        return desk.transport_for(as_request(raw), real)

    def _replying(self, status: int) -> Any:
        return self.stack.library.MockTransport(lambda request: self.stack.library.Response(status))

    def prove(self) -> None:
        """Make sure that interception is live.

        Raises:
            InterceptionError: it is not; nothing has been sent.
        """
        if not self.is_live():
            raise InterceptionError(
                f"requests of Claude clients are not intercepted: something replaced `_send_single_request` of "
                f"{self.stack.name}'s clients after this plugin patched it; nothing was sent. Expected to find the "
                f"plugin's own; look for a plugin, fixture or conftest that patches {self.stack.name} and undo it "
                f"before latency tests"
            )

    def is_live(self) -> bool:
        """Whether a request made now, sync or async, would be met here: proved by sending one each way."""
        library = self.stack.library
        headers = {"anthropic-version": "probe"}
        with library.Client(transport=self._replying(500), trust_env=False) as client:  # 500: nobody intercepted
            sync_answer = client.post(_PROBE_URL, headers=headers)
        async_answer = _run(self._async_probe(headers))
        return (sync_answer.status_code, async_answer.status_code) == (204, 204)

    async def _async_probe(self, headers: dict[str, str]) -> Any:
        async with self.stack.library.AsyncClient(transport=self._replying(500), trust_env=False) as client:
            return await client.post(_PROBE_URL, headers=headers)


def _run(coroutine: Any) -> Any:
    """The result of a coroutine that never waits, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise RuntimeError("the interception probe was made to wait by something that wraps the HTTP client")

"""The HTTP library the installed SDK sends with, and what answers in its place.

anthropic < 1 uses `httpx`, later ones `httpx2`, which accepts no objects of the
former. Everything that has to be of the right library is made here.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import cache
from types import ModuleType
from typing import Any, Protocol, final

from pytest_claude_latency.messages_api.exchange import Headers


class Transport(Protocol):
    """What answers one request in place of the network: at the pace of a recording, or from the network, observed."""

    def handle_request(self, request: Any) -> Any:
        """Answer a sync client's request with a response of its library."""
        ...

    async def handle_async_request(self, request: Any) -> Any:
        """Answer an async client's request with a response of its library."""
        ...


@final
class HTTPLibrary:
    """The HTTP library the installed SDK uses: `httpx` or `httpx2`."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.name = module.__name__
        self._sync_body = type("SyncBody", (_SyncBody, module.SyncByteStream), {})
        self._async_body = type("AsyncBody", (_AsyncBody, module.AsyncByteStream), {})

    @classmethod
    def of_sdk(cls) -> HTTPLibrary:
        """The library of the installed `anthropic`, told by the library its default client derives from."""
        return _library_of_sdk()

    def client(self) -> Any:
        """A sync client as the SDK makes them: its time-outs, the environment's proxies and certificates."""
        import anthropic

        return anthropic.DefaultHttpxClient()

    def is_stand_in(self, transport: object) -> bool:
        """Whether a transport is a program's own stand-in for a server, which no request leaves."""
        module = self.module
        return isinstance(transport, module.MockTransport | module.ASGITransport | module.WSGITransport)

    def opens_connection(self, transport: object, url: Any) -> bool:
        """Whether a request sent now would have to open a connection.

        False, too, where that cannot be told: the transport has no pool of this library's.
        """
        open_ones = getattr(getattr(transport, "_pool", None), "connections", None)
        if open_ones is None or not isinstance(transport, self.module.HTTPTransport | self.module.AsyncHTTPTransport):
            return False
        core = importlib.import_module(self.name.replace("httpx", "httpcore"))
        origin = core.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path).origin
        return not any(
            each.can_handle_request(origin) and each.is_available() and not each.has_expired() for each in open_ones
        )

    def response(self, status: int, headers: Headers, stream: Any) -> Any:
        """A response of this library over a byte stream made by `sync_body` or `async_body`."""
        return self.module.Response(status, headers=list(headers), stream=stream)

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

        response = self.module.Response(200, headers=list(headers), content=feed())
        try:
            for piece in response.iter_bytes():
                pieces[-1] += piece
        except self.module.DecodingError:
            pass  # the program met the same error in its own stream, where it is recorded
        return pieces

    def error(self, name: str, message: str, request: Any) -> Exception:
        """The library's own exception called `name`; its `TransportError` where it has none of that name."""
        kind = getattr(self.module, name, None)
        if not (isinstance(kind, type) and issubclass(kind, self.module.TransportError | self.module.DecodingError)):
            kind, message = self.module.TransportError, f"{name}: {message}"
        error: Exception = kind(message, request=request)
        return error


@cache
def _library_of_sdk() -> HTTPLibrary:
    import anthropic

    packages = [base.__module__.partition(".")[0] for base in anthropic.DefaultHttpxClient.__mro__]
    return HTTPLibrary(importlib.import_module(next(name for name in packages if name.startswith("httpx"))))


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

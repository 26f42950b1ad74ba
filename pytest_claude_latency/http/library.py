"""The HTTP library that a client sends with, `httpx` or `httpx2`, and all objects that must be of that library.

anthropic < 1 uses `httpx`; later versions use `httpx2`. Neither accepts objects of the other.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, Final, Protocol, final

from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.messages_api.exchange import Headers

_MOST_STREAMS: Final = 100
"""How many requests httpcore sends at a time on one HTTP/2 connection, if the server allows as many."""


_MOST_DECODED: Final = 100_000_000
_MOST_GROWTH: Final = 100
"""An answer of the API may be larger, but then its compressed bytes are many too; text seldom shrinks to a tenth."""
_BITE: Final = 64
"""How many compressed bytes are decoded at once: Brotli makes 16 MB of ten bytes."""


class UndecodableError(LatencyError):
    """An answer is not in the encoding that it names, or decompresses to so much that it was made to fill the memory.

    `readable` are its parts up to there.
    """

    def __init__(self, problem: str, readable: Sequence[bytes] = ()) -> None:
        super().__init__(problem)
        self.readable = readable


@final
@dataclass(frozen=True, slots=True)
class Limit:
    """How many requests may be under way at a time."""

    pool: object
    """The pool or connector whose limit it is."""
    most: int
    server: tuple[object, ...] | None = None
    """Over HTTP/2 the server: all requests to it are streams of one connection. No pool time-out runs for them."""


class Transport(Protocol):
    """What answers a request: a recording at its recorded pace, or the network while it is observed."""

    def handle_request(self, request: Any) -> Any:
        """Answer a sync client's request with a response of its library."""
        ...

    async def handle_async_request(self, request: Any) -> Any:
        """Answer an async client's request with a response of its library."""
        ...


@final
class HTTPLibrary:
    """A library of the httpx family: `httpx` or `httpx2`."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.name = module.__name__
        # The library checks the class of a response's stream, and a class can only derive from a library known by now.
        self._sync_body = type("SyncBody", (_SyncBody, module.SyncByteStream), {})
        self._async_body = type("AsyncBody", (_AsyncBody, module.AsyncByteStream), {})

    @staticmethod
    @cache
    def of(module: ModuleType) -> HTTPLibrary:
        """Return the library of a module: `httpx` or `httpx2`."""
        return HTTPLibrary(module)

    @staticmethod
    @cache
    def of_sdk() -> HTTPLibrary:
        """Return the library of the installed `anthropic`: the one that its default client derives from."""
        import anthropic

        # The class shows which it is, since both libraries may be installed side by side
        packages = [base.__module__.partition(".")[0] for base in anthropic.DefaultHttpxClient.__mro__]
        return HTTPLibrary.of(importlib.import_module(next(name for name in packages if name.startswith("httpx"))))

    def client(self) -> Any:
        """Return a sync client as the SDK makes them: with its time-outs and the environment's proxies."""
        import anthropic

        return anthropic.DefaultHttpxClient()

    def is_stand_in(self, transport: object) -> bool:
        """Return whether a transport is a program's own stand-in for a server, which no request leaves."""
        module = self.module
        return isinstance(transport, module.MockTransport | module.ASGITransport | module.WSGITransport)

    async def closing(self) -> None:
        """Take the turn of the event loop that closing an answer takes: httpx waits for a lock there, and httpx2 not.

        What else the loop has to do runs before the program has its answer, such as a timer that was due with it.
        """
        if self.name == "httpx":
            from anyio.lowlevel import cancel_shielded_checkpoint  # httpx needs anyio for its own lock

            await cancel_shielded_checkpoint()

    @property
    def version(self) -> str:
        """The library's own version."""
        return str(self.module.__version__)

    def is_failure_of_the_wire(self, error: BaseException) -> bool:
        """Return whether an error tells of a connection that was used, or should have been opened."""
        # Both are raised before a connection is asked for, so the lack of one proves nothing.
        before = (self.module.PoolTimeout, self.module.UnsupportedProtocol)
        return isinstance(error, self.module.TransportError) and not isinstance(error, before)

    def pool_of(self, transport: object) -> Any:
        """Return the pool of a transport of this library; `None` if it has none that can be asked."""
        pool = getattr(transport, "_pool", None)
        # The library loads its core library as late as it can, which is when it makes a pool.
        core = sys.modules.get(self.name.replace("httpx", "httpcore"))
        is_known = core is not None and isinstance(pool, core.ConnectionPool | core.AsyncConnectionPool)
        return pool if is_known else None

    def opens_connection(self, transport: object, url: Any) -> bool:
        """Return whether a request sent now would have to open a connection.

        False, too, where that cannot be seen, because the transport has no pool of this library.
        """
        pool = self.pool_of(transport)
        if pool is None:
            return False
        # The pool answers for its own kind of origin only. It is asked and not changed: nothing is reserved here.
        core = importlib.import_module(self.name.replace("httpx", "httpcore"))
        origin = core.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path).origin
        return not any(
            connection.can_handle_request(origin) and connection.is_available() and not connection.has_expired()
            for connection in pool.connections
        )

    def limit_of(self, transport: Any, url: Any) -> Limit | None:
        """Return how many requests a transport lets be under way; `None` if it has no limit.

        A transport over aiohttp has the limit of its connector, or says which one its connector will have.
        """
        pool = self.pool_of(transport)
        if pool is not None:
            # A recording does not say which protocol the server chose: it is taken for the one that the client prefers.
            if pool._http2 and (url.scheme == "https" or not pool._http1):
                return Limit(pool, _MOST_STREAMS, server=(url.scheme, url.host, url.port))
            return Limit(pool, int(pool._max_connections))
        if not is_over_aiohttp(transport):
            return None
        connector = getattr(getattr(transport, "client", None), "connector", None)
        limit = getattr(connector, "limit", None)
        if limit is None:
            connector, limit = transport, getattr(getattr(transport, "limits", None), "max_connections", None)
        return Limit(connector, limit) if isinstance(limit, int) and limit > 0 else None

    def response(self, status: int, headers: Headers, stream: Any) -> Any:
        """Return a response of this library over a byte stream made by `sync_body` or `async_body`."""
        return self.module.Response(status, headers=_as_bytes(headers), stream=stream)

    def sync_body(self, parts: Iterator[bytes], close: Callable[[], None]) -> Any:
        """Return a byte stream of this library that hands out `parts` and calls `close` when it is closed."""
        return self._sync_body(parts, close)

    def async_body(self, parts: AsyncIterator[bytes], close: Callable[[], Awaitable[None]]) -> Any:
        """Return the same for async clients."""
        return self._async_body(parts, close)

    def decoded(self, headers: Headers, parts: Sequence[bytes]) -> list[bytes]:
        """Return each part of a body as its content encoding (gzip, deflate, br, zstd) let it be read on arrival.

        A part that decompresses to nothing is empty.

        Raises:
            UndecodableError: it cannot be, or it is far larger than what so few bytes hold of any answer.
        """
        pieces: list[list[bytes]] = []
        left = most = max(_MOST_DECODED, _MOST_GROWTH * sum(map(len, parts)))

        def feed() -> Iterator[bytes]:
            for part in parts:
                pieces.append([])  # what the decoder yields until it asks for the next part came from this one
                # bit by bit: a decoder makes all that its input holds before anyone can stop it
                yield from (part[at : at + _BITE] for at in range(0, len(part), _BITE))

        response = self.module.Response(200, headers=_as_bytes(headers), content=feed())
        try:
            for piece in response.iter_bytes():
                pieces[-1].append(piece)
                left -= len(piece)
                if left < 0:
                    raise UndecodableError(f"it decompresses to more than {most // 1_000_000} MB")
        except self.module.DecodingError as error:
            pieces[-1].clear()  # it arrived, but its library threw away what it had read of it
            raise UndecodableError(str(error), [b"".join(piece) for piece in pieces]) from None
        return [b"".join(piece) for piece in pieces]

    def error(self, name: str, message: str, request: Any) -> Exception:
        """Return the library's own exception called `name`; its `TransportError` if it has none of that name.

        Programs catch the exceptions of the client library, and not those of the core library beneath it.
        """
        kind = getattr(self.module, name, None)
        # Recordings keep the names of httpx. A name of another library or version becomes part of the message.
        if not (isinstance(kind, type) and issubclass(kind, self.module.TransportError | self.module.DecodingError)):
            kind, message = self.module.TransportError, f"{name}: {message}"
        error: Exception = kind(message, request=request)
        return error


def _as_bytes(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return headers as a library takes any: it encodes text as ASCII, and reads bytes as ASCII, UTF-8 or Latin-1."""
    return [(name.encode("utf-8", "surrogatepass"), value.encode("utf-8", "surrogatepass")) for name, value in headers]


def is_over_aiohttp(transport: Any) -> bool:
    """Return whether a transport sends through aiohttp, as Anthropic's SDK and litellm have one."""
    return any("aiohttp" in base.__module__ for base in type(transport).__mro__)


def error_over_aiohttp(transport: Any, error: str, *, in_body: bool) -> str:
    """Return what such a transport calls an error of the wire. Each version has a table of its own for that."""
    import aiohttp

    lost = aiohttp.ClientPayloadError if in_body else aiohttp.ServerDisconnectedError
    broken = aiohttp.ClientPayloadError if in_body else aiohttp.ClientOSError
    raised = {
        "ConnectError": aiohttp.ClientConnectorError,
        "RemoteProtocolError": lost,
        "ReadError": broken,
        "WriteError": broken,
    }.get(error)
    modules = [sys.modules.get(base.__module__) for base in type(transport).__mro__]
    # Those that are known have one (`required_names`); a program's own transport has to call errors as httpx does.
    tables = (getattr(module, "AIOHTTP_EXC_MAP", {}) for module in modules)
    called: type | None = None
    for kind, name in next(filter(None, tables), {}).items():
        # As the transport itself goes through it: a later and narrower name counts more.
        if raised is not None and issubclass(raised, kind) and (called is None or issubclass(name, called)):
            called = name
    return error if called is None else called.__name__


def name_over_aiohttp(error: BaseException) -> str | None:
    """Return what a recording calls an error that is called a time-out by such a transport, and is none.

    `None`: it has its right name. httpx-aiohttp 0.1.9 says `ConnectTimeout` where a connection was refused. A recording
    with that name would let the program wait.
    """
    aiohttp, cause = sys.modules.get("aiohttp"), error.__cause__
    if aiohttp is None or "Timeout" not in type(error).__name__ or isinstance(cause, TimeoutError):
        return None
    names = {
        aiohttp.ClientConnectorError: "ConnectError",
        aiohttp.ServerDisconnectedError: "RemoteProtocolError",
        aiohttp.ClientOSError: "ReadError",
    }
    return next((name for kind, name in names.items() if isinstance(cause, kind)), None)


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

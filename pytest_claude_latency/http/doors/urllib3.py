"""The door of `urllib3`, 1.26 and 2: `boto3`, `requests` and Google's clients send through it.

A request is met in `HTTPConnectionPool.urlopen`, which each attempt passes once: urllib3 calls it again for a retry. In
a replay, a connection of our own stands in for the pool's in `_make_request` and plays the recorded answer on a socket.
So all that urllib3 does with an answer stays its own: `stream`, `read_chunked`, preloading, time-outs, errors.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import wraps
from http.client import HTTPException
from importlib.metadata import version
from itertools import count
from typing import Any, Final, final
from unittest import mock
from urllib.parse import urlsplit

from urllib3 import exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager

from pytest_claude_latency.errors import InterceptionError
from pytest_claude_latency.http.connection_warmup import ConnectionWarmup
from pytest_claude_latency.http.door import (
    Passage,
    Responders,
    Serving,
    is_inside_another,
    note_let_pass,
    reached_network,
)
from pytest_claude_latency.http.doors.urllib3_replay import NO_TUNNEL, PROBE, PROBE_HOST, StandIn, Unmet
from pytest_claude_latency.http.http1_wire import RecordedError, observed
from pytest_claude_latency.http.library import HTTPLibrary
from pytest_claude_latency.http.recorder import Attempt
from pytest_claude_latency.http.replay_script import ReplayScript, Timeouts
from pytest_claude_latency.messages_api.clients import client_of
from pytest_claude_latency.messages_api.exchange import Headers, Request, canonical, header
from pytest_claude_latency.messages_api.recognition import Recognition
from pytest_claude_latency.messages_api.retries import INVOCATION_HEADER
from pytest_claude_latency.virtual_time.clock import WallClock

_VERSION: Final = version("urllib3")
_PORTS: Final = {"http": 80, "https": 443}
_OF_THE_BODY: Final = frozenset({"content-length", "transfer-encoding"})  # they are set anew for another body
_NOT_LIVE: Final = (
    "requests of urllib3 are not intercepted: something replaced `urlopen` or `_make_request` of its connection pools, "
    "or `getresponse` of its connections, after this plugin patched them; nothing was sent. Look for a plugin, fixture "
    "or conftest that patches urllib3 and undo it before latency tests"
)


@dataclass(frozen=True, slots=True)
class _Service:
    """A request of one pool that is being served."""

    pool: Any
    serving: Serving
    script: ReplayScript | None
    """What answers it; `None` if it is sent."""


_SERVICE: ContextVar[_Service | None] = ContextVar("claude_latency_urllib3", default=None)
"""What happens to the request that `urlopen` is sending in this context."""

_INVOCATION: ContextVar[str | None] = ContextVar("claude_latency_urllib3_invocation", default=None)
"""The mark of the outermost `urlopen`, inside which its retries are made."""

_MARKS: Final = count(1)


@final
class URLLib3Door:
    """The patches through which each request of urllib3 passes after `install`."""

    name = "urllib3"

    def __init__(self, responder: Responders, recognition: Recognition) -> None:
        self._responder = responder
        self._recognition = recognition
        self._patches = ExitStack()
        self._probe: Serving | None = None

    def install(self) -> None:
        """Patch the pools and connections of urllib3."""
        for target, name, wrapper in (
            (PoolManager, "urlopen", _marked),
            (HTTPConnectionPool, "urlopen", self._urlopen),
            (HTTPConnectionPool, "_make_request", self._make_request),
            (HTTPSConnectionPool, "_prepare_proxy", self._prepare_proxy),
            # Both classes: the second one's method does not call the first one's.
            (HTTPConnection, "connect", _connect),
            (HTTPSConnection, "connect", _connect),
            (HTTPConnection, "getresponse", _getresponse),
        ):
            self._patches.enter_context(mock.patch.object(target, name, _wrapped(getattr(target, name), wrapper)))

    def uninstall(self) -> None:
        """Leave urllib3 as it was."""
        self._patches.close()

    def prove(self) -> None:
        """Make sure that requests are met: one is made that is answered here.

        Raises:
            InterceptionError: they are not; nothing has been sent.
        """
        attempt = Attempt(PROBE.recorded.request, WallClock(), 0, self.decoded)
        self._probe = Serving(attempt, attempt.request, False, PROBE, None)
        # A pool of its own: those of the program keep their connections and counts.
        pool = HTTPConnectionPool(PROBE_HOST)
        pool.ConnectionCls = Unmet
        try:
            with suppress(Unmet.Error):
                pool.urlopen("POST", "/", retries=False)
        finally:
            self._probe = None
        if attempt.exchange().response is None:
            raise InterceptionError(_NOT_LIVE)

    def forget(self) -> None:
        """Do nothing: no request is held."""

    def decoded(self, headers: Headers, parts: Sequence[bytes]) -> list[bytes]:
        """Return each part of a body as its content encoding let it be read on arrival."""
        return HTTPLibrary.of_sdk().decoded(headers, parts)

    def client_of(self, request: Request) -> str:
        """Return the library that made the request, as its headers say; where they do not, urllib3."""
        return client_of(request) or f"urllib3 {_VERSION}"

    # ── one attempt ──

    def _urlopen(  # noqa: PLR0917 # the first of urllib3's own arguments, which callers may give by position
        self,
        original: Any,
        pool: Any,
        method: str,
        url: str,
        body: Any = None,
        headers: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Send one attempt. The original calls this again for each retry."""
        if self._responder() is None and self._probe is None:
            return original(pool, method, url, body, headers, *args, **kwargs)
        with _invocation() as invocation:
            head = _head(pool, method, url, pool.headers if headers is None else headers, invocation)
            if not self._may_be_claudes(head):
                return original(pool, method, url, body, headers, *args, **kwargs)
            content = _content(body)
            body = None if body is None else content  # bytes in the place of an iterator or file, which has been read
            serving = self._serving(replace(head, content=canonical(content)))
            if serving is None:
                return original(pool, method, url, body, headers, *args, **kwargs)
            if serving.is_changed:
                body = serving.request.content
                headers = {name: value for name, value in serving.request.headers if name.lower() not in _OF_THE_BODY}
            # Only a pool that blocks lets a request wait; the others open one connection more.
            if pool.block and pool.pool is not None and pool.pool.empty():
                serving.attempt.has_queued = True
            with _served(pool, serving):
                return original(pool, method, url, body, headers, *args, **kwargs)

    def _may_be_claudes(self, head: Request) -> bool:
        """Return whether the body of a request has to be read, to recognise the request or to answer it."""
        host, port = _destination(head)
        if host == PROBE_HOST:
            return self._probe is not None
        if self._responder() is None or is_inside_another(host, port):
            return False
        return self._recognition.by_head(head) is not False

    def _serving(self, request: Request) -> Serving | None:
        """Return what happens to a request. `None` if it is none of Claude's."""
        if self._probe is not None and _destination(request)[0] == PROBE_HOST:
            return self._probe
        responder = self._responder()
        if responder is None or not self._recognition.is_claudes(request):
            return None
        return responder.answer(request, self)

    def _make_request(
        self, original: Any, pool: Any, conn: Any, method: str, url: str, *args: Any, **kwargs: Any
    ) -> Any:
        """Send the request on `conn`, or let the recorded answer come in its place."""
        service = _SERVICE.get()
        # The context may reach another pool, which has a request of its own to send.
        if service is None or service.pool is not pool:
            host, port = _destination(_head(pool, "", url, {}, ""))
            if self._responder() is not None and not is_inside_another(host, port):
                note_let_pass(host, port)
            with self._passage(pool, url):
                return original(pool, conn, method, url, *args, **kwargs)
        serving, carrier = service.serving, _stand_in(service, conn) or conn
        try:
            with self._passage(pool, url, serving.attempt):
                if service.script is None and getattr(conn, "sock", None) is not None:
                    serving.attempt.waited()
                if serving.warmup is not None:
                    _open_ahead(conn, serving, serving.warmup)
                return original(pool, carrier, method, url, *args, **kwargs)
        except BaseException as error:  # here, and not in `urlopen`, which waits and retries before it returns
            _finish(serving.attempt, error)
            if isinstance(error, exceptions.EmptyPoolError):
                pool._put_conn(conn)  # `urlopen` believes that it got none
            raise
        finally:
            if service.script is None:
                serving.attempt.answer_origin.judge()

    def _prepare_proxy(self, original: Any, pool: Any, conn: Any) -> Any:
        """Open a tunnel, unless a recording answers the request."""
        service = _SERVICE.get()
        if service is None or service.pool is not pool:
            with self._passage(pool, "/"):
                return original(pool, conn)
        try:
            if (stand_in := _stand_in(service, conn)) is not None:
                return stand_in.open_tunnel()
            with self._passage(pool, "/", service.serving.attempt):
                return original(pool, conn)
        except BaseException as error:  # here, as in `_make_request`
            _finish(service.serving.attempt, error)
            raise

    @contextmanager
    def _passage(self, pool: Any, url: str, attempt: Attempt | None = None) -> Iterator[None]:
        """Let inner doors and the guard know where a request goes that this door has met."""
        if self._responder() is None:
            yield
            return
        host, port = _destination(_head(pool, "", url, {}, ""))
        with nullcontext() if is_inside_another(host, port) else Passage(host, port, attempt):
            yield


def _marked(original: Any, manager: Any, *args: Any, **kwargs: Any) -> Any:
    """Send a request of a `PoolManager`, which follows redirects itself."""
    with _invocation():
        return original(manager, *args, **kwargs)


@contextmanager
def _invocation() -> Iterator[str]:
    """Yield the mark of the call whose attempts are made in this block."""
    if (outer := _INVOCATION.get()) is not None:
        yield outer
        return
    mark = f"urllib3-{next(_MARKS)}"
    token = _INVOCATION.set(mark)
    try:
        yield mark
    finally:
        _INVOCATION.reset(token)


@contextmanager
def _served(pool: Any, serving: Serving) -> Iterator[None]:
    """Let what the pool does in this block belong to `serving`."""
    script = None if serving.playback is None else serving.playback.script(Timeouts(), RecordedError)
    token = _SERVICE.set(_Service(pool, serving, script))
    try:
        yield
    except BaseException as error:  # for example, no connection of the pool was free
        _finish(serving.attempt, error)
        raise
    finally:
        _SERVICE.reset(token)


def _stand_in(service: _Service, conn: Any) -> StandIn | None:
    """Return what connects to the recorded answer in the place of `conn`; `None` if the request is sent."""
    serving = service.serving
    if service.script is None or serving.playback is None:
        return None
    # A tunnel and the request in it wait for one connection.
    if serving.attempt.has_queued:
        serving.attempt.has_queued = False
        serving.attempt.connected_as(service.script.postpone(serving.attempt.now()))
    return StandIn(service.pool, conn, serving.request, service.script, serving.playback)


def _connect(original: Any, conn: Any) -> Any:
    """Open a connection, and note how long that took."""
    service = _SERVICE.get()
    if service is None:
        return original(conn)
    service.serving.attempt.answer_origin.has_connection = True
    service.serving.attempt.connecting()
    result = original(conn)
    service.serving.attempt.connected()
    return result


def _getresponse(original: Any, conn: Any, *args: Any, **kwargs: Any) -> Any:
    """Read the head of an answer, and note what arrives from then on."""
    service = _SERVICE.get()
    if service is None:
        reached_network(conn.host, conn.port)  # it may carry the request of an outer door
        return original(conn, *args, **kwargs)
    kind = conn.response_class  # only now: botocore chooses it for each request
    conn.response_class = observed(kind, service.serving.attempt)
    try:
        return original(conn, *args, **kwargs)
    finally:
        conn.response_class = kind


def _open_ahead(conn: Any, serving: Serving, warmup: ConnectionWarmup) -> None:
    """Open the connection before the attempt begins. If it cannot be opened, the request meets the same error."""
    if getattr(conn, "sock", None) is not None:
        return
    ahead = Attempt(serving.request, WallClock(), 0, serving.attempt.decoded)
    token = _SERVICE.set(_Service(None, replace(serving, attempt=ahead), None))  # `_connect` notes in it
    try:
        with suppress(Exception):
            conn.connect()
    finally:
        _SERVICE.reset(token)
    warmup.note(ahead)
    serving.attempt.begin_now()


def _wrapped(original: Any, wrapper: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def wrapped(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return wrapper(original, self, *args, **kwargs)

    return wrapped


_NAMES: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (exceptions.NewConnectionError, "ConnectError"),  # first: in urllib3 1.26 it is a `ConnectTimeoutError`
    (exceptions.ConnectTimeoutError, "ConnectTimeout"),
    (exceptions.ReadTimeoutError, "ReadTimeout"),
    (TimeoutError, "ReadTimeout"),
    (exceptions.EmptyPoolError, "PoolTimeout"),
    (exceptions.SSLError, "ConnectError"),
    (ssl.SSLError, "ConnectError"),
    (exceptions.DecodeError, "DecodingError"),
    (HTTPException, "RemoteProtocolError"),  # before `OSError`: `RemoteDisconnected` is both
    (exceptions.ProtocolError, "RemoteProtocolError"),
    (OSError, "ReadError"),
)
"""What recordings call the errors of urllib3, by the names of httpx: the first that fits."""


def _finish(attempt: Attempt, error: BaseException) -> None:
    """Note the error that ended an attempt, by the name and with the text that it has for every client library."""
    if isinstance(error, exceptions.ProxyError):
        error = error.original_error  # what was wrong; a replay lets urllib3 make its own error of it again
    name = next((name for kind, name in _NAMES if isinstance(error, kind)), None)
    if isinstance(error, OSError) and str(error).startswith(NO_TUNNEL):
        name = "ProxyError"
    if isinstance(error, exceptions.HTTPError):
        # urllib3 wraps the error of the socket, and its own text names an object by its address.
        error = error.__cause__ or error.__context__ or error
    attempt.finish(error, called=name)


# ── requests, as plain values ──


def _head(pool: Any, method: str, url: str, headers: Any, invocation: str) -> Request:
    """Return a request without its body, which may be an iterator that only its reader may read."""
    if url.startswith("/"):
        host = f"[{pool.host}]" if ":" in pool.host else pool.host
        port = "" if pool.port in (None, _PORTS.get(pool.scheme)) else f":{pool.port}"
        url = f"{pool.scheme}://{host}{port}{url}"
    sent = tuple((_text(name), _text(value)) for name, value in headers.items())
    return Request(method, url, sent, invocation=header(sent, INVOCATION_HEADER) or invocation)


def _destination(request: Request) -> tuple[str, int]:
    parts = urlsplit(request.url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _content(body: Any) -> bytes:
    """Return a body as bytes, by the rules of urllib3. A file or iterator is read to its end."""
    match body:
        case None:
            return b""
        case str():
            return body.encode()
        case bytes() | bytearray() | memoryview():
            return bytes(body)
    if hasattr(body, "read"):
        return _content(body.read())
    return b"".join(_content(part) for part in body)

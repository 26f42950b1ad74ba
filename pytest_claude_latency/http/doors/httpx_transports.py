"""Transports of the program's own around those of httpx and httpx2: they run, and the wire is met below them.

A transport that retries, adds headers or limits the rate calls one of the library's own in the end. So each request
that it makes is recorded and replayed as an attempt, and what it does in between is done in a replay too. One that
calls none of the library's own is not known to end at a door: its answer is recorded and replayed as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar, Token
from itertools import count
from typing import Any, Final, final

from pytest_claude_latency.http.library import Transport
from pytest_claude_latency.messages_api.exchange import Request, header

AROUND: ContextVar[ProgramsTransport | None] = ContextVar("claude_latency_httpx_around", default=None)
"""The program's transport that handles a request of this context."""

_MARK: ContextVar[str | None] = ContextVar("claude_latency_httpx_invocation", default=None)
"""The mark of the latest call that was sent through a program's transport in this context."""

_NUMBERS: Final = count(1)
_DEEPEST = 4  # what objects hold may be a circle, or all of an application


@final
class ProgramsTransport:
    """A transport of the program's own, while it handles one request that is Claude's.

    `instead` returns what answers the request, or notes its answer, where the transport asked no other for it.
    """

    def __init__(self, real: Any, request: Request, instead: Callable[[Any], Transport], *, replays: bool) -> None:
        self._real = real
        self._request = request
        self._instead = instead
        self.replays = replays
        self.is_met = False
        """Whether a request that it makes came to a door."""
        mark = _MARK.get()
        # When the SDK makes a call again, it does so in the same context.
        if mark is None or header(request.headers, "x-stainless-retry-count") in {None, "0"}:
            mark = f"httpx-{next(_NUMBERS)}"
            _MARK.set(mark)
        self.mark = mark
        """What the attempts share that it makes, also those of the SDK's retries."""

    def carries(self, request: Request) -> bool:
        """Return whether a request that it makes is the one that it handles, however it changed it."""
        own = self._request
        return request.url == own.url or (request.method, request.content) == (own.method, own.content)

    def handle_request(self, request: Any) -> Any:
        """Answer a sync client's request."""
        with _Asked(self) as asked:
            asked.answer = self._real.handle_request(request)
        if self.is_met:
            return asked.answer
        # A cache, or a mock. In a replay recordings answer first.
        if self.replays:
            asked.answer.close()
        return self._instead(asked).handle_request(request)

    async def handle_async_request(self, request: Any) -> Any:
        """Answer an async client's request."""
        with _Asked(self) as asked:
            asked.answer = await self._real.handle_async_request(request)
        if self.is_met:
            return asked.answer
        if self.replays:
            await asked.answer.aclose()
        return await self._instead(asked).handle_async_request(request)


@final
class _Asked:
    """A block in which the program's transport handles a request, and then a transport whose answer is here.

    An error is the answer of one that asked no other transport: whoever notes the answer has to see it. Where a door
    met the request, it has noted the error; in a replay such a transport has failed, and that is the program's own.
    """

    def __init__(self, around: ProgramsTransport) -> None:
        self._around = around
        self._token: Token[ProgramsTransport | None] | None = None
        self.answer: Any = None

    def __enter__(self) -> _Asked:
        self._token = AROUND.set(self._around)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if self._token is not None:
            AROUND.reset(self._token)
        # A cancellation or Ctrl-C is nobody's answer: it has to go on up, wherever it comes from.
        if not isinstance(error, Exception) or self._around.is_met or self._around.replays:
            return False
        self.answer = error
        return True

    def handle_request(self, request: Any) -> Any:
        """Answer a sync client's request."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def handle_async_request(self, request: Any) -> Any:
        """Answer an async client's request."""
        return self.handle_request(request)


def wraps_one(transport: object, kinds: tuple[type, ...]) -> bool:
    """Return whether a transport of the program's own derives from one of `kinds` or holds one, directly or deeper.

    So does one that holds a client, which sends through its own.
    """
    return type(transport) not in kinds and any(
        isinstance(held, kinds) or hasattr(held, "_transport_for_url") for held in _held_by(transport, _DEEPEST)
    )


def _held_by(value: object, depth: int) -> Iterator[object]:
    """Yield an object and what its attributes hold, as far as these are transports, clients or collections of them."""
    yield value
    if not depth:
        return
    if isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, list | tuple):
        inner = list(value)
    else:
        # A class with slots may inherit from one without, so an object may have both.
        names = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        inner = [*getattr(value, "__dict__", {}).values(), *(getattr(value, name, None) for name in names)]
    for held in inner:
        is_transport = hasattr(held, "handle_request") or hasattr(held, "handle_async_request")
        if is_transport or isinstance(held, dict | list | tuple) or hasattr(held, "_transport_for_url"):
            yield from _held_by(held, depth - 1)

"""A recorded exchange, served to clients of httpx and httpx2: a sync and an async player of its script."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import chain
from typing import Any, final

from pytest_claude_latency.duration import Nanoseconds, nanoseconds
from pytest_claude_latency.http.library import HTTPLibrary
from pytest_claude_latency.http.replay_script import Playback, ReplayScript, Timeouts


@final
class ReplayTransport:
    """The transport that serves one recorded exchange to one request, at the recorded offsets."""

    def __init__(self, playback: Playback, library: HTTPLibrary) -> None:
        self._playback = playback
        self._waiter = playback.waiter
        self._library = library

    def handle_request(self, request: Any) -> Any:
        """Answer a sync client's request."""
        script = self._script(request)
        for instant in chain(script.connection(), script.headers()):
            self._waiter.sleep_until(instant)
        return self._response(script, self._library.sync_body(self._play(script), lambda: None))

    async def handle_async_request(self, request: Any) -> Any:
        """Answer an async client's request."""
        script = self._script(request, is_async=True)
        for instant in chain(script.connection(), script.headers()):
            await self._waiter.async_sleep_until(instant)
        return self._response(script, self._library.async_body(self._play_async(script), _nothing_to_close))

    def _script(self, request: Any, *, is_async: bool = False) -> ReplayScript:
        def error(name: str, message: str) -> Exception:
            return self._library.error(name, message, request)

        return self._playback.script(timeouts_of(request), error, is_async=is_async)

    def _response(self, script: ReplayScript, stream: Any) -> Any:
        return self._library.response(script.response.status, script.response.headers, stream)

    # The two players run once for each chunk.

    def _play(self, script: ReplayScript) -> Iterator[bytes]:
        now, wait = self._waiter.clock.now, self._waiter.sleep_until
        for due, data in script.body():
            if due > now():
                wait(due)
            if data is not None:
                yield data

    async def _play_async(self, script: ReplayScript) -> AsyncIterator[bytes]:
        now, wait = self._waiter.clock.now, self._waiter.async_sleep_until
        for due, data in script.body():
            if due > now():
                await wait(due)
            if data is not None:
                yield data


def timeouts_of(request: Any) -> Timeouts:
    """Return the limits that a request of httpx carries."""
    limits = request.extensions.get("timeout", {})

    def limit(kind: str) -> Nanoseconds | None:
        seconds = limits.get(kind)
        return None if seconds is None else nanoseconds(seconds)

    return Timeouts(limit("connect"), limit("read"), limit("write"), limit("pool"))


async def _nothing_to_close() -> None:
    """Close nothing: a replayed body holds no connection."""

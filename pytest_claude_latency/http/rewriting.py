"""Rewriting: a request goes out with another body, or other headers, than the program gave it.

Only what is sent changes. The program's own request, which it finds again at its response, stays as it is.
"""

from __future__ import annotations

from typing import Any, final

from pytest_claude_latency.http.library import HTTPLibrary, Transport
from pytest_claude_latency.messages_api.exchange import Request

_OF_THE_BODY = frozenset({"content-length", "transfer-encoding"})  # the library sets them anew for the other body


@final
class RewritingTransport:
    """A transport to which each request goes with the body and headers of `request`."""

    def __init__(self, inner: Transport, request: Request, library: HTTPLibrary) -> None:
        self._inner = inner
        self._request = request
        self._library = library

    def handle_request(self, request: Any) -> Any:
        """Answer a sync client's request."""
        return self._inner.handle_request(self._rewritten(request))

    async def handle_async_request(self, request: Any) -> Any:
        """Answer an async client's request."""
        return await self._inner.handle_async_request(self._rewritten(request))

    def _rewritten(self, request: Any) -> Any:
        own = request.headers.multi_items()
        # `raw` has the names as the program wrote them, and values in the bytes that it chose.
        raw = dict(zip(own, request.headers.raw, strict=True))
        headers = [
            raw.get((name, value), (name.encode("latin-1"), value.encode("latin-1")))
            for name, value in self._request.headers
            if name.lower() not in _OF_THE_BODY
        ]
        kind, content = self._library.module.Request, self._request.content
        return kind(request.method, request.url, headers=headers, content=content, extensions=request.extensions)

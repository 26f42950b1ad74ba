"""Rewriting: a request goes out with another body than the program gave it.

Only what is sent changes. The program's own request, which it finds again at its response, stays as it is.
"""

from __future__ import annotations

from typing import Any, final

from pytest_claude_latency.http.library import HTTPLibrary, Transport
from pytest_claude_latency.messages_api.exchange import Request

_OF_THE_BODY = frozenset({"content-length", "transfer-encoding"})  # the library sets them anew for the other body


@final
class RewritingTransport:
    """A transport to which each request goes with the body of `request`."""

    def __init__(self, inner: Transport, request: Request, library: HTTPLibrary) -> None:
        self._inner = inner
        self._content = request.content
        self._library = library

    def handle_request(self, request: Any) -> Any:
        """Answer a sync client's request."""
        return self._inner.handle_request(self._with_body(request))

    async def handle_async_request(self, request: Any) -> Any:
        """Answer an async client's request."""
        return await self._inner.handle_async_request(self._with_body(request))

    def _with_body(self, request: Any) -> Any:
        # `raw` has the names as the program wrote them, and the same name twice where it was given twice.
        headers = [
            (name, value) for name, value in request.headers.raw if name.decode("latin-1").lower() not in _OF_THE_BODY
        ]
        kind = self._library.module.Request
        return kind(request.method, request.url, headers=headers, content=self._content, extensions=request.extensions)

"""The body of a request of aiohttp (bytes, text, a form, a file or an iterator), and another in its place.

A request is compared with its recording as a whole, so its body is read before anything is sent. What can be read only
once is then sent from memory.
"""

from __future__ import annotations

from typing import Any, final

from aiohttp import ClientConnectionError, ClientOSError
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesPayload, Payload
from multidict import CIMultiDict

from pytest_claude_latency.messages_api.exchange import Request


async def read_body(req: Any) -> bytes:
    """Return the body of a request, which can still be sent afterwards."""
    body = req.body
    if not isinstance(body, Payload):
        return bytes(body)  # empty: everything else is a payload by now
    collected = _Collector()
    try:
        await body.write(collected)
        if hasattr(body, "close"):
            await body.close()
    except OSError as error:  # as aiohttp reports what fails while it sends a body
        raise ClientOSError(error.errno, f"Can not write request body for {req.url}") from error
    except Exception as error:
        raise ClientConnectionError(f"Failed to send bytes into the underlying connection: {error!r}") from error
    content = b"".join(collected.pieces)
    if not isinstance(body, BytesPayload):
        _set_body(req, content)
    return content


def rewrite(req: Any, request: Request) -> None:
    """Give a request of aiohttp the headers and the body of `request`."""
    headers, content = CIMultiDict(request.headers), request.content
    if headers != req.headers:
        req.headers.clear()
        req.headers.extend(headers)
    _set_body(req, content)
    if not req.compress:  # what is compressed is sent in chunks, as its length is not known
        req.chunked = None
        req.headers.popall("Transfer-Encoding", None)
        req.headers["Content-Length"] = str(len(content))


def _set_body(req: Any, content: bytes) -> None:
    # Not through aiohttp's own setter, which closes the old body and sets headers anew.
    setattr(req, "_body" if hasattr(req, "_body") else "body", _Content(content))


class _Content(BytesPayload):
    """Bytes as a body, without a warning that they are many: it was not the program that chose this form."""

    def __init__(self, content: bytes) -> None:
        Payload.__init__(self, content)
        self._size = len(content)


@final
class _Collector(AbstractStreamWriter):
    """A writer that keeps what is written."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    async def write(self, chunk: Any) -> None:
        self.pieces.append(bytes(chunk))

    async def write_eof(self, chunk: bytes = b"") -> None:
        self.pieces.append(bytes(chunk))

    async def drain(self) -> None:
        """Wait for nothing: memory takes everything at once."""

    def enable_compression(self, *args: Any, **more: Any) -> None:
        """Compress nothing: aiohttp compresses while it sends."""

    def enable_chunking(self) -> None:
        """Keep the body as it is: aiohttp frames it while it sends."""

    async def write_headers(self, *args: Any, **more: Any) -> None:
        """Keep no headers: they are the request's."""

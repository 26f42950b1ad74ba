"""The compression of a replayed answer: a program may ask for the bytes of the wire and decompress them itself.

A recording holds what was decompressed, and how it had been compressed. What a client library reads is compressed
again, chunk by chunk, if the program's request accepts that. The bytes are not those of the API, but hold the same.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Final, final

from pytest_claude_latency.http.library import HTTPLibrary, Transport
from pytest_claude_latency.messages_api.exchange import Response

_WINDOWS: Final = {"gzip": zlib.MAX_WBITS + 16, "x-gzip": zlib.MAX_WBITS + 16, "deflate": zlib.MAX_WBITS}
"""What Python itself can do."""

_LIBRARIES: Final = {"br": "brotli or brotlicffi", "zstd": "zstandard or backports.zstd"}
_NOT_INSTALLED: Final = (
    "an answer that was compressed with {encoding} when it was recorded arrives decompressed, without a "
    "content-encoding, since nothing is installed that compresses it again ({libraries})"
)


@final
class Compression:
    """One answer on its way: the header that tells of its encoding, and its bytes.

    `accepted` names the encodings that the request accepts. `warn` is told where this process cannot make one of them.
    """

    def __init__(self, response: Response, accepted: str | None, warn: Callable[[str], None]) -> None:
        named = {name.partition(";")[0].strip().lower() for name in (accepted or "").split(",")}
        recorded, encoder = response.encoding, None
        if recorded is not None and named & {recorded, "*"}:
            encoder = _encoder_of(recorded)
            # Who accepts anything with "*" has not asked for this one, and misses nothing.
            if encoder is None and recorded in named:
                warn(_NOT_INSTALLED.format(encoding=recorded, libraries=_LIBRARIES.get(recorded, "none is known")))
        self._encode, self._finish = encoder or (bytes, bytes)  # of bytes, `bytes` returns them as they are
        self.encoding = None if encoder is None else recorded
        """How the body travels; `None` if it is not compressed."""
        self.headers = [] if encoder is None else [f"content-encoding: {recorded}"]
        """The lines of the head that it needs."""

    def chunk(self, data: bytes) -> bytes:
        """Return the bytes of the wire that hold a chunk, all of it."""
        return self._encode(data) if data else data

    def end(self) -> bytes:
        """Return the bytes of the wire behind the last chunk."""
        return self._finish()

    def body(self, stream: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the bytes of the wire for all chunks of a body."""
        yield from map(self.chunk, stream)
        yield self.end()

    async def async_body(self, stream: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """Yield the same for an async client."""
        async for data in stream:
            yield self.chunk(data)
        yield self.end()


@final
class CompressingTransport:
    """A transport of httpx or httpx2 whose answers travel as `recorded` did.

    It is above the one that notes what passes: what was recorded is what is measured, and costs no decompression.
    """

    def __init__(self, inner: Transport, recorded: Response, library: HTTPLibrary, warn: Callable[[str], None]) -> None:
        self._inner = inner
        self._recorded = recorded
        self._library = library
        self._warn = warn

    def handle_request(self, request: Any) -> Any:
        """Answer a sync client's request."""
        response = self._inner.handle_request(request)
        compression = self._begun(request, response)
        if compression is not None:
            stream = response.stream
            response.stream = self._library.sync_body(compression.body(stream), stream.close)
        return response

    async def handle_async_request(self, request: Any) -> Any:
        """Answer an async client's request."""
        response = await self._inner.handle_async_request(request)
        compression = self._begun(request, response)
        if compression is not None:
            stream = response.stream
            response.stream = self._library.async_body(compression.async_body(stream), stream.aclose)
        return response

    def _begun(self, request: Any, response: Any) -> Compression | None:
        compression = Compression(self._recorded, request.headers.get("accept-encoding"), self._warn)
        if compression.encoding is None:
            return None
        response.headers["content-encoding"] = compression.encoding
        return compression


# ── encoders: what compresses a chunk so that all of it can be read at once, and what ends the body ──


def _encoder_of(encoding: str) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]] | None:
    """Return an encoder; `None` where the library is not installed without which nobody can decompress it either."""
    if encoding in _WINDOWS:
        # The least effort, here and below: no network is spared anything, and each chunk has to be compressed.
        deflate = zlib.compressobj(level=1, wbits=_WINDOWS[encoding])
        # Without the flush, the end of a chunk would arrive with the next one, and too late.
        return lambda data: deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH), deflate.flush
    for name, make in _OTHERS.get(encoding, ()):
        try:
            return make(importlib.import_module(name))
        except ImportError:
            continue
    return None


def _brotli(module: Any) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    encoder = module.Compressor(quality=1)
    return lambda data: encoder.process(data) + encoder.flush(), encoder.finish


def _zstandard(module: Any) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    encoder = module.ZstdCompressor(level=1).compressobj()
    return lambda data: encoder.compress(data) + encoder.flush(module.COMPRESSOBJ_FLUSH_BLOCK), encoder.flush


def _pythons_zstd(module: Any) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    encoder = module.ZstdCompressor(level=1)
    return lambda data: encoder.compress(data, encoder.FLUSH_BLOCK), encoder.flush


_OTHERS: Final = {
    "br": (("brotli", _brotli), ("brotlicffi", _brotli)),
    "zstd": (("compression.zstd", _pythons_zstd), ("backports.zstd", _pythons_zstd), ("zstandard", _zstandard)),
}
"""The libraries by which clients decompress the other encodings, and what makes an encoder of each."""

"""The compression of a replayed answer, for libraries that read the wire: a program may decompress it itself.

A recording holds what was decompressed, and how it had been compressed. What a client library reads is compressed
again, chunk by chunk, if the program's request accepts that.
"""

from __future__ import annotations

import zlib
from typing import Final, final

from pytest_claude_latency.messages_api.exchange import Response

_WINDOWS: Final = {"gzip": zlib.MAX_WBITS + 16, "x-gzip": zlib.MAX_WBITS + 16, "deflate": zlib.MAX_WBITS}
"""What Python itself can do. Answers in another encoding arrive decompressed."""


@final
class Compression:
    """One answer on its way: the header that tells of its encoding, and its bytes."""

    def __init__(self, response: Response, accepted: str | None) -> None:
        named = {name.partition(";")[0].strip().lower() for name in (accepted or "").split(",")}
        encoding = response.encoding if response.encoding in _WINDOWS and named & {response.encoding, "*"} else None
        self._encoder = None if encoding is None else zlib.compressobj(wbits=_WINDOWS[encoding])
        self.headers = [] if encoding is None else [f"content-encoding: {encoding}"]
        """The lines of the head that it needs."""

    def chunk(self, data: bytes) -> bytes:
        """Return the bytes of the wire that hold a chunk, all of it."""
        if self._encoder is None or not data:
            return data
        # Flushed, or the encoder would keep a chunk back until a later one: its instant would be lost.
        return self._encoder.compress(data) + self._encoder.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        """Return the bytes of the wire behind the last chunk."""
        return b"" if self._encoder is None else self._encoder.flush()

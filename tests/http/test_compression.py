"""The compression of replayed answers: only what was compressed, and only for who accepts it."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.http.compression import Compression
from pytest_claude_latency.messages_api.exchange import Response


@given(st.lists(st.binary()), st.sampled_from([("gzip", 31), ("deflate", 15)]))
def test_each_chunk_can_be_read_when_it_arrives(chunks: list[bytes], encoding: tuple[str, int]) -> None:
    name, windows = encoding
    compression, reader = Compression(Response(0, 200, (), name), "gzip, deflate;q=0.5"), zlib.decompressobj(windows)

    assert [reader.decompress(compression.chunk(chunk)) for chunk in chunks] == chunks
    assert reader.decompress(compression.end()) == b""
    assert reader.eof
    assert compression.headers == [f"content-encoding: {name}"]


@pytest.mark.parametrize(
    ("encoding", "accepted"), [(None, "gzip"), ("gzip", None), ("gzip", "identity"), ("br", "br, gzip"), ("gzip", "")]
)
def test_what_was_not_compressed_or_is_not_accepted_travels_as_it_is(
    encoding: str | None, accepted: str | None
) -> None:
    compression = Compression(Response(0, 200, (), encoding), accepted)

    assert (compression.headers, compression.chunk(b"Hello"), compression.end()) == ([], b"Hello", b"")

"""The compression of replayed answers: only what was compressed, and only for who accepts it."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.http.compression import Compression
from pytest_claude_latency.messages_api.exchange import Response


@given(st.lists(st.binary()), st.sampled_from([("gzip", 31), ("deflate", 15)]))
def test_each_chunk_can_be_read_when_it_arrives(chunks: list[bytes], encoding: tuple[str, int]) -> None:
    name, windows = encoding
    compression = Compression(Response(0, 200, (), name), "gzip, deflate;q=0.5", pytest.fail)
    reader = zlib.decompressobj(windows)

    assert [reader.decompress(compression.chunk(chunk)) for chunk in chunks] == chunks
    assert reader.decompress(compression.end()) == b""
    assert reader.eof
    assert compression.headers == [f"content-encoding: {name}"]


@pytest.mark.parametrize(
    ("encoding", "accepted"),
    [(None, "gzip"), ("gzip", None), ("gzip", "identity"), ("br", "gzip"), ("xz", "*"), ("gzip", "")],
)
def test_what_was_not_compressed_or_is_not_accepted_travels_as_it_is(
    encoding: str | None, accepted: str | None
) -> None:
    compression = Compression(Response(0, 200, (), encoding), accepted, pytest.fail)

    assert (compression.headers, compression.chunk(b"Hello"), compression.end()) == ([], b"Hello", b"")


def brotli_reader(module: Any) -> Callable[[bytes], bytes]:
    return module.Decompressor().process  # type: ignore[no-any-return]


def zstd_reader(module: Any) -> Callable[[bytes], bytes]:
    return module.ZstdDecompressor().decompressobj().decompress  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("encoding", "library", "reader"), [("br", "brotli", brotli_reader), ("zstd", "zstandard", zstd_reader)]
)
def test_encodings_of_other_libraries_can_be_read_chunk_by_chunk(
    encoding: str, library: str, reader: Callable[[Any], Callable[[bytes], bytes]]
) -> None:
    read = reader(pytest.importorskip(library))
    compression, chunks = Compression(Response(0, 200, (), encoding), encoding, pytest.fail), [b"Hello", b"world" * 99]

    assert [read(compression.chunk(chunk)) for chunk in chunks] == chunks
    assert not read(compression.end())
    assert compression.headers == [f"content-encoding: {encoding}"]


def test_an_encoding_that_nothing_installed_makes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("brotli", "brotlicffi"):
        monkeypatch.setitem(sys.modules, library, None)
    told: list[str] = []

    compression = Compression(Response(0, 200, (), "br"), "gzip, br", told.append)

    assert (compression.headers, compression.chunk(b"Hello"), compression.end()) == ([], b"Hello", b"")
    (line,) = told
    assert line.endswith("since nothing is installed that compresses it again (brotli or brotlicffi)")

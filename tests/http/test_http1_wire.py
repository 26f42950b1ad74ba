"""What arrives on a socket is noted, whatever its framing; what was recorded arrives on a socket."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.client import HTTPException, HTTPResponse
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.http.doors.urllib3_replay import PROBE
from pytest_claude_latency.http.http1_wire import Framing, observed
from pytest_claude_latency.http.recorder import Attempt
from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange, Request, Response
from pytest_claude_latency.virtual_time.clock import VirtualClock

MILLISECOND = 1_000_000


class Socket:
    """A socket on which these pieces arrive, a millisecond apart."""

    def __init__(self, pieces: list[bytes], clock: VirtualClock) -> None:
        self._pieces = pieces
        self._clock = clock

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return a reader of the pieces."""
        return io.BufferedReader(_Pieces(iter(self._pieces), self._clock))


class _Pieces(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes], clock: VirtualClock) -> None:
        self._rest = pieces
        self._clock = clock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = next(self._rest, b"")
        self._clock.advance_to(self._clock.now() + MILLISECOND)
        buffer[: len(piece)] = piece
        return len(piece)


def noted(pieces: list[bytes], read: Callable[[HTTPResponse], object], method: str = "POST") -> Exchange:
    """Return what is noted of an answer that arrives in these pieces while `read` reads it."""
    clock = VirtualClock()
    attempt = Attempt(Request(method, "http://host/"), clock, 0, lambda headers, parts: list(parts))
    response = observed(HTTPResponse, attempt)(Socket(pieces, clock), method=method)
    try:
        response.begin()
        read(response)
    except HTTPException:
        pass
    response.close()
    return attempt.exchange()


def body(exchange: Exchange) -> bytes:
    return b"".join(chunk.data for chunk in exchange.chunks)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % len(data) for place in places} - {0}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


HEADS = {
    "a counted body": (b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", b"Hello\nworld"),
    "a body in chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"6;name=value\r\nHello\n\r\n5\r\nworld\r\n0\r\nX-Trailer: 1\r\n\r\n",
    ),
    "after a provisional answer": (
        b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n",
        b"Hello\nworld",
    ),
    "until the connection ends": (b"HTTP/1.1 200 OK\r\n\r\n", b"Hello\nworld"),
}


@given(form=st.sampled_from(sorted(HEADS)), places=st.lists(st.integers(1, 500)))
def test_the_body_is_noted_however_the_wire_is_cut(form: str, places: list[int]) -> None:
    exchange = noted(cut(b"".join(HEADS[form]), places), HTTPResponse.read)

    assert body(exchange) == b"Hello\nworld"
    assert exchange.end is not None
    assert (exchange.end.error, exchange.end.closed) == (None, None)


def test_each_part_is_noted_when_it_arrives_though_the_program_waits_for_all() -> None:
    head, wire = HEADS["a body in chunks"]
    exchange = noted([head, wire[:22], wire[22:]], HTTPResponse.read)

    assert exchange.response is not None
    assert exchange.response.at == MILLISECOND
    assert [(chunk.at // MILLISECOND, chunk.data) for chunk in exchange.chunks] == [(2, b"Hello\n"), (3, b"world")]


@pytest.mark.parametrize(
    ("wire", "error"),
    [
        (b"", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nHello", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nHel", "RemoteProtocolError"),
    ],
    ids=["no answer", "counted", "in chunks"],
)
def test_a_connection_that_breaks_off_is_an_error(wire: bytes, error: str) -> None:
    exchange = noted([wire] if wire else [], HTTPResponse.read)

    assert exchange.end is not None
    assert exchange.end.error == error


def test_a_program_that_closes_early_is_noted_as_that() -> None:
    head, wire = HEADS["a body in chunks"]
    exchange = noted([head + wire[:22], wire[22:]], lambda response: response.read(5))

    assert exchange.end is not None
    assert exchange.end.closed == "client"
    assert body(exchange) == b"Hello\n"


@pytest.mark.parametrize(("method", "status"), [("HEAD", b"200 OK"), ("POST", b"204 No Content")])
def test_an_answer_without_a_body_ends_with_its_head(method: str, status: bytes) -> None:
    exchange = noted([b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\n"], lambda response: None, method)

    assert exchange.chunks == ()
    assert exchange.end is not None
    assert (exchange.end.error, exchange.end.closed) == (None, None)


def test_nothing_is_noted_of_an_answer_that_reads_no_socket() -> None:
    class StandIn:
        def makefile(self, mode: str) -> io.BytesIO:
            return io.BytesIO(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    attempt = Attempt(Request("POST", "http://host/"), VirtualClock(), 0, lambda headers, parts: list(parts))
    response = observed(HTTPResponse, attempt)(StandIn())
    response.begin()

    assert response.read() == b"hi"
    assert attempt.exchange().response is None


@pytest.mark.parametrize("lengths", [("2", "5"), ("2", "2")], ids="/".join)
def test_an_answer_that_says_two_lengths_says_none_of_them(lengths: tuple[str, str]) -> None:
    headers = tuple(("content-length", length) for length in lengths)
    exchange = Exchange(0, Request("POST", "http://host/"), None, Response(0, 200, headers), (Chunk(0, b"{}"),), End(0))

    framing = Framing(replace(PROBE, recorded=exchange), None, has_body=True)

    assert "content-length" not in framing.head
    assert framing.chunk(b"{}") + framing.end() == b"2\r\n{}\r\n0\r\n\r\n"


def test_an_answer_without_a_body_or_a_length_ends() -> None:
    exchange = Exchange(0, Request("POST", "http://host/"), None, Response(0, 413, ()), (), End(0))

    framing = Framing(replace(PROBE, recorded=exchange), None, has_body=True)

    assert "transfer-encoding: chunked" in framing.head
    assert framing.end() == b"0\r\n\r\n"

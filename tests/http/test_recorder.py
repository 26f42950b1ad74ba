"""The recorder of one HTTP attempt: how it ended, and what was known at each time."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib

import pytest

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.http.library import HTTPLibrary
from pytest_claude_latency.http.observed_transport import note_event
from pytest_claude_latency.http.recorder import Attempt
from pytest_claude_latency.messages_api.exchange import Connect, End
from pytest_claude_latency.virtual_time.clock import VirtualClock
from tests.support.some_recording import asking

LIBRARY = HTTPLibrary.of_sdk()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def attempt(clock: VirtualClock) -> Attempt:
    return Attempt(asking(b"{}"), clock, 0, LIBRARY.decoded)


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (None, End(0)),
        (LIBRARY.module.ReadError("broken"), End(0, error="ReadError", message="broken")),
        (asyncio.CancelledError(), End(0, closed="client")),
        (KeyboardInterrupt(), End(0, closed="client")),
        (pytest.fail.Exception("a miss"), End(0, closed="client")),
    ],
    ids=["in full", "a failure of the wire", "a cancelled task", "an interrupt", "a miss"],
)
def test_only_failures_of_the_wire_are_errors(attempt: Attempt, error: BaseException | None, end: End) -> None:
    attempt.finish(error)

    assert attempt.exchange().end == end


def test_the_first_end_counts(attempt: Attempt) -> None:
    attempt.finish()

    attempt.finish(closed="client")

    assert attempt.exchange().end == End(0)


def test_what_another_thread_reads_after_the_end_belongs_to_nobody(attempt: Attempt, clock: VirtualClock) -> None:
    attempt.answered(200, ())
    arrived = attempt.arrivals()
    arrived(b"in time")
    attempt.finish(closed="client")
    clock.advance_to(clock.now() + 1)
    arrived(b"late")

    assert [chunk.data for chunk in attempt.exchange().chunks] == [b"in time"]


def test_an_answer_that_another_thread_gets_after_the_end_is_none(attempt: Attempt, clock: VirtualClock) -> None:
    attempt.finish(closed="client")
    clock.advance_to(clock.now() + 1)
    attempt.answered(200, ())

    assert attempt.exchange().response is None


def test_what_is_known_of_an_attempt_under_way_grows(attempt: Attempt) -> None:
    arrived = attempt.arrivals()
    before = attempt.exchange()

    attempt.answered(200, ())
    arrived(b"Hello")

    assert (before.response, before.chunks) == (None, ())
    assert [chunk.data for chunk in attempt.exchange().chunks] == [b"Hello"]
    assert not attempt.ended


def test_instants_count_from_when_it_is_really_sent(attempt: Attempt, clock: VirtualClock) -> None:
    clock.advance_to(SECOND)
    attempt.begin_now()
    clock.advance_to(3 * SECOND)
    attempt.finish()

    assert (attempt.exchange().sent, attempt.exchange().end) == (SECOND, End(2 * SECOND))


def test_opening_a_connection_lasts_until_its_last_handshake(attempt: Attempt, clock: VirtualClock) -> None:
    for second, event in enumerate(("connect_tcp.started", "connect_tcp.complete", "start_tls.complete"), 1):
        clock.advance_to(second * SECOND)
        note_event(attempt, f"connection.{event}")

    assert attempt.exchange().connect == Connect(SECOND, 2 * SECOND)


@pytest.mark.parametrize(("status", "location"), [(307, "/elsewhere"), (200, None)])
def test_only_a_redirect_points_elsewhere(attempt: Attempt, status: int, location: str | None) -> None:
    attempt.answered(status, (("location", "/elsewhere"),))

    assert attempt.location == location


def test_chunks_are_what_could_be_read_when_each_part_arrived(attempt: Attempt) -> None:
    wire = gzip.compress(b"Hello")
    attempt.answered(200, (("content-encoding", "gzip"),))
    arrived = attempt.arrivals()

    arrived(wire[:10])  # the header of gzip
    arrived(wire[10:])
    arrived(b"")

    pieces = [chunk.data for chunk in attempt.exchange().chunks]
    assert b"".join(pieces) == b"Hello"
    assert pieces[0] == b""


def test_an_answer_that_is_made_to_fill_the_memory_ends_as_one_that_cannot_be_decoded(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_claude_latency.http.library._MOST_DECODED", 1_000_000)
    attempt.answered(200, (("content-encoding", "gzip"),))
    attempt.arrivals()(gzip.compress(bytes(5_000_000)))
    attempt.finish()

    tracemalloc.start()
    exchange = attempt.exchange()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert exchange.chunks == ()
    assert exchange.end == End(0, error="DecodingError", message="it decompresses to more than 1 MB")
    assert most < 2_000_000


def test_what_came_before_bytes_that_cannot_be_decoded_is_kept(attempt: Attempt) -> None:
    squeezer = zlib.compressobj(wbits=31)
    wire = [squeezer.compress(b"Hello") + squeezer.flush(zlib.Z_SYNC_FLUSH), bytes(range(200))]
    attempt.answered(200, (("content-encoding", "gzip"),))
    arrived = attempt.arrivals()
    for part in wire:
        arrived(part)

    assert [chunk.data for chunk in attempt.exchange().chunks] == [b"Hello", b""]


def test_a_body_that_cannot_be_decoded_ends_with_that_error_also_where_the_door_does_not_see_it(
    attempt: Attempt,
) -> None:
    attempt.answered(200, (("content-encoding", "gzip"), ("x", "\xe9")))
    attempt.arrivals()(bytes(range(200)))
    attempt.finish(closed="client")

    end = attempt.exchange().end

    assert end is not None
    assert (end.error, end.closed) == ("DecodingError", None)


@pytest.mark.parametrize("value", ["café", "\u202e 名前", "\ud800", "plain"])
def test_headers_beyond_ascii_are_replayed(value: str) -> None:
    response = LIBRARY.response(200, (("x-note", value),), LIBRARY.sync_body(iter([b""]), lambda: None))

    raw = value.encode("utf-8", "surrogatepass")
    assert response.headers["x-note"] == (raw.decode("latin-1") if value == "\ud800" else value)


def test_an_error_of_another_library_becomes_a_transport_error_with_its_name() -> None:
    request = LIBRARY.module.Request("GET", "https://api.anthropic.com")

    own, foreign = (LIBRARY.error(name, "as recorded", request) for name in ("ReadError", "SomeNewError"))

    assert (type(own), str(own)) == (LIBRARY.module.ReadError, "as recorded")
    assert (type(foreign), str(foreign)) == (LIBRARY.module.TransportError, "SomeNewError: as recorded")

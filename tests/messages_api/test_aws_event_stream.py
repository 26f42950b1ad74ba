"""AWS event streams, against frames made by hand and against botocore under the SDK's Bedrock client."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from itertools import pairwise
from zlib import crc32

import anthropic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_claude_latency.messages_api.aws_event_stream import Decoder
from pytest_claude_latency.messages_api.sse import Event
from tests.support.aws_frames import CHUNK, OTHER_HEADERS, chunk, exception, frame

PING = {"type": "ping"}


def decode(*pieces: bytes) -> list[Event]:
    decoder = Decoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


EVENTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["message_start", "content_block_delta", "ping", "message_stop"])},
    optional={"text": st.text(max_size=20), "completion": st.just("old")},
)
FRAMES = st.one_of(
    EVENTS.map(chunk),
    st.builds(
        exception, st.sampled_from(["throttlingException", "modelStreamErrorException"]), st.sampled_from(["", "Slow"])
    ),
    st.just(chunk({"no": "type"})),
    st.just(frame({":event-type": "metadata", ":message-type": "event"}, b"{}")),
    st.just(frame({":message-type": "error", ":error-code": "Boom", ":error-message": "It broke"}, b"")),
    st.just(frame({":event-type": "metadata", ":message-type": "event"}, b'{"bytes": "eyJ0eXBlIjoieCJ9"}')),
    st.just(frame({":exception-type": "throttlingException", ":message-type": "exception"}, b"")),
    st.just(frame({**OTHER_HEADERS, **CHUNK}, b'{"bytes": "eyJ0eXBlIjoieCJ9"}')),
)
CUTS = st.lists(st.integers(0, 10_000), max_size=12)


@settings(deadline=None)
@given(st.lists(EVENTS, max_size=5), CUTS)
def test_what_was_framed_is_read_however_the_bytes_are_cut(events: list[dict[str, str]], cuts: list[int]) -> None:
    data = b"".join(chunk(event) for event in events)

    expected = [Event(event["type"], json.dumps(event, ensure_ascii=False)) for event in events]
    assert decode(*cut(data, cuts)) == expected


@settings(deadline=None)
@given(st.lists(FRAMES, max_size=6), CUTS)
def test_the_sdk_reads_the_same_events(frames: list[bytes], cuts: list[int]) -> None:
    pytest.importorskip("botocore", reason="botocore, which the SDK reads Bedrock's frames with, is not installed")
    from anthropic.lib.bedrock import _stream_decoder

    if anthropic.__version__.startswith("0.") or not hasattr(_stream_decoder, "_chunk_bytes_to_sse"):
        pytest.skip("this SDK names Bedrock's events in another way")
    pieces = cut(b"".join(frames), cuts)
    theirs = [(event.event, event.data) for event in _stream_decoder.AWSEventStreamDecoder().iter_bytes(iter(pieces))]

    assert decode(*pieces) == theirs


@settings(deadline=None)
@given(st.lists(FRAMES, min_size=1, max_size=4), st.data())
def test_a_flipped_bit_is_an_error_of_the_name_botocore_gives_it(frames: list[bytes], data: st.DataObject) -> None:
    eventstream = pytest.importorskip("botocore.eventstream", reason="botocore is not installed")
    stream = bytearray(b"".join(frames))
    place = data.draw(st.integers(0, len(stream) - 1))
    stream[place] ^= 1 << data.draw(st.integers(0, 7))

    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(bytes(stream))
    with pytest.raises(eventstream.ParserError) as broken:
        list(buffer)
    last = decode(bytes(stream))[-1]
    assert last.name == "error"
    assert json.loads(last.data)["error"]["type"] == type(broken.value).__name__


def test_an_event_comes_with_the_last_byte_of_its_frame() -> None:
    decoder = Decoder()
    data = chunk(PING)

    assert list(decoder.feed(data[:-1])) == []
    assert list(decoder.feed(data[-1:])) == [Event("ping", '{"type": "ping"}')]


@pytest.mark.parametrize("name", OTHER_HEADERS)
def test_headers_of_any_type_are_passed_over(name: str) -> None:
    data = frame({name: OTHER_HEADERS[name], **CHUNK}, b'{"bytes": "eyJ0eXBlIjoieCJ9"}')

    assert decode(data) == [Event("x", '{"type":"x"}')]


def test_an_exception_sent_by_aws_is_an_error_event() -> None:
    (event,) = decode(exception("throttlingException", "Too many requests"))

    assert event.name == "error"
    assert json.loads(event.data) == {
        "type": "error",
        "error": {"type": "throttlingException", "message": "Too many requests"},
    }


def test_events_before_a_broken_frame_are_kept_and_none_follow_it() -> None:
    whole = chunk(PING)
    broken = whole[:-1] + bytes([whole[-1] ^ 1])

    names = [event.name for event in decode(whole + broken + whole, whole)]
    assert names == ["ping", "error"]


@pytest.mark.parametrize(
    ("length", "headers", "name"),
    [
        (100, 200_000, "InvalidHeadersLength"),
        (30_000_000, 0, "InvalidPayloadLength"),
        (15, 0, "InvalidPayloadLength"),
        (100, 90, "InvalidPayloadLength"),
    ],
)
def test_a_length_aws_does_not_send_is_an_error_at_once(length: int, headers: int, name: str) -> None:
    prelude = struct.pack(">II", length, headers)

    (event,) = decode(prelude + struct.pack(">I", crc32(prelude)))
    assert json.loads(event.data)["error"]["type"] == name


@pytest.mark.parametrize("headers", [b"\x05a", b"\x01a\x63", b"\x01a\x07\x00\xff"])
def test_headers_that_cannot_be_read_are_an_error(headers: bytes) -> None:
    prelude = struct.pack(">II", 16 + len(headers), len(headers))
    body = prelude + struct.pack(">I", crc32(prelude)) + headers

    (event,) = decode(body + struct.pack(">I", crc32(body)))
    assert event.name == "error"


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"bytes": 3}', b'{"bytes": "!"}', b'{"bytes": "/w=="}'])
def test_a_chunk_without_a_claude_event_is_passed_over(payload: bytes) -> None:
    assert decode(frame(CHUNK, payload), chunk(PING)) == [Event("ping", '{"type": "ping"}')]

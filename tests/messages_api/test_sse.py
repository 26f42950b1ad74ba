"""Server-sent events, against the rules they are defined by and against the SDK's own decoder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from anthropic._streaming import SSEDecoder
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_claude_latency.messages_api.sse import Decoder, Event


def decode(*pieces: bytes) -> list[Event]:
    decoder = Decoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """The bytes in pieces, cut at these places; some pieces may be empty."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@dataclass(frozen=True)
class Written:
    """An event as a server may write it: what it says, and the lines that say it."""

    name: str | None
    data: tuple[str, ...]
    noise: tuple[str, ...]
    spaced: bool

    def lines(self) -> list[str]:
        colon = ": " if self.spaced else ":"
        name = [] if self.name is None else [f"event{colon}{self.name}"]
        return [*self.noise, *name, *(f"data{colon}{line}" for line in self.data), ""]

    def event(self) -> Event:
        return Event(self.name, "\n".join(self.data))


VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=12)
UNSPACED = VALUES.filter(lambda text: not text.startswith(" "))  # or the space would be taken for the separator
NAMES = st.sampled_from(["message_start", "content_block_delta", "ping", "error", "ä"])
NOISE = st.sampled_from([":", ": keep-alive", "id: 7", "retry: 10", "unknown: field", "datum"])
WRITTEN = st.builds(
    Written,
    name=st.none() | NAMES,
    data=st.lists(UNSPACED, min_size=1, max_size=3).map(tuple),
    noise=st.lists(NOISE, max_size=2).map(tuple),
    spaced=st.booleans(),
)
CUTS = st.lists(st.integers(0, 10_000), max_size=12)
LINE_ENDS = st.sampled_from(["\n", "\r", "\r\n"])


def written(events: Sequence[Written], line_end: str) -> bytes:
    return "".join(line + line_end for event in events for line in event.lines()).encode()


@settings(deadline=None)
@given(st.lists(WRITTEN, max_size=5), LINE_ENDS, CUTS)
def test_what_was_written_is_read_however_the_bytes_are_cut(
    events: list[Written], line_end: str, cuts: list[int]
) -> None:
    data = written(events, line_end)

    assert decode(*cut(data, cuts)) == [event.event() for event in events]


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([b"\r", b"\n", b"data:", b"event: x", b" ", b":", "é".encode(), b"\xff", b"\xef\xbb\xbf"])
    ),
    CUTS,
)
@example([b"data:", b"\r", b"\n", b"\n"], [6])
@example([b"data:", b"\r", b"\n", b"\r", b"\n"], [6, 8])
def test_any_bytes_in_any_cut_give_the_events_of_the_whole(fragments: list[bytes], cuts: list[int]) -> None:
    data = b"".join(fragments)

    assert decode(*cut(data, cuts)) == decode(data)


@settings(deadline=None)
@given(st.lists(WRITTEN, max_size=5), LINE_ENDS, CUTS)
def test_the_sdk_reads_the_same_events(events: list[Written], line_end: str, cuts: list[int]) -> None:
    pieces = cut(written(events, line_end), cuts)
    theirs = [(event.event, event.data) for event in SSEDecoder().iter_bytes(iter(pieces))]

    assert decode(*pieces) == theirs


def test_an_event_comes_with_the_bytes_that_hold_its_blank_line() -> None:
    decoder = Decoder()

    assert list(decoder.feed(b"event: ping\ndata: {}\n")) == []
    assert list(decoder.feed(b"\ndata: next")) == [Event("ping", "{}")]


def test_an_event_without_its_blank_line_is_not_dispatched() -> None:
    assert decode(b"data: 1\n\n", b"event: message_stop\ndata: 2\n") == [Event(None, "1")]


@pytest.mark.parametrize("data", [b"event: ping\n\n", b": comment\n\n", b"id: 3\n\n", b"\n\n\n"])
def test_an_event_without_data_does_not_count(data: bytes) -> None:
    assert decode(data, b"data: x\n\n") == [Event(None, "x")]


def test_an_empty_data_line_is_an_event_with_empty_data() -> None:
    assert decode(b"data\n\n", b"data:\ndata:\n\n") == [Event(None, ""), Event(None, "\n")]


def test_an_empty_event_name_counts_as_none() -> None:
    assert decode(b"event: ping\nevent:\ndata: x\n\n") == [Event(None, "x")]


def test_only_one_space_after_the_colon_is_dropped() -> None:
    assert decode(b"data:  x \n\n") == [Event(None, " x ")]


def test_a_byte_order_mark_counts_only_at_the_start() -> None:
    mark = b"\xef\xbb\xbf"

    assert decode(mark[:1], mark[1:] + b"data: a\n\n", mark + b"data: b\n\n") == [Event(None, "a")]


def test_a_character_may_be_split_over_pieces() -> None:
    data = "data: 日本語\n\n".encode()

    assert decode(*(data[at : at + 1] for at in range(len(data)))) == [Event(None, "日本語")]


@pytest.mark.parametrize(
    "pieces", [(b"data: a\r", b"", b"\ndata: b\r\n\r\n"), (b"data: a\r", b"\n", b"data: b\r", b"\n", b"\r\n")]
)
def test_cr_and_lf_are_one_line_end_whatever_comes_between_them(pieces: tuple[bytes, ...]) -> None:
    assert decode(*pieces) == [Event(None, "a\nb")]


def test_lf_in_a_piece_of_its_own_ends_a_line_once() -> None:
    assert decode(b"data: a\r", b"\n", b"\n") == [Event(None, "a")]


def test_bytes_that_are_no_utf_8_become_replacement_characters() -> None:
    assert decode(b"data: a\xffb\n\n") == [Event(None, "a\ufffdb")]


def test_a_line_separator_of_unicode_ends_no_line() -> None:
    assert decode("data: a\u2028b\x85c\x0bd\n\n".encode()) == [Event(None, "a\u2028b\x85c\x0bd")]

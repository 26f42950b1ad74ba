"""The timing of a generated answer: an instant for each of its events, and chunks that keep these instants."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple, TypeAlias

from hypothesis import strategies as st

from pytest_claude_latency.duration import MICROSECOND
from pytest_claude_latency.messages_api.exchange import Chunk
from pytest_claude_latency.messages_api.message import Json, Message, encoded, holds_content
from pytest_claude_latency.strategies.envelope import Envelope

Microseconds: TypeAlias = int

_PING: Json = {"type": "ping"}
_TAIL: Microseconds = 20_000  # what follows the last content arrives within these 20 ms


class Part(NamedTuple):
    """Bytes of an answer that arrive together, and when the last of them does."""

    at: Microseconds
    data: bytes


@st.composite
def streams(draw: st.DrawFn, message: Message, envelope: Envelope) -> tuple[Microseconds, list[Part]]:
    """Make the instant at which the headers of a streamed answer arrive, and a part for each of its events."""
    events = list(message.events())
    for place in draw(st.lists(st.integers(1, len(events) - 1), max_size=2)):
        events.insert(place, _PING)  # the API sends pings anywhere after `message_start`
    # Headers come before the first content, so a least `ttfb` is a least `ttft` too.
    earliest = max(envelope.ttft.least, envelope.ttfb.least if envelope.ttfb else 0)
    first = draw(st.integers(earliest, envelope.ttft.most))
    headers_at = draw(headers(envelope, first))
    contents = sum(map(holds_content, events))
    gaps = draw(st.lists(st.integers(*envelope.gaps), min_size=contents - 1, max_size=contents - 1))
    # Content arrives at these instants. All other events arrive anywhere between the ones around them.
    stops = [*accumulate([first, *gaps])]
    stops.append(stops[-1] + _TAIL)  # for what follows the last content
    parts: list[Part] = []
    at, content = headers_at, 0
    for event in events:
        if holds_content(event):
            at, content = stops[content], content + 1
        else:
            at = draw(st.integers(at, stops[content]))
        parts.append(Part(at, encoded(event)))
    return headers_at, parts


@st.composite
def headers(draw: st.DrawFn, envelope: Envelope, latest: Microseconds) -> Microseconds:
    """Make the instant at which headers arrive that must not come later than `latest`."""
    least, most = envelope.ttfb or (0, latest)  # both are capped, since an error may come sooner than a token
    return draw(st.integers(min(least, latest), min(most, latest)))


@st.composite
def cuts(draw: st.DrawFn, data: bytes, most: int = 8) -> tuple[bytes, ...]:
    """Cut bytes into pieces. Some may be empty."""
    places = draw(st.lists(st.integers(0, len(data)), max_size=most))
    return tuple(data[start:end] for start, end in pairwise([0, *sorted(places), len(data)]))


@st.composite
def chunks(draw: st.DrawFn, parts: Sequence[Part], since: Microseconds) -> tuple[Chunk, ...]:
    """Cut the bytes of all parts into chunks anywhere, none of them before `since`.

    The last byte of each part still arrives when the part does, since an event counts when its last byte is here.
    """
    ends = [*accumulate(len(part.data) for part in parts)]
    # A cut wherever time passes between two parts, at the latest before the last byte of the later one, and a few more
    # than needed: chunks of the wire keep to no event.
    places = draw(st.lists(st.integers(0, ends[-1]), max_size=3))
    for end, (earlier, later) in zip(ends, pairwise(parts), strict=False):
        if earlier.at < later.at or draw(st.booleans()):  # events of one instant may share a chunk
            places.append(end + draw(st.just(0) | st.integers(0, len(later.data) - 1)))
    # joined first: a chunk may hold the end of one part and the beginning of the next
    data = b"".join(part.data for part in parts)
    at, pieces = since, []
    for start, end in pairwise([0, *sorted(places), ends[-1]]):
        unfinished = bisect_right(ends, start)  # the part that this chunk begins in or goes on with
        if unfinished < len(parts):
            due = parts[unfinished].at
            # a chunk that ends the part is due with it; one that only begins it may come earlier
            at = due if ends[unfinished] <= end else draw(st.integers(at, due))
        pieces.append(Chunk(at * MICROSECOND, data[start:end]))
    return tuple(pieces)

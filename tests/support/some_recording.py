"""Recordings for tests: one that is written down, and strategies for any."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import accumulate

from hypothesis import strategies as st

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.duration import MICROSECOND, Nanoseconds
from pytest_claude_latency.messages_api.exchange import (
    Chunk,
    Connect,
    End,
    Exchange,
    Headers,
    Request,
    Response,
    canonical,
)

HEADER = (
    '{"format": "claude-latency-cassette", "version": 2, "test": "tests/test_summary.py::test_summary_is_prompt", '
    '"sample": 1, "recorded": "2026-11-22T11:30:00.000Z", "client": "anthropic 2.12.0"}'
)
LINES = (
    HEADER,
    '{"request": 1, "at": 0.0, "method": "POST", "url": "https://api.anthropic.com/v1/messages", '
    '"headers": {"anthropic-version": "2023-06-01"}, '
    '"json": {"model": "claude-haiku-4-5", "stream": true, "messages": [{"role": "user", "content": "Grüße…"}]}}',
    '{"connect": 1, "at": 0.4, "ms": 61.2}',
    '{"response": 1, "at": 310.221, "status": 200, "headers": {"content-type": "text/event-stream; charset=utf-8"}}',
    '{"chunk": 1, "at": 310.902, "text": "event: message_start\\ndata: {}\\n\\n"}',
    '{"chunk": 1, "at": 412.034, "base64": "/w=="}',
    '{"end": 1, "at": 2875.002}',
)
TEXT = "".join(f"{line}\n" for line in LINES)


def recording(*exchanges: Exchange, sample: int = 1) -> Recording:
    """These exchanges, recorded by some test."""
    return Recording(
        test="tests/test_summary.py::test_summary_is_prompt",
        sample=sample,
        recorded="2026-11-22T11:30:00.000Z",
        client="anthropic 2.12.0",
        exchanges=exchanges,
    )


def asking(content: bytes, url: str = "https://api.anthropic.com/v1/messages", headers: Headers = ()) -> Request:
    """A request with this body."""
    return Request("POST", url, headers, canonical(content))


def answering(*data: bytes, request: Request | None = None) -> Exchange:
    """An exchange whose answer came in these chunks, a millisecond apart."""
    chunks = tuple(Chunk(place * 1_000_000, piece) for place, piece in enumerate(data, 1))
    return Exchange(
        sent=0,
        request=request or asking(b"{}"),
        response=Response(1_000_000, 200),
        chunks=chunks,
        end=End((len(data) + 1) * 1_000_000),
    )


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_MICROSECONDS = st.integers(0, 10**9) | st.integers(0, 50)
_HEADERS = st.lists(st.tuples(st.text(min_size=1, max_size=5), st.text(max_size=8)), max_size=4).map(tuple)
_BODIES = st.binary(max_size=30) | st.text(max_size=30).map(str.encode)


@st.composite
def exchanges(draw: st.DrawFn, sent: Nanoseconds = 0) -> Exchange:
    """Any exchange that can have been recorded: its instants are whole microseconds and never run backwards."""
    chunks = draw(st.lists(_BODIES, max_size=5))
    steps = draw(st.lists(_MICROSECONDS, min_size=len(chunks) + 3, max_size=len(chunks) + 3))
    opened, answered, *arrived, ended = (instant * MICROSECOND for instant in accumulate(steps))
    has_response = bool(chunks) or draw(st.booleans())
    return Exchange(
        sent=sent,
        request=draw(
            st.builds(
                Request,
                method=st.sampled_from(["GET", "POST"]),
                url=st.text(max_size=20).map(lambda path: f"https://api.anthropic.com/{path}"),
                headers=_HEADERS,
                content=(_BODIES | st.builds(_json, JSON_VALUES)).map(canonical),
            )
        ),
        connect=Connect(opened, draw(_MICROSECONDS) * MICROSECOND) if draw(st.booleans()) else None,
        response=Response(answered, draw(st.integers(100, 999)), draw(_HEADERS)) if has_response else None,
        chunks=tuple(map(Chunk, arrived, chunks)),
        end=draw(
            st.sampled_from([End(ended), End(ended, error="ReadError"), End(ended, closed="client")])
            | st.builds(End, st.just(ended), st.just("ReadError"), message=st.text(max_size=8))
        ),
    )


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """Any recording."""
    instants = accumulate(draw(st.lists(_MICROSECONDS, max_size=3)))
    return Recording(
        test=draw(st.text(max_size=20)),
        sample=draw(st.integers(1, 10**6)),
        recorded=draw(st.datetimes(min_value=datetime(1000, 1, 1))).isoformat(timespec="milliseconds") + "Z",
        client=draw(st.text(max_size=8)),
        samples=draw(st.none() | st.integers(1, 10**6)),
        exchanges=tuple(draw(exchanges(instant * MICROSECOND)) for instant in instants),
    )

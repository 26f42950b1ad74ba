"""What the benchmarks replay: invented streams of any number of chunks, and the calls that read them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import anthropic

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.duration import MILLISECOND, Nanoseconds
from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange, Request, Response

HEADERS = (("content-type", "text/event-stream; charset=utf-8"), ("request-id", "req_011CBenchmark"))
URL = "https://api.anthropic.com/v1/messages"
ASK: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": "Count."}],
}
_USAGE = {"input_tokens": 12, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}


def frames(chunks: int) -> list[bytes]:
    """Return an answer of so many chunks, each of which is one complete event."""
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": ASK["model"], "content": []}
    ends = {"stop_reason": None, "stop_sequence": None, "usage": {**_USAGE, "output_tokens": 1}}
    opening = [
        _frame("message_start", message={**message, **ends}),
        _frame("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    ]
    closing = [
        _frame("content_block_stop", index=0),
        _frame("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=ends["usage"]),
        _frame("message_stop"),
    ]
    count = chunks - len(opening) - len(closing)
    deltas = [
        _frame("content_block_delta", index=0, delta={"type": "text_delta", "text": f"{number} "})
        for number in range(count)
    ]
    return [*opening, *deltas, *closing]


def _frame(kind: str, **data: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


def exchange(body: Sequence[bytes], gap: Nanoseconds, sent: Nanoseconds = 0) -> Exchange:
    """Return one streamed call: the headers come after 400 ms, then a chunk after each `gap`."""
    start = 400 * MILLISECOND
    content = json.dumps({**ASK, "stream": True}).encode()
    return Exchange(
        sent=sent,
        request=Request("POST", URL, (("anthropic-version", "2023-06-01"),), content),
        response=Response(start, 200, HEADERS),
        chunks=tuple(Chunk(start + number * gap, data) for number, data in enumerate(body)),
        end=End(start + len(body) * gap),
    )


def recording(exchanges: Sequence[Exchange]) -> Recording:
    """Return a recording of these exchanges."""
    return Recording(
        test="benchmarks::invented",
        recorded="2026-01-01T00:00:00.000Z",
        anthropic=anthropic.__version__,
        exchanges=tuple(exchanges),
    )


def read(client: anthropic.Anthropic) -> str:
    """Read a stream as a program does that shows each piece of text."""
    with client.messages.stream(**ASK) as stream:
        return "".join(stream.text_stream)


async def read_async(client: anthropic.AsyncAnthropic) -> str:
    """Read a stream in the same way with the async client."""
    async with client.messages.stream(**ASK) as stream:
        return "".join([piece async for piece in stream.text_stream])

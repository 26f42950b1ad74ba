"""Answers of Bedrock: of `converse`, and event streams of AWS. That of `invoke` is a message of the Messages API.

`|` in a text separates its deltas. Streams have a gap before each delta.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_claude_latency.duration import parse
from tests.support.aws_frames import chunk, frame
from tests.support.claude_answers import Answer, Duration, Part, json_answer

EVENT_STREAM = "application/vnd.amazon.eventstream"


def invoke_stream(content: str, *, ttfb: Duration = 0, gap: Duration = 0) -> Answer:
    """Return the answer of `invoke-with-response-stream`: events of the Messages API, each in a frame."""
    usage = {"input_tokens": 12, "output_tokens": 1}
    head = [
        {"type": "message_start", "message": {"role": "assistant", "content": [], "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    ]
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
        for piece in content.split("|")
    ]
    tail = [
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 8}},
        {"type": "message_stop"},
    ]
    return _stream(map(chunk, head), map(chunk, deltas), map(chunk, tail), ttfb=ttfb, gap=gap)


def converse(content: str, *, ttfb: Duration = 0) -> Answer:
    """Return the answer of `converse`."""
    message = {"role": "assistant", "content": [{"text": content.replace("|", "")}]}
    usage = {"inputTokens": 12, "outputTokens": 8, "totalTokens": 20}
    return json_answer(
        {"output": {"message": message}, "stopReason": "end_turn", "usage": usage, "metrics": {"latencyMs": 20}},
        ttfb=ttfb,
    )


def converse_stream(content: str, *, ttfb: Duration = 0, gap: Duration = 0) -> Answer:
    """Return the answer of `converse-stream`."""
    head = [converse_event("messageStart", {"role": "assistant"})]
    deltas = [
        converse_event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}})
        for piece in content.split("|")
    ]
    return _stream(head, deltas, _ending("end_turn"), ttfb=ttfb, gap=gap)


def converse_tool_use(name: str, given: Mapping[str, Any], *, ttfb: Duration = 0, gap: Duration = 0) -> Answer:
    """Return the answer of `converse-stream` that calls a tool, whose input comes in two deltas."""
    text = json.dumps(given)
    half = len(text) // 2
    start = {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "tooluse_01", "name": name}}}
    head = [converse_event("messageStart", {"role": "assistant"}), converse_event("contentBlockStart", start)]
    deltas = [
        converse_event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": piece}}})
        for piece in (text[:half], text[half:])
    ]
    return _stream(head, deltas, _ending("tool_use"), ttfb=ttfb, gap=gap)


def converse_event(kind: str, payload: Mapping[str, Any]) -> bytes:
    """Return the frame of one event of a `converse-stream`."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps({**payload, "p": "abcdef"}).encode())


def _ending(reason: str) -> list[bytes]:
    usage = {"inputTokens": 12, "outputTokens": 8, "totalTokens": 20}
    return [
        converse_event("contentBlockStop", {"contentBlockIndex": 0}),
        converse_event("messageStop", {"stopReason": reason}),
        converse_event("metadata", {"usage": usage, "metrics": {"latencyMs": 20}}),
    ]


def _stream(
    head: Iterable[bytes], deltas: Iterable[bytes], tail: Iterable[bytes], *, ttfb: Duration, gap: Duration
) -> Answer:
    parts = [Part(b"".join(head)), *(Part(delta, parse(gap), content=True) for delta in deltas), Part(b"".join(tail))]
    return Answer(headers=(("content-type", EVENT_STREAM),), ttfb=parse(ttfb), parts=tuple(parts), chunked=True)

"""Answers of the OpenAI-shaped endpoint: chunks of a stream, or JSON for a request that does not stream.

`|` in a text separates its deltas. Streams have a gap before each delta.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pytest_claude_latency.duration import parse
from tests.support.claude_answers import Answer, Duration, Part, json_answer
from tests.support.claude_messages import EVENT_STREAM, MODEL

_CALL = "call_01A09q90qw90lq917835lq9"
_USAGE = {"prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 20}


def chat(content: str, *, ttfb: Duration = 0, gap: Duration = 0) -> Answer:
    """Return an answer that says this."""
    pieces = content.split("|")
    return _answer([{"content": piece} for piece in pieces], {"content": "".join(pieces)}, "stop", ttfb, gap)


def chat_tool_use(name: str, arguments: Mapping[str, Any], *, ttfb: Duration = 0, gap: Duration = 0) -> Answer:
    """Return an answer that calls a tool, whose arguments come in two deltas."""
    text = json.dumps(arguments)
    half = len(text) // 2
    deltas = [{"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in (text[:half], text[half:])]
    call = {"id": _CALL, "type": "function", "function": {"name": name, "arguments": text}}
    answer = _answer(deltas, {"content": None, "tool_calls": [call]}, "tool_calls", ttfb, gap)
    begin = {"index": 0, "id": _CALL, "type": "function", "function": {"name": name, "arguments": ""}}
    return answer.with_part(1, _chunk({"tool_calls": [begin]}))


def _answer(
    deltas: list[dict[str, Any]], message: dict[str, Any], finish: str, ttfb: Duration, gap: Duration
) -> Answer:
    parts = [
        Part(_chunk({"role": "assistant", "content": ""})),
        *(Part(_chunk(delta), parse(gap), content=True) for delta in deltas),
        Part(_chunk({}, finish)),
        Part(_line({**_head("chat.completion.chunk"), "choices": [], "usage": _USAGE})),
        Part(b"data: [DONE]\n\n"),
    ]
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    whole = json_answer({**_head("chat.completion"), "choices": [choice], "usage": _USAGE})
    return Answer(
        headers=(("content-type", EVENT_STREAM),),
        ttfb=parse(ttfb),
        parts=tuple(parts),
        chunked=True,
        unstreamed=replace(whole, ttfb=parse(ttfb) + parse(gap) * len(deltas)),
    )


def _chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
    return _line({**_head("chat.completion.chunk"), "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _line(data: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def _head(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-01", "object": kind, "created": 1764000000, "model": MODEL}

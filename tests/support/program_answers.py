"""Recorded answers as values, for programs whose timing is known in advance. All times are in seconds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import anthropic

from pytest_claude_latency import Recording
from pytest_claude_latency.duration import nanoseconds
from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange, Request, Response

MODEL = "claude-haiku-4-5"
USAGE = {"input_tokens": 9, "output_tokens": 1}
MESSAGE: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL}
REQUEST = Request("POST", "https://api.anthropic.com/v1/messages", (("anthropic-version", "2023-06-01"),), b"{}")
JSON = (("content-type", "application/json"),)
EVENTS = (("content-type", "text/event-stream; charset=utf-8"),)


def recording(*exchanges: Exchange) -> Recording:
    """Return a recording of these exchanges, which are served in turn."""
    return Recording(
        test="tests::program", recorded="2026-01-01T00:00:00.000Z", anthropic=anthropic.__version__, exchanges=exchanges
    )


def unstreamed(total: float, text: str = "ok", headers_at: float | None = None) -> Exchange:
    """Return an answer that is not streamed, complete after `total`."""
    content = [{"type": "text", "text": text}]
    body = {**MESSAGE, "content": content, "stop_reason": "end_turn", "stop_sequence": None, "usage": USAGE}
    return _exchange(200, JSON, [(total, json.dumps(body))], total, total if headers_at is None else headers_at)


def streamed(*deltas: float, total: float | None = None, headers_at: float = 0.1) -> Exchange:
    """Return a stream whose text deltas come at these times; it is complete with the last one, or after `total`."""
    end = max(deltas[-1], total or 0)
    start = {**MESSAGE, "content": [], "stop_reason": None, "stop_sequence": None, "usage": USAGE}
    opening = _event("message_start", message=start)
    opening += _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    closing = _event("content_block_stop", index=0)
    closing += _event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=USAGE)
    closing += _event("message_stop")
    parts = [(headers_at, opening)]
    parts += [(at, _event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x"})) for at in deltas]
    return _exchange(200, EVENTS, [*parts, (end, closing)], end, headers_at)


def refused(status: int, after: float, **headers: str) -> Exchange:
    """Return an error of the API."""
    body = json.dumps({"type": "error", "error": {"type": "api_error", "message": "No"}})
    more = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return _exchange(status, JSON + more, [(after, body)], after, after)


def _exchange(
    status: int, headers: tuple[tuple[str, str], ...], parts: Sequence[tuple[float, str]], end: float, headers_at: float
) -> Exchange:
    chunks = tuple(Chunk(nanoseconds(at), data.encode()) for at, data in parts)
    return Exchange(0, REQUEST, None, Response(nanoseconds(headers_at), status, headers), chunks, End(nanoseconds(end)))


def _event(kind: str, **data: object) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n"

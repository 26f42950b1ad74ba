"""Calls in the forms of Converse and of chat completions, written down. Instants are milliseconds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange, Request, Response, canonical
from tests.support.aws_frames import exception, frame
from tests.support.written_calls import ns

CONVERSE = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/eu.anthropic.claude-haiku-4-5-20251001-v1%3A0/"
CHAT = "https://gateway.example.com/v1/chat/completions"
AWS_STREAM = "application/vnd.amazon.eventstream"


def event(name: str, **data: Any) -> bytes:
    """One frame of a Converse stream."""
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps({**data, "p": "abcdefgh"}).encode())


def delta(index: int = 0, **content: Any) -> bytes:
    """A frame with a piece of content."""
    return event("contentBlockDelta", contentBlockIndex=index, delta=content)


THROTTLED = exception("throttlingException", "Too many tokens")
STOPPED = event("messageStop", stopReason="end_turn")
USED = {
    "inputTokens": 20,
    "outputTokens": 11,
    "totalTokens": 931,
    "cacheReadInputTokens": 900,
    "cacheWriteInputTokens": 0,
}
USAGE = event("metadata", usage=USED, metrics={"latencyMs": 900})


def line(data: object) -> bytes:
    """One event of a stream of chat completions."""
    text = data if isinstance(data, str) else json.dumps(data)
    return f"data: {text}\n\n".encode()


def chunk(finish: str | None = None, **content: Any) -> bytes:
    """An event with a piece of content."""
    choice = {"index": 0, "delta": content, "finish_reason": finish}
    head = {"id": "c1", "object": "chat.completion.chunk", "model": "claude-haiku-4-5-20251001"}
    return line({**head, "choices": [choice]})


CHAT_USED = {
    "prompt_tokens": 920,
    "completion_tokens": 11,
    "total_tokens": 931,
    "prompt_tokens_details": {"cached_tokens": 900},
    "completion_tokens_details": {"reasoning_tokens": 4},
}
CHAT_USAGE = line({"model": "claude-haiku-4-5-20251001", "choices": [], "usage": CHAT_USED})
DONE = line("[DONE]")


def converse(
    *pieces: tuple[float, bytes], stream: bool = True, status: int = 200, error_type: str = "", **body: Any
) -> Exchange:
    """A call of Converse, answered by these bytes."""
    asked = {"messages": [{"role": "user", "content": [{"text": "Where is my order?"}]}], **body}
    content_type = AWS_STREAM if stream and status == 200 else "application/json"
    headers = (("content-type", content_type), *([("x-amzn-errortype", error_type)] if error_type else []))
    return _exchange(CONVERSE + ("converse-stream" if stream else "converse"), asked, status, headers, pieces)


def chat(*pieces: tuple[float, bytes], stream: bool = True, status: int = 200, **body: Any) -> Exchange:
    """A call of chat completions, answered by these bytes."""
    asked = {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "Where is my order?"}], **body}
    content_type = "text/event-stream" if stream and status == 200 else "application/json"
    asked |= {"stream": True} if stream else {}
    return _exchange(CHAT, asked, status, (("content-type", content_type),), pieces)


def _exchange(
    url: str, body: object, status: int, headers: tuple[tuple[str, str], ...], pieces: Iterable[tuple[float, bytes]]
) -> Exchange:
    chunks = tuple(Chunk(ns(at), data) for at, data in pieces)
    return Exchange(
        sent=0,
        request=Request("POST", url, (), canonical(json.dumps(body).encode())),
        response=Response(ns(300), status, headers),
        chunks=chunks,
        end=End((chunks[-1].at if chunks else ns(300)) + ns(5)),
    )

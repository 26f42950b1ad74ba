"""Prompt text: what a request asks and what its answer says, as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_claude_latency.messages_api import aws_event_stream, sse
from pytest_claude_latency.messages_api.exchange import Exchange, header


def instructions(body: Mapping[str, Any]) -> list[str]:
    """The texts in which a request says what it wants: the system prompt, and what the user said last."""
    messages = body.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    return [*texts(body.get("system")), *(texts(last.get("content")) if isinstance(last, dict) else ())]


def texts(content: Any) -> list[str]:
    """The text of a content: a string, or the text blocks of a list."""
    if isinstance(content, str):
        return [content]
    blocks = content if isinstance(content, list) else ()
    return [block["text"] for block in blocks if isinstance(block, dict) and isinstance(block.get("text"), str)]


def answer_blocks(exchange: Exchange) -> list[dict[str, Any]]:
    """The content blocks of an answer as JSON, those of a stream joined. A tool's input is its JSON text."""
    content_type = (exchange.response and header(exchange.response.headers, "content-type")) or ""
    if content_type.startswith(aws_event_stream.MEDIA_TYPE):
        return _joined(_events(aws_event_stream.Decoder(), exchange))
    if content_type.startswith("text/event-stream"):
        return _joined(_events(sse.Decoder(), exchange))
    message = _json(b"".join(chunk.data for chunk in exchange.chunks))
    content = message.get("content") if isinstance(message, dict) else None
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def answer_text(blocks: Iterable[Mapping[str, Any]]) -> str:
    """What the blocks of text say."""
    return "".join(block["text"] for block in blocks if isinstance(block.get("text"), str))


def _events(decoder: sse.Decoder | aws_event_stream.Decoder, exchange: Exchange) -> Iterator[Any]:
    for chunk in exchange.chunks:
        for event in decoder.feed(chunk.data):
            yield _json(event.data)


def _joined(events: Iterable[Any]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for event in events:
        if not isinstance(event, dict):
            continue
        if event.get("type") == "content_block_start" and isinstance(event.get("content_block"), dict):
            blocks.append(dict(event["content_block"]) | ({"input": ""} if "input" in event["content_block"] else {}))
        elif event.get("type") == "content_block_delta" and isinstance(event.get("delta"), dict):
            _append(blocks, event["delta"])
    return blocks


def _append(blocks: list[dict[str, Any]], delta: Mapping[str, Any]) -> None:
    if not blocks:
        return
    for key, field in (("text", "text"), ("partial_json", "input")):
        if isinstance(delta.get(key), str):
            blocks[-1][field] = str(blocks[-1].get(field) or "") + delta[key]


def _json(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None

"""Wording: what a request asks and what its answer says, as text, and whether one quotes the other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_claude_latency.messages_api import aws_event_stream, sse
from pytest_claude_latency.messages_api.exchange import Exchange, header

_RUN = 3
"""So many words in a row that stand in both are a quotation."""
_CJK = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")
_IDEOGRAPH = re.compile(rf"[{_CJK}]")
_NAMELIKE = re.compile(rf"\b(?:[A-Z][^\W_{_CJK}]{{3,}}|[^\W_{_CJK}]*\d[^\W_{_CJK}]*)")
_SHORT = 3


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


def strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value, keys left out, and numbers as text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


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


def is_quoted(answer: Iterable[Mapping[str, Any]], earlier: Any, later: Any) -> bool:
    """Whether the `later` request holds something that it may have from the answer to the `earlier` one.

    That is a run of words, a name or number, the whole of a short answer, or a value of a structured one; what stands
    in the earlier request already is no quotation. It is found rather too often than too rarely.
    """
    known = set(strings(earlier))
    news = [text for text in strings(later) if text not in known]
    said = [text for block in answer for text in _said(block)]
    before, after = " ".join(_words(" ".join(known))), " ".join(_words(" ".join(news)))
    return any(_stands_in(text, before, after) for text in said)


def _stands_in(text: str, before: str, after: str) -> bool:
    words = _words(text)
    if not words:
        return False
    if len(words) <= _SHORT:
        return _holds(after, words)
    run = _RUN + 1 if _IDEOGRAPH.search(text) else _RUN
    runs = (words[place : place + run] for place in range(len(words) - run + 1))
    names = (_words(name) for name in _NAMELIKE.findall(text))
    return any(_holds(after, each) and not _holds(before, each) for each in (*runs, *names))


def _holds(text: str, words: list[str]) -> bool:
    return f" {' '.join(words)} " in f" {text} "


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _said(block: Mapping[str, Any]) -> Iterator[str]:
    """What a block says: its text, an id that an answer to it must name, each value of a structured one."""
    text = block.get("text")
    if isinstance(text, str):
        yield text
        structured = _json(text)
        if isinstance(structured, dict | list):
            yield from strings(structured)
    if str(block.get("type", "")).endswith("tool_use"):
        yield str(block.get("id", ""))
        tool_input = block.get("input")
        yield from strings(_json(tool_input) if isinstance(tool_input, str) else tool_input)


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

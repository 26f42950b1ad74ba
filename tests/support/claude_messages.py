"""Messages of the test server: content blocks and usage, as events of a stream and as JSON.

A message is given once; a request that streams gets its events, one that does
not gets its JSON when the last event would have come.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from pytest_claude_latency.duration import Nanoseconds
from tests.support.claude_answers import JSON, Answer, Duration, Part, Timetable

EVENT_STREAM = "text/event-stream; charset=utf-8"
MODEL = "claude-haiku-4-5"

Json: TypeAlias = Mapping[str, Any]


class Block(Protocol):
    """A content block: its start, its deltas, its end, and its form in a complete message."""

    def start(self) -> Json: ...
    def book_keeping(self) -> tuple[Json, ...]: ...
    def deltas(self) -> tuple[Json, ...]: ...
    def closing(self) -> tuple[Json, ...]: ...
    def whole(self) -> Json: ...


@dataclass(frozen=True, slots=True)
class Text:
    """A text block. `|` separates its deltas, which may be empty. A tuple of deltas is used as it is."""

    content: str | tuple[str, ...]

    def start(self) -> Json:
        return {"type": "text", "text": ""}

    def book_keeping(self) -> tuple[Json, ...]:
        return ()

    def deltas(self) -> tuple[Json, ...]:
        return tuple({"type": "text_delta", "text": delta} for delta in _deltas(self.content))

    def closing(self) -> tuple[Json, ...]:
        return ()

    def whole(self) -> Json:
        return {"type": "text", "text": "".join(_deltas(self.content))}


@dataclass(frozen=True, slots=True)
class Thinking:
    """A thinking block with deltas like those of `Text`. `None` means that the thinking is signed but not shown."""

    content: str | tuple[str, ...] | None
    signature: str = "EqQBCgIYAhIkMzE0MTU5MjY1MzU4OTc5"

    def start(self) -> Json:
        return {"type": "thinking", "thinking": "", "signature": ""}

    def book_keeping(self) -> tuple[Json, ...]:
        return ()

    def deltas(self) -> tuple[Json, ...]:
        return tuple({"type": "thinking_delta", "thinking": delta} for delta in _deltas(self.content))

    def closing(self) -> tuple[Json, ...]:
        return ({"type": "signature_delta", "signature": self.signature},)

    def whole(self) -> Json:
        return {"type": "thinking", "thinking": "".join(_deltas(self.content)), "signature": self.signature}


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call of a tool. Its input comes as JSON in `pieces`, after the empty delta with which the API begins."""

    name: str
    input: Json = field(default_factory=dict)
    pieces: int = 2
    id: str = "toolu_01A09q90qw90lq917835lq9"

    def start(self) -> Json:
        return {"type": "tool_use", "id": self.id, "name": self.name, "input": {}}

    def book_keeping(self) -> tuple[Json, ...]:
        return ({"type": "input_json_delta", "partial_json": ""},)

    def deltas(self) -> tuple[Json, ...]:
        text = json.dumps(self.input, ensure_ascii=False)
        size = -(-len(text) // self.pieces)
        pieces = (text[start : start + size] for start in range(0, len(text), size))
        return tuple({"type": "input_json_delta", "partial_json": piece} for piece in pieces)

    def closing(self) -> tuple[Json, ...]:
        return ()

    def whole(self) -> Json:
        return {"type": "tool_use", "id": self.id, "name": self.name, "input": dict(self.input)}


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the API counts them. `output_tokens` includes thinking, which older answers do not count apart."""

    input_tokens: int = 12
    output_tokens: int = 8
    cache_read: int = 0
    cache_write: int = 0
    thinking_tokens: int | None = None

    def at_start(self) -> dict[str, Any]:
        return self._with_output(1)

    def at_end(self) -> dict[str, Any]:
        usage = self._with_output(self.output_tokens)
        if self.thinking_tokens is not None:
            usage["output_tokens_details"] = {"thinking_tokens": self.thinking_tokens}
        return usage

    def _with_output(self, tokens: int) -> dict[str, Any]:
        return {
            "input_tokens": self.input_tokens,
            "cache_creation_input_tokens": self.cache_write,
            "cache_read_input_tokens": self.cache_read,
            "output_tokens": tokens,
        }


def message(
    *blocks: Block,
    timetable: Timetable | None = None,
    usage: Usage | None = None,
    model: str = MODEL,
    stop_reason: str | None = None,
) -> Answer:
    """Return a message of these blocks: events if the request streams, else JSON at the end of the timetable."""
    timetable, usage = timetable or Timetable(), usage or Usage()
    reason = stop_reason or ("tool_use" if any(isinstance(block, ToolUse) for block in blocks) else "end_turn")
    start: dict[str, Any] = {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage.at_start(),
    }
    delta = {"stop_reason": reason, "stop_sequence": None}
    content = [block.whole() for block in blocks]
    whole = json.dumps({**start, **delta, "content": content, "usage": usage.at_end()}, ensure_ascii=False)
    parts = (
        Part(frame("message_start", message=start)),
        *_block_parts(blocks, timetable.gaps),
        Part(frame("message_delta", delta=delta, usage=usage.at_end()), timetable.end),
        Part(frame("message_stop")),
    )
    return Answer(
        headers=(("content-type", EVENT_STREAM), ("cache-control", "no-cache")),
        ttfb=timetable.ttfb,
        parts=parts,
        chunked=True,
        unstreamed=Answer(
            headers=(("content-type", JSON),),
            ttfb=timetable.total,
            parts=(Part(whole.encode(), content=True),),
        ),
    )


def text(
    content: str,
    *,
    ttfb: Duration = 0,
    gaps: Iterable[Duration] = (),
    end: Duration = 0,
    usage: Usage | None = None,
    model: str = MODEL,
    stop_reason: str | None = None,
) -> Answer:
    """Return a message of one text block, for example `text("Hello wor|ld", ttfb="20ms", gaps=["5ms", "10ms"])`."""
    timetable = Timetable.of(ttfb, gaps, end)
    return message(Text(content), timetable=timetable, usage=usage, model=model, stop_reason=stop_reason)


def thinking(
    thoughts: str | None,
    content: str,
    *,
    ttfb: Duration = 0,
    gaps: Iterable[Duration] = (),
    end: Duration = 0,
    usage: Usage | None = None,
    model: str = MODEL,
) -> Answer:
    """Return a message that thinks first; `None` means that it does not show its thinking."""
    timetable = Timetable.of(ttfb, gaps, end)
    return message(Thinking(thoughts), Text(content), timetable=timetable, usage=usage, model=model)


def tool_use(
    name: str,
    input: Json,  # noqa: A002 - the name in the API
    *,
    pieces: int = 2,
    say: str | None = None,
    ttfb: Duration = 0,
    gaps: Iterable[Duration] = (),
    end: Duration = 0,
    usage: Usage | None = None,
    model: str = MODEL,
) -> Answer:
    """Return a message that calls a tool, with or without text before it; each delta has a gap."""
    blocks: tuple[Block, ...] = (ToolUse(name, input, pieces),)
    if say is not None:
        blocks = (Text(say), *blocks)
    return message(*blocks, timetable=Timetable.of(ttfb, gaps, end), usage=usage, model=model)


def frame(kind: str, **data: object) -> bytes:
    """Return one server-sent event as the API writes it."""
    body = json.dumps({"type": kind, **data}, ensure_ascii=False, separators=(",", ":"))
    return f"event: {kind}\ndata: {body}\n\n".encode()


def _deltas(content: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if content is None:
        return ()
    return tuple(content.split("|")) if isinstance(content, str) else content


def _block_parts(blocks: Iterable[Block], gaps: Iterable[Nanoseconds]) -> Iterator[Part]:
    left = iter(gaps)
    for index, block in enumerate(blocks):
        yield Part(frame("content_block_start", index=index, content_block=block.start()))
        if index == 0:
            yield Part(frame("ping"))
        for delta in block.book_keeping():
            yield Part(frame("content_block_delta", index=index, delta=delta))
        for delta in block.deltas():
            yield Part(frame("content_block_delta", index=index, delta=delta), next(left, 0), content=True)
        for delta in block.closing():
            yield Part(frame("content_block_delta", index=index, delta=delta))
        yield Part(frame("content_block_stop", index=index))

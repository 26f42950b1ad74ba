"""Answers: what one HTTP answer says, and when each part of it arrived.

Reads the body of an exchange the way the SDK does, so that an event counts when,
and only if, the program gets to see it: frames without a name are skipped, and
an `error` event ends the answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, final

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.messages_api import aws_event_stream, sse
from pytest_claude_latency.messages_api.endpoints import asks_to_stream
from pytest_claude_latency.messages_api.exchange import Exchange, header

Kind: TypeAlias = Literal["text", "thinking", "input_json"]

# The deltas that hold content, and under which key. Signatures and citations say nothing a reader waits for.
_CONTENT: dict[object, tuple[Kind, str]] = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "input_json_delta": ("input_json", "partial_json"),
}
_decode = json.JSONDecoder().raw_decode  # a stream has thousands of small values: `json.loads` takes twice as long
_THINKING_BLOCKS = ("thinking", "redacted_thinking")


class Delta(NamedTuple):
    """A piece of content that is not empty, and when it arrived."""

    at: Nanoseconds
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the API counts them; None where it gave no number. `final` once `output` is the last word on it."""

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    thinking: int | None = None
    final: bool = False

    def updated(self, usage: object, *, final: bool) -> Usage:
        """With the numbers of a `usage` object in place of the old ones: its counts are cumulative."""
        return Usage(
            input=_count(usage, "input_tokens", self.input),
            cache_read=_count(usage, "cache_read_input_tokens", self.cache_read),
            cache_write=_count(usage, "cache_creation_input_tokens", self.cache_write),
            output=_count(usage, "output_tokens", self.output),
            thinking=_count(_get(usage, "output_tokens_details"), "thinking_tokens", self.thinking),
            final=self.final or (final and _count(usage, "output_tokens", None) is not None),
        )


@final
class Answer:
    """What one answer has said so far. Fields that nothing was said of are None."""

    def __init__(self, *, streamed: bool) -> None:
        self.streamed = streamed
        self.deltas: list[Delta] = []
        self.thinking: list[Nanoseconds] = []  # when blocks of thinking began, shown or not, in a stream
        self.usage = Usage()
        self.model: str | None = None
        self.stop_reason: str | None = None
        self.complete: Nanoseconds | None = None  # when `message_stop`, or the last byte of a body, arrived
        self.failed: Nanoseconds | None = None  # when an `error` event arrived, after which the SDK reads no further
        self.error: str | None = None  # the API's name for the error the answer reports

    def take_event(self, at: Nanoseconds, event: sse.Event) -> None:
        """The next event of a stream, which arrived at this instant."""
        if self.failed is not None:
            return
        match event.name:
            case "content_block_delta":
                self._take_delta(at, _json(event.data))
            case "content_block_start":
                if _get(_get(_json(event.data), "content_block"), "type") in _THINKING_BLOCKS:
                    self.thinking.append(at)
            case "message_start":
                message = _get(_json(event.data), "message")
                self.model = _text(message, "model")
                self.usage = self.usage.updated(_get(message, "usage"), final=False)
            case "message_delta":
                self._take_message_delta(_json(event.data))
            case "message_stop":
                self.complete = at
            case "error":
                self.failed = at
                self.error = _error_type(_json(event.data)) or "error"

    def _take_delta(self, at: Nanoseconds, data: Any) -> None:
        try:
            delta = data["delta"]
            kind, key = _CONTENT[delta["type"]]
            if delta[key]:
                self.deltas.append(Delta(at, kind))
        except (KeyError, TypeError):
            return  # it holds no content, or is none the SDK knows

    def _take_message_delta(self, data: object) -> None:
        self.stop_reason = _text(_get(data, "delta"), "stop_reason") or self.stop_reason
        self.usage = self.usage.updated(_get(data, "usage"), final=True)

    def take_body(self, at: Nanoseconds, body: bytes) -> None:
        """The whole body of an answer that does not stream, whose last byte arrived at this instant."""
        message = _json(body.decode("utf-8", "replace"))
        self.complete = at
        self.error = _error_type(message)
        self.model = _text(message, "model")
        self.stop_reason = _text(message, "stop_reason")
        self.usage = self.usage.updated(_get(message, "usage"), final=True)
        content = _get(message, "content")
        for block in content if isinstance(content, list) else ():
            self._take_block(at, block)

    def _take_block(self, at: Nanoseconds, block: object) -> None:
        if _get(block, "text"):
            self.deltas.append(Delta(at, "text"))
        elif _get(block, "thinking"):
            self.deltas.append(Delta(at, "thinking"))
        elif (_text(block, "type") or "").endswith("tool_use"):  # tool_use, server_tool_use, mcp_tool_use
            self.deltas.append(Delta(at, "input_json"))


class _Decoder(Protocol):
    def feed(self, data: bytes) -> Iterable[sse.Event]: ...


def read(exchange: Exchange, since: Nanoseconds = 0) -> Answer:
    """What the exchange's answer has said so far, its instants counted from `since` before the request was sent."""
    media_type = _media_type(exchange)
    answer = Answer(streamed=_streams(exchange, media_type))
    if answer.streamed and succeeded(exchange):
        decoder: _Decoder = aws_event_stream.Decoder() if media_type == aws_event_stream.MEDIA_TYPE else sse.Decoder()
        for chunk in exchange.chunks:
            for event in decoder.feed(chunk.data):
                answer.take_event(since + chunk.at, event)
    elif (end := exchange.end) is not None and end.error is None and end.closed is None:
        last = exchange.chunks[-1].at if exchange.chunks else end.at
        answer.take_body(since + last, b"".join(chunk.data for chunk in exchange.chunks))
    return answer


def succeeded(exchange: Exchange) -> bool:
    """Whether it was answered with a status that the SDK takes for success."""
    return exchange.response is not None and 200 <= exchange.response.status < 300


def _media_type(exchange: Exchange) -> str:
    content_type = exchange.response and header(exchange.response.headers, "content-type")
    return (content_type or "").partition(";")[0].strip().lower()


def _streams(exchange: Exchange, media_type: str) -> bool:
    """As the answer says; where it says nothing of it (no answer, an error, no content type), as was asked for."""
    if succeeded(exchange) and media_type:
        return media_type in ("text/event-stream", aws_event_stream.MEDIA_TYPE)
    return asks_to_stream(exchange.request)


def _json(text: str) -> Any:
    try:
        return _decode(text.lstrip())[0]
    except ValueError:
        return None


def _get(value: object, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _text(value: object, key: str) -> str | None:
    text = _get(value, key)
    return text if isinstance(text, str) and text else None


def _count(value: object, key: str, otherwise: int | None) -> int | None:
    number = _get(value, key)
    return number if isinstance(number, int) and not isinstance(number, bool) else otherwise


def _error_type(body: object) -> str | None:
    return _text(_get(body, "error"), "type")

"""Answers: what one HTTP answer holds, and when each part of it arrived.

The body of an exchange is read as the SDK reads it, so that an event counts when,
and only if, the program gets to see it: events without a name are skipped, and
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

# The deltas that hold content: under which key, and to which key of their block it belongs. Signatures and citations
# hold nothing that a reader waits for.
_CONTENT: dict[object, tuple[Kind, str, str]] = {
    "text_delta": ("text", "text", "text"),
    "thinking_delta": ("thinking", "thinking", "thinking"),
    "input_json_delta": ("input_json", "partial_json", "input"),
}
_EVENT_STREAM = "text/event-stream"
_decode = json.JSONDecoder().raw_decode  # a stream has thousands of small values: `json.loads` takes twice as long
_THINKING_BLOCKS = (
    "thinking",
    "redacted_thinking",
)  # the latter is encrypted: the model thought, and nobody may read it


class Delta(NamedTuple):
    """A piece of content that is not empty, and when it arrived."""

    at: Nanoseconds
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the API counts them; None where it gave no number. `final` says that `output` will not change again."""

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    thinking: int | None = None
    final: bool = False

    def updated(self, usage: object, *, final: bool) -> Usage:
        """Return the usage with the numbers of a `usage` object in place of the old ones: its counts are cumulative."""
        return Usage(
            input=_count(usage, "input_tokens", self.input),
            cache_read=_count(usage, "cache_read_input_tokens", self.cache_read),
            cache_write=_count(usage, "cache_creation_input_tokens", self.cache_write),
            output=_count(usage, "output_tokens", self.output),
            thinking=_count(_get(usage, "output_tokens_details"), "thinking_tokens", self.thinking),
            final=self.final or (final and _count(usage, "output_tokens", None) is not None),
        )


@final
class ReadAnswer:
    """What one answer holds so far. A field is None if the answer does not have it."""

    def __init__(self, *, streamed: bool) -> None:
        self.streamed = streamed
        self.deltas: list[Delta] = []
        self.thinking: list[Nanoseconds] = []  # when blocks of thinking began, shown or not, in a stream
        self.usage = Usage()
        self.model: str | None = None
        self.speed: str | None = None
        self.service_tier: str | None = None
        self.stop_reason: str | None = None
        self.complete: Nanoseconds | None = None  # when `message_stop`, or the last byte of a body, arrived
        self.failed: Nanoseconds | None = None  # when an `error` event arrived, after which the SDK reads no further
        self.error: str | None = None  # the API's name for the error the answer reports
        self._blocks: list[tuple[dict[str, Any], list[tuple[str, str]]]] = []  # each as it began, and what was added

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """The content blocks as JSON, those of a stream joined. The input of a tool from a stream is its JSON text."""
        blocks = []
        for start, additions in self._blocks:
            texts: dict[str, list[str]] = {}
            for key, text in additions:
                texts.setdefault(key, [str(start.get(key) or "")]).append(text)
            blocks.append(start | {key: "".join(pieces) for key, pieces in texts.items()})
        return blocks

    def take_event(self, at: Nanoseconds, event: sse.Event) -> None:
        """Take the next event of a stream, which arrived at this instant."""
        if self.failed is not None:
            return  # the SDK raises at the error and reads no further
        match event.name:
            case "content_block_delta":
                self._take_delta(at, _json(event.data))
            case "content_block_start":
                block = _get(_json(event.data), "content_block")
                if _get(block, "type") in _THINKING_BLOCKS:
                    self.thinking.append(at)
                if isinstance(block, dict):
                    self._blocks.append((block | ({"input": ""} if "input" in block else {}), []))
            case "message_start":
                self._take_message(_get(_json(event.data), "message"), final=False)
            case "message_delta":
                data = _json(event.data)
                # Gateways may send several: the latest number counts, and a reason once given stays.
                self.stop_reason = _text(_get(data, "delta"), "stop_reason") or self.stop_reason
                self.usage = self.usage.updated(_get(data, "usage"), final=True)
            case "message_stop":
                self.complete = at
            case "error":
                self.failed = at
                self.error = _error_type(_json(event.data)) or "error"

    def _take_delta(self, at: Nanoseconds, data: Any) -> None:
        try:
            delta = data["delta"]
            kind, key, block_key = _CONTENT[delta["type"]]
            text = delta[key]
        except (KeyError, TypeError):
            return  # it holds no content, or is none the SDK knows
        if text:
            self.deltas.append(Delta(at, kind))
            if self._blocks and isinstance(text, str):
                self._blocks[-1][1].append((block_key, text))

    def _take_message(self, message: object, *, final: bool) -> None:
        usage = _get(message, "usage")
        self.model = _text(message, "model")
        self.speed, self.service_tier = _text(usage, "speed"), _text(usage, "service_tier")
        self.usage = self.usage.updated(usage, final=final)

    def take_body(self, at: Nanoseconds, body: bytes) -> None:
        """Take the complete body of an answer that does not stream, whose last byte arrived at this instant."""
        message = _json(body.decode("utf-8", "replace"))
        self.complete = at
        self.error = _error_type(message)
        self.stop_reason = _text(message, "stop_reason")
        self._take_message(message, final=True)
        content = _get(message, "content")
        blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
        self._blocks = [(block, []) for block in blocks]
        for block in blocks:
            if block.get("text"):
                self.deltas.append(Delta(at, "text"))
            elif block.get("thinking"):
                self.deltas.append(Delta(at, "thinking"))
            elif (_text(block, "type") or "").endswith("tool_use"):  # tool_use, server_tool_use, mcp_tool_use
                self.deltas.append(Delta(at, "input_json"))


class _Decoder(Protocol):
    def feed(self, data: bytes) -> Iterable[sse.Event]: ...


def read(exchange: Exchange, since: Nanoseconds = 0, *, until: str | None = None) -> ReadAnswer:
    """Return what the exchange's answer holds so far.

    Its instants count from `since` before the request was sent. Of a stream no event after the first one named
    `until` is read, which is cheaper where only the beginning matters.
    """
    content_type = exchange.response and header(exchange.response.headers, "content-type")
    media_type = (content_type or "").partition(";")[0].strip().lower()
    # Where the answer does not say whether it streams (no answer, an error, no content type), the request does.
    streamed = (
        media_type in (_EVENT_STREAM, aws_event_stream.MEDIA_TYPE)
        if succeeded(exchange) and media_type
        else asks_to_stream(exchange.request)
    )
    answer = ReadAnswer(streamed=streamed)
    if streamed and succeeded(exchange):
        decoder: _Decoder = aws_event_stream.Decoder() if media_type == aws_event_stream.MEDIA_TYPE else sse.Decoder()
        for chunk in exchange.chunks:
            for event in decoder.feed(chunk.data):
                answer.take_event(since + chunk.at, event)
                if until is not None and event.name == until:
                    return answer
    elif (end := exchange.end) is not None and end.error is None and end.closed is None:
        # The last byte counts, not the end: closing a connection takes a while, and nobody waits for it.
        last = exchange.chunks[-1].at if exchange.chunks else end.at
        answer.take_body(since + last, b"".join(chunk.data for chunk in exchange.chunks))
    return answer


def succeeded(exchange: Exchange) -> bool:
    """Return whether it was answered with a status that the SDK takes for success."""
    return exchange.response is not None and 200 <= exchange.response.status < 300


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
    return number if isinstance(number, int) and not isinstance(number, bool) else otherwise  # True is an int


def _error_type(body: object) -> str | None:
    return _text(_get(body, "error"), "type")

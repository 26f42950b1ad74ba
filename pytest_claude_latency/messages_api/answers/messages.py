"""Answers of the Messages API, at Anthropic, on Vertex, and on Bedrock by `invoke`.

They are read as the SDK reads them, so that an event counts when, and only if, the program gets to see it: events
without a name are skipped, and an `error` event ends the answer.
"""

from __future__ import annotations

from typing import Any, final

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.messages_api import sse
from pytest_claude_latency.messages_api.answers.content import (
    Answer,
    BlockTime,
    Delta,
    Kind,
    Usage,
    count_at,
    get,
    items,
    json_body,
    json_value,
    text_at,
)

# The deltas that hold content: under which key, and to which key of their block it belongs. Signatures and citations
# hold nothing that a reader waits for.
_CONTENT: dict[object, tuple[Kind, str, str]] = {
    "text_delta": ("text", "text", "text"),
    "thinking_delta": ("thinking", "thinking", "thinking"),
    "input_json_delta": ("input_json", "partial_json", "input"),
}
# The latter is encrypted: the model thought, and nobody may read it.
_THINKING_BLOCKS = ("thinking", "redacted_thinking")


@final
class MessagesAnswer(Answer):
    """An answer of the Messages API."""

    def take_event(self, at: Nanoseconds, event: sse.Event) -> None:
        """Take the next event of a stream, which arrived at this instant."""
        if self.failed is not None:
            return  # the SDK raises at the error and reads no further
        match event.name:
            case "content_block_delta":
                self._take_delta(at, json_value(event.data))
            case "content_block_start":
                block = get(json_value(event.data), "content_block")
                self.block_times.append(BlockTime(str(get(block, "type")), at, first_place=len(self.deltas)))
                if get(block, "type") in _THINKING_BLOCKS:
                    self.thinking.append(at)
                if isinstance(block, dict):
                    # the input of a tool begins as an empty object, and its pieces are text
                    self._blocks.append((block | ({"input": ""} if "input" in block else {}), []))
            case "content_block_stop":
                if self.block_times:
                    self.block_times[-1] = self.block_times[-1]._replace(ended=at, past_place=len(self.deltas))
            case "message_start":
                # it counts the output too, but only what there was at that moment: one token, say
                self._take_message(get(json_value(event.data), "message"), final=False)
            case "message_delta":
                data = json_value(event.data)
                # Gateways may send several: the latest number counts, and a reason once given stays.
                self.stop_reason = text_at(data, "delta", "stop_reason") or self.stop_reason
                self._take_usage(get(data, "usage"), final=True)
            case "message_stop":
                self.complete = at
            case "error":
                self.failed = at
                self.error = text_at(json_value(event.data), "error", "type") or "error"

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
        usage = get(message, "usage")
        self.model = text_at(message, "model")
        self.speed, self.service_tier = text_at(usage, "speed"), text_at(usage, "service_tier")
        self.region = text_at(usage, "inference_geo")
        self.cache_miss = text_at(message, "diagnostics", "cache_miss_reason", "type")
        self._take_usage(usage, final=final)

    def _take_usage(self, usage: object, *, final: bool) -> None:
        # Counts are cumulative, so the latest number takes the place of the old one. What is not named again stays.
        known = self.usage
        self.usage = Usage(
            input=count_at(usage, "input_tokens", otherwise=known.input),
            cache_read=count_at(usage, "cache_read_input_tokens", otherwise=known.cache_read),
            cache_write=count_at(usage, "cache_creation_input_tokens", otherwise=known.cache_write),
            output=count_at(usage, "output_tokens", otherwise=known.output),
            thinking=count_at(usage, "output_tokens_details", "thinking_tokens", otherwise=known.thinking),
            final=known.final or (final and count_at(usage, "output_tokens") is not None),
        )
        if iterations := items(get(usage, "iterations")):
            self.iterations = [text_at(iteration, "type") or "" for iteration in iterations]
        written = count_at(usage, "cache_creation", "ephemeral_1h_input_tokens")
        self.written_for_an_hour = self.written_for_an_hour if written is None else written
        tools = get(usage, "server_tool_use")
        for name in tools if isinstance(tools, dict) else ():
            self.server_tools[name] = count_at(tools, name, otherwise=0) or 0

    def take_body(self, at: Nanoseconds, body: bytes) -> None:
        """Take the complete body of an answer that does not stream, whose last byte arrived at this instant."""
        message = json_body(body)
        self.complete = at
        self.error = text_at(message, "error", "type")
        self.stop_reason = text_at(message, "stop_reason")
        self._take_message(message, final=True)
        blocks = [block for block in items(get(message, "content")) if isinstance(block, dict)]
        self._blocks = [(block, []) for block in blocks]
        for block in blocks:
            if block.get("text"):
                self.deltas.append(Delta(at, "text"))
            elif block.get("thinking"):
                self.deltas.append(Delta(at, "thinking"))
            elif (text_at(block, "type") or "").endswith("tool_use"):  # tool_use, server_tool_use, mcp_tool_use
                self.deltas.append(Delta(at, "input_json"))

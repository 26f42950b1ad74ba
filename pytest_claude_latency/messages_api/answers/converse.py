"""Answers of Bedrock's Converse, as `botocore` reads them.

A stream has a `contentBlockStart` only where a tool is used. Each block has an index, and its first delta says what
it is. Usage comes behind `messageStop`, in `metadata`.
"""

from __future__ import annotations

from typing import Any, final

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.messages_api import sse
from pytest_claude_latency.messages_api.answers.content import (
    Answer,
    Kind,
    Usage,
    count_at,
    get,
    items,
    json_body,
    json_value,
    text_at,
)


@final
class ConverseAnswer(Answer):
    """An answer of `converse` or `converse-stream`."""

    def __init__(self, *, streamed: bool) -> None:
        super().__init__(streamed=streamed)
        self._by_index: dict[tuple[object, Kind], dict[str, Any]] = {}

    def take_event(self, at: Nanoseconds, event: sse.Event) -> None:
        """Take the next event of a stream, which arrived at this instant."""
        if self.failed is not None:
            return  # the client raises at the error and reads no further
        data = json_value(event.data)
        match event.name:
            case "contentBlockDelta":
                delta = get(data, "delta")
                if (reasoning := get(delta, "reasoningContent")) is not None:
                    if (_index(data), "thinking") not in self._by_index:
                        self.thinking.append(at)  # shown or not: a block may hold nothing but what is encrypted
                    self._add(at, "thinking", get(reasoning, "text"), self._block_of(data, "thinking"))
                elif (tool := get(delta, "toolUse")) is not None:
                    self._add(at, "input_json", get(tool, "input"), self._block_of(data, "input_json"))
                elif text := text_at(delta, "text"):
                    # an empty text begins no block: the first delta of a block says what it is
                    self._add(at, "text", text, self._block_of(data, "text"))
            case "contentBlockStart":
                if (tool := get(data, "start", "toolUse")) is not None:
                    self._block_of(data, "input_json", name=text_at(tool, "name") or "")
            case "messageStop":
                self.complete = at
                self.stop_reason = text_at(data, "stopReason")
            case "metadata":
                self._take_usage(data)
            case "error":
                self.failed = at
                self.error = text_at(data, "error", "type") or "error"

    def _block_of(self, data: object, kind: Kind, **fields: Any) -> dict[str, Any]:
        """Return the block that an event belongs to, begun by now."""
        key = (_index(data), kind)
        if key not in self._by_index:
            self._by_index[key] = self._begin_block(kind, **fields)
        return self._by_index[key]

    def take_body(self, at: Nanoseconds, body: bytes) -> None:
        """Take the complete body of an answer that does not stream, whose last byte arrived at this instant."""
        data = json_body(body)
        self.complete = at
        self.stop_reason = text_at(data, "stopReason")
        self._take_usage(data)
        for block in items(get(data, "output", "message", "content")):
            self._add_whole(at, "thinking", text_at(block, "reasoningContent", "reasoningText", "text"))
            if (tool := get(block, "toolUse")) is not None:
                self._add_whole(at, "input_json", get(tool, "input"), name=text_at(tool, "name") or "")
            self._add_whole(at, "text", text_at(block, "text"))

    def _take_usage(self, data: object) -> None:
        usage = get(data, "usage")
        output = count_at(usage, "outputTokens")
        self.usage = Usage(
            input=count_at(usage, "inputTokens"),
            cache_read=count_at(usage, "cacheReadInputTokens"),
            cache_write=count_at(usage, "cacheWriteInputTokens"),
            output=output,
            final=output is not None,
        )
        self.speed = text_at(data, "performanceConfig", "latency")
        self.service_tier = text_at(data, "serviceTier", "type")


def _index(data: object) -> int | None:
    return count_at(data, "contentBlockIndex")

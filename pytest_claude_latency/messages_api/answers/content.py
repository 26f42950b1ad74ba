"""Content: what an answer holds so far, in whatever form it comes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.messages_api import sse

Kind: TypeAlias = Literal["text", "thinking", "input_json"]

_decode = json.JSONDecoder().raw_decode  # a stream has thousands of small values: `json.loads` takes twice as long
_BLOCKS: dict[Kind, tuple[str, str]] = {
    "text": ("text", "text"),
    "thinking": ("thinking", "thinking"),
    "input_json": ("tool_use", "input"),
}
"""The type of the block that holds such content, and the key that it stands under."""


class Delta(NamedTuple):
    """A piece of content that is not empty, and when it arrived."""

    at: Nanoseconds
    kind: Kind


class BlockTime(NamedTuple):
    """When a content block of a stream began and ended; `ended` is None while it is under way.

    Its pieces are told by their places among all of the answer: one chunk may end a block and begin the next, so that
    the last piece of the one comes at the instant when the other began.
    """

    type: str
    began: Nanoseconds
    ended: Nanoseconds | None = None
    first_place: int = 0
    past_place: int | None = None

    def pieces(self, deltas: Sequence[Delta]) -> Sequence[Delta]:
        """Return those of an answer's pieces that belong to the block."""
        return deltas[self.first_place : self.past_place]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the API counts them; None where it gave no number. `final` says that `output` will not change again."""

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    thinking: int | None = None
    final: bool = False


class Answer:
    """What one answer holds so far. A field is None if the answer does not have it.

    Each form of the wire has a class of its own that reads its events and its bodies.
    """

    def __init__(self, *, streamed: bool) -> None:
        self.streamed = streamed
        self.deltas: list[Delta] = []
        self.thinking: list[Nanoseconds] = []  # when blocks of thinking began, shown or not, in a stream
        self.block_times: list[BlockTime] = []  # of a stream of the Messages API
        self.usage = Usage()
        self.written_for_an_hour = 0  # tokens, of those written to the cache
        self.server_tools: dict[str, int] = {}  # how often the API itself used which tool, by the API's names
        self.model: str | None = None
        self.speed: str | None = None
        self.region: str | None = None  # where it was computed
        self.iterations: list[str] = []  # what the API did one after the other: "message", "compaction", ...
        self.cache_miss: str | None = None  # why the prompt was not read from the cache, if the API was asked
        self.service_tier: str | None = None
        self.stop_reason: str | None = None
        self.complete: Nanoseconds | None = None  # when the end of the message, or the last byte of a body, arrived
        self.failed: Nanoseconds | None = None  # when an error arrived in a stream, after which no client reads further
        self.error: str | None = None  # the API's name for the error the answer reports
        self._blocks: list[tuple[dict[str, Any], list[tuple[str, str]]]] = []  # each as it began, and what was added

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """The content blocks as JSON, those of a stream joined. The input of a tool from a stream is its JSON text.

        Those of other forms have the keys of the Messages API.
        """
        blocks = []
        for start, additions in self._blocks:
            texts: dict[str, list[str]] = {}
            for key, text in additions:
                texts.setdefault(key, [str(start.get(key) or "")]).append(text)
            blocks.append(start | {key: "".join(pieces) for key, pieces in texts.items()})
        return blocks

    @property
    def billed(self) -> dict[str, int]:
        """What is paid for: tokens by the kinds that have a price, and uses of the API's own tools."""
        usage = self.usage
        return {
            "input": usage.input or 0,
            "output": usage.output or 0,
            "cache_read": usage.cache_read or 0,
            "cache_write_5m": max((usage.cache_write or 0) - self.written_for_an_hour, 0),
            "cache_write_1h": self.written_for_an_hour,
            **self.server_tools,
        }

    def take_event(self, at: Nanoseconds, event: sse.Event) -> None:
        """Take the next event of a stream, which arrived at this instant."""
        raise NotImplementedError

    def take_body(self, at: Nanoseconds, body: bytes) -> None:
        """Take the complete body of an answer that does not stream, whose last byte arrived at this instant."""
        raise NotImplementedError

    def _begin_block(self, kind: Kind, **fields: Any) -> dict[str, Any]:
        """Begin a content block, in the terms of the Messages API."""
        block_type, key = _BLOCKS[kind]
        block = {"type": block_type, **fields, key: ""}
        self._blocks.append((block, []))
        return block

    def _add(self, at: Nanoseconds, kind: Kind, text: object, block: dict[str, Any] | None = None) -> None:
        """Add a piece of content, unless it is empty, to this block, else to the latest one of its kind."""
        if not isinstance(text, str) or not text:
            return
        self.deltas.append(Delta(at, kind))
        block_type, key = _BLOCKS[kind]
        if block is None:
            latest = self._blocks[-1][0] if self._blocks else None
            block = latest if latest and latest["type"] == block_type else self._begin_block(kind)
        for start, additions in reversed(self._blocks):
            if start is block:
                additions.append((key, text))
                return

    def _add_whole(self, at: Nanoseconds, kind: Kind, value: object, **fields: Any) -> None:
        """Add a block of an answer that does not stream. One without text is none; a tool may be used without input."""
        if value or kind == "input_json":
            block_type, key = _BLOCKS[kind]
            self.deltas.append(Delta(at, kind))
            self._blocks.append(({"type": block_type, **fields, key: value}, []))


def json_value(text: str) -> Any:
    """Return the JSON value that a text begins with; None if it is damaged."""
    try:
        return _decode(text.lstrip())[0]
    except (ValueError, RecursionError):
        return None


def json_body(body: bytes) -> Any:
    """Return the JSON value of a body; None if it is damaged."""
    return json_value(body.decode("utf-8", "replace"))


def get(value: object, *keys: str) -> Any:
    """Return what stands under these keys, each inside the one before; None if there is nothing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def items(value: object) -> list[Any]:
    """Return a JSON array; an empty one in place of anything else."""
    return value if isinstance(value, list) else []


def text_at(value: object, *keys: str) -> str | None:
    """Return the text under these keys; None if there is none, or an empty one."""
    text = get(value, *keys)
    return text if isinstance(text, str) and text else None


def count_at(value: object, *keys: str, otherwise: int | None = None) -> int | None:
    """Return the whole number under these keys, else `otherwise`."""
    number = get(value, *keys)
    return number if isinstance(number, int) and not isinstance(number, bool) else otherwise  # True is an int

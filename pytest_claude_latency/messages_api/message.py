"""Messages as the API sends them: values that know both of their forms.

The blocks of a message give the events of a stream, and the JSON of an answer that does not stream. Nothing here is
random.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
"""The API's name for the error of each status."""


@dataclass(frozen=True, slots=True)
class Block:
    """A content block: as a stream opens it, the deltas that fill it, and the complete block."""

    opening: Json
    deltas: tuple[Json, ...]
    complete: Json


def text_block(pieces: Sequence[str], citations: Sequence[Json] = ()) -> Block:
    """Return text in pieces, any of which may be empty, followed by what it cites."""
    deltas: list[Json] = [{"type": "text_delta", "text": piece} for piece in pieces]
    deltas += [{"type": "citations_delta", "citation": citation} for citation in citations]
    complete: Json = {"type": "text", "text": "".join(pieces)} | ({"citations": list(citations)} if citations else {})
    return Block({"type": "text", "text": ""}, tuple(deltas), complete)


def thinking_block(pieces: Sequence[str], signature: str) -> Block:
    """Return thinking in pieces, followed by its signature. Without pieces it is thinking that is not shown."""
    deltas: list[Json] = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
    deltas.append({"type": "signature_delta", "signature": signature})
    complete = {"type": "thinking", "thinking": "".join(pieces), "signature": signature}
    return Block({"type": "thinking", "thinking": "", "signature": ""}, tuple(deltas), complete)


def redacted_thinking_block(data: str) -> Block:
    """Return thinking that is encrypted, which a program can only send back."""
    return _unfilled_block({"type": "redacted_thinking", "data": data})


def tool_use_block(kind: str, id: str, name: str, pieces: Sequence[str]) -> Block:  # noqa: A002 - the API's name
    """Return the use of a tool, its input as JSON text in pieces. `kind` is `"tool_use"` or `"server_tool_use"`."""
    # The API opens with an empty object and sends an empty piece first; only the joined pieces are the input.
    opening = {"type": kind, "id": id, "name": name, "input": {}}
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *pieces)]
    return Block(opening, tuple(deltas), opening | {"input": json.loads("".join(pieces))})


def search_result_block(tool_use_id: str, titles: Sequence[str]) -> Block:
    """Return the results of a search by the server."""
    results = [
        {
            "type": "web_search_result",
            "title": title,
            "url": f"https://example.com/{title}",
            "encrypted_content": "Eq",
            "page_age": None,
        }
        for title in titles
    ]
    return _unfilled_block({"type": "web_search_tool_result", "tool_use_id": tool_use_id, "content": results})


def citation(text: str) -> Json:
    """Return a place in the first document of the prompt."""
    # one of the forms that the API has is enough: a citation is no content that a metric counts
    place = {"document_index": 0, "document_title": None, "start_char_index": 0, "end_char_index": len(text)}
    return {"type": "char_location", "cited_text": text} | place


def _unfilled_block(complete: Json) -> Block:
    """Return a block that a stream sends as a whole in its opening event."""
    return Block(complete, (), complete)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An answer of the API. `usage` is the final one, `at_start` the output tokens counted when it begins."""

    id: str
    model: str
    blocks: tuple[Block, ...]
    stop_reason: str
    stop_sequence: str | None
    usage: Json
    at_start: int = 1

    def unstreamed(self) -> Json:
        """Return the answer as one JSON object."""
        return self._envelope() | {
            "content": [block.complete for block in self.blocks],
            "stop_reason": self.stop_reason,
            "stop_sequence": self.stop_sequence,
            "usage": self.usage,
        }

    def events(self) -> Iterator[Json]:
        """Yield the events of the answer as a stream, without pings."""
        # `message_start` counts the input and the first output tokens, `message_delta` all output tokens.
        counted_later = ("output_tokens", "output_tokens_details")
        usage = {key: value for key, value in self.usage.items() if key not in counted_later}
        yield {
            "type": "message_start",
            "message": self._envelope() | {"usage": usage | {"output_tokens": self.at_start}},
        }
        for index, block in enumerate(self.blocks):
            yield {"type": "content_block_start", "index": index, "content_block": block.opening}
            for delta in block.deltas:
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        # why the message ended is known only when it has
        ending = {"stop_reason": self.stop_reason, "stop_sequence": self.stop_sequence}
        final = {key: self.usage[key] for key in counted_later if key in self.usage}
        yield {"type": "message_delta", "delta": ending, "usage": final}
        yield {"type": "message_stop"}

    def _envelope(self) -> Json:
        head = {"id": self.id, "type": "message", "role": "assistant", "model": self.model}
        return head | {"content": [], "stop_reason": None, "stop_sequence": None}


def holds_content(event: Mapping[str, Any]) -> bool:
    """Return whether the event brings a token: it is a delta with text, thinking or a tool's input."""
    delta = event.get("delta", {})
    return bool(delta.get("text") or delta.get("thinking") or delta.get("partial_json"))


def error(name: str, message: str) -> Json:
    """Return an error of the API: the body of an answer with an error status, or an event in mid-stream."""
    return {"type": "error", "error": {"details": None, "type": name, "message": message}}


def encoded(event: Mapping[str, Any]) -> bytes:
    """Return the event as the API writes it into a stream."""
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()

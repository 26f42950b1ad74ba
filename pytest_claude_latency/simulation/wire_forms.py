"""A message in the form that a request asks for: as one body, or as the events of a stream."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from pytest_claude_latency.messages_api import aws_event_stream
from pytest_claude_latency.messages_api.endpoints import asks_to_stream, body_fields, provider_of
from pytest_claude_latency.messages_api.exchange import Headers, Request
from pytest_claude_latency.messages_api.forms import form_of
from pytest_claude_latency.messages_api.message import Message, encoded, holds_content

_FINISH = {"end_turn": "stop", "tool_use": "tool_calls"}


class Part(NamedTuple):
    """An event of a stream, as bytes, and whether it brings content."""

    data: bytes
    is_content: bool


def headers_for(request: Request, number: int) -> Headers:
    """Return the headers of the answer to a request. `number` tells the answers of a test apart."""
    streams, is_aws = asks_to_stream(request), provider_of(request) == "bedrock"
    of_stream = aws_event_stream.MEDIA_TYPE if is_aws else "text/event-stream; charset=utf-8"
    name = "x-amzn-requestid" if is_aws else "request-id"
    return (("content-type", of_stream if streams else "application/json"), (name, f"req_made_up_{number}"))


def whole_of(message: Message, request: Request) -> bytes:
    """Return the body of an answer that does not stream."""
    bodies = {"converse": _converse_body, "chat": _chat_body}
    body = bodies.get(form_of(request), Message.unstreamed)(message)
    return json.dumps(body, ensure_ascii=False).encode()


def stream_of(message: Message, request: Request) -> list[Part]:
    """Return the events of an answer that streams."""
    form = form_of(request)
    if form == "chat":
        counts = bool((body_fields(request).get("stream_options") or {}).get("include_usage"))
        return list(_chat_events(message, counts=counts))
    if form == "converse":
        return list(_converse_events(message))
    if provider_of(request) != "bedrock":
        return [Part(encoded(event), holds_content(event)) for event in message.events()]
    parts = []
    for event in message.events():
        # Bedrock's `invoke` sends each event of the Messages API as base64 in a frame of its own.
        text = json.dumps(event, ensure_ascii=False).encode()
        payload = json.dumps({"bytes": base64.b64encode(text).decode()}).encode()
        frame = aws_event_stream.frame(aws_event_stream.EVENT | {":event-type": "chunk"}, payload)
        parts.append(Part(frame, holds_content(event)))
    return parts


# ── Converse ──


def _converse_body(message: Message) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    for block in (block.complete for block in message.blocks):
        if block["type"] == "text":
            content.append({"text": block["text"]})
        else:
            tool = {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}
            content.append({"toolUse": tool})
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": message.stop_reason,
        "usage": _converse_usage(message),
        "metrics": {"latencyMs": 0},
    }


def _converse_usage(message: Message) -> dict[str, int]:
    given, taken = message.usage["input_tokens"], message.usage["output_tokens"]
    return {"inputTokens": given, "outputTokens": taken, "totalTokens": given + taken}


def _converse_events(message: Message) -> Iterator[Part]:
    def part(name: str, **data: Any) -> Part:
        payload = json.dumps(data, ensure_ascii=False).encode()
        return Part(aws_event_stream.frame(aws_event_stream.EVENT | {":event-type": name}, payload), False)

    yield part("messageStart", role="assistant")
    for index, block in enumerate(message.blocks):
        is_text = block.complete["type"] == "text"
        # Converse opens a block of text without an event of its own.
        if not is_text:
            start = {"toolUse": {"toolUseId": block.complete["id"], "name": block.complete["name"]}}
            yield part("contentBlockStart", contentBlockIndex=index, start=start)
        for piece in _texts(block.deltas):
            delta = {"text": piece} if is_text else {"toolUse": {"input": piece}}
            yield part("contentBlockDelta", contentBlockIndex=index, delta=delta)._replace(is_content=True)
        yield part("contentBlockStop", contentBlockIndex=index)
    yield part("messageStop", stopReason=message.stop_reason)
    yield part("metadata", usage=_converse_usage(message), metrics={"latencyMs": 0})


# ── chat completions ──


def _chat_body(message: Message) -> dict[str, Any]:
    answer: dict[str, Any] = {"role": "assistant", "content": None}
    for block in (block.complete for block in message.blocks):
        if block["type"] == "text":
            answer["content"] = block["text"]
        else:
            arguments = json.dumps(block["input"], ensure_ascii=False)
            function = {"name": block["name"], "arguments": arguments}
            answer.setdefault("tool_calls", []).append({"id": block["id"], "type": "function", "function": function})
    finish = _FINISH[message.stop_reason]
    choice = {"index": 0, "message": answer, "finish_reason": finish, "logprobs": None}
    return _chat_head(message, "chat.completion") | {"choices": [choice], "usage": _chat_usage(message)}


def _chat_head(message: Message, kind: str) -> dict[str, Any]:
    # No date: an answer must have the same bytes in every run.
    return {"id": message.id, "object": kind, "created": 0, "model": message.model}


def _chat_usage(message: Message) -> dict[str, int]:
    given, taken = message.usage["input_tokens"], message.usage["output_tokens"]
    return {"prompt_tokens": given, "completion_tokens": taken, "total_tokens": given + taken}


def _chat_events(message: Message, *, counts: bool) -> Iterator[Part]:
    def part(delta: dict[str, Any], finish: str | None = None, *, is_content: bool = False) -> Part:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        event = _chat_head(message, "chat.completion.chunk") | {"choices": [choice]}
        return Part(f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode(), is_content)

    yield part({"role": "assistant", "content": ""})
    tools = 0
    for block in message.blocks:
        if block.complete["type"] == "text":
            for piece in _texts(block.deltas):
                yield part({"content": piece}, is_content=True)
            continue
        function = {"name": block.complete["name"], "arguments": ""}
        # The index counts tools alone: text has none in this form.
        head = {"index": tools, "id": block.complete["id"], "type": "function", "function": function}
        yield part({"tool_calls": [head]})
        for piece in _texts(block.deltas):
            yield part({"tool_calls": [{"index": tools, "function": {"arguments": piece}}]}, is_content=True)
        tools += 1
    yield part({}, _FINISH[message.stop_reason])
    if counts:
        # Counts come in an event of their own, which has no choice.
        event = _chat_head(message, "chat.completion.chunk") | {"choices": [], "usage": _chat_usage(message)}
        yield Part(f"data: {json.dumps(event)}\n\n".encode(), False)
    yield Part(b"data: [DONE]\n\n", False)


def _texts(deltas: tuple[dict[str, Any], ...]) -> list[str]:
    """Return the pieces of content in the deltas of a block that are not empty."""
    pieces = (str(delta.get("text") or delta.get("partial_json") or "") for delta in deltas)
    return [piece for piece in pieces if piece]

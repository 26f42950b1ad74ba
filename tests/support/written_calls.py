"""Calls written down: exchanges whose every instant and every word a test chooses. Times are milliseconds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.messages_api.exchange import Chunk, Connect, End, Exchange, Request, Response

URL = "https://api.anthropic.com/v1/messages"
HAIKU, SONNET, OPUS = "claude-haiku-4-5", "claude-sonnet-4-6", "claude-opus-4-6"
_KINDS = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "json": ("input_json_delta", "partial_json"),
}
_BLOCKS = {"text": "text", "thinking": "thinking", "json": "tool_use"}
_EMPTY: dict[str, dict[str, Any]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"id": "toolu_1", "name": "look_up", "input": {}},
}


def ns(milliseconds: float) -> Nanoseconds:
    """Milliseconds as the package counts time."""
    return round(milliseconds * 1_000_000)


def asked(prompt: str = "Where is my order?", **body: Any) -> Request:
    """A request that asks `prompt` of Haiku for at most 1024 tokens, but for `body`. None leaves a field out."""
    fields = {"model": HAIKU, "max_tokens": 1024, "messages": [{"role": "user", "content": prompt}]} | body
    content = json.dumps({key: value for key, value in fields.items() if value is not None}, ensure_ascii=False)
    return Request("POST", URL, (), content.encode())


def usage(
    prompt: int = 31, output: int | None = 96, *, read: int = 0, written: int = 0, thinking: int | None = None
) -> dict[str, Any]:
    """Usage as the API gives it."""
    counted: dict[str, Any] = {
        "input_tokens": prompt,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
    }
    if output is not None:
        counted["output_tokens"] = output
    return counted if thinking is None else counted | {"output_tokens_details": {"thinking_tokens": thinking}}


def streamed(
    request: Request | None = None,
    pieces: Sequence[tuple[float, str, str]] = ((400, "text", "Your parcel "), (900, "text", "is on its way.")),
    *,
    sent: float = 0,
    connect: tuple[float, float] | None = None,
    headers: float = 300,
    stop: float | None = None,
    ended: float | None = None,
    stop_reason: str = "end_turn",
    used: dict[str, Any] | None = None,
    error: str | None = None,
    hidden: float | None = None,
) -> Exchange:
    """A streamed answer of `pieces` (when, kind, text), `message_stop` at `stop` and the end of the stream at `ended`.

    `hidden`: when a block of thinking begins that is not shown. With `error` the stream breaks off at `stop` instead.
    """
    request = request or asked()
    body = request.json | {"stream": True}
    request = Request(request.method, request.url, request.headers, json.dumps(body, ensure_ascii=False).encode())
    used = used or usage()
    stop = stop if stop is not None else (pieces[-1][0] if pieces else headers)
    start = _message(body, []) | {"usage": used | {"output_tokens": 1}}
    events: list[tuple[float, dict[str, Any]]] = [(headers, {"type": "message_start", "message": start})]
    last, index = None, -1
    if hidden is not None:
        index += 1
        events.append((hidden, _start("thinking", index)))
    for at, kind, text in pieces:
        if kind != last:
            index += 1
            events.append((at, _start(_BLOCKS[kind], index)))
            last = kind
        name, key = _KINDS[kind]
        events.append((at, {"type": "content_block_delta", "index": index, "delta": {"type": name, key: text}}))
    if error is None:
        events.append((stop, {"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": used}))
        events.append((stop, {"type": "message_stop"}))
    return Exchange(
        sent=ns(sent),
        request=request,
        connect=None if connect is None else Connect(ns(connect[0]), ns(connect[1])),
        response=Response(ns(headers), 200, (("content-type", "text/event-stream; charset=utf-8"),)),
        chunks=tuple(Chunk(ns(at), _event(data)) for at, data in events),
        end=End(ns(stop if ended is None else ended), error=error),
    )


def whole(
    request: Request | None = None,
    text: str = "Your parcel is on its way.",
    *,
    sent: float = 0,
    at: float = 900,
    connect: tuple[float, float] | None = None,
    stop_reason: str = "end_turn",
    used: dict[str, Any] | None = None,
    content: list[dict[str, Any]] | None = None,
) -> Exchange:
    """An answer that does not stream, whose last byte comes at `at`."""
    request = request or asked()
    message = _message(request.json, [{"type": "text", "text": text}] if content is None else content)
    message |= {"stop_reason": stop_reason, "usage": used or usage()}
    return Exchange(
        sent=ns(sent),
        request=request,
        connect=None if connect is None else Connect(ns(connect[0]), ns(connect[1])),
        response=Response(ns(at) - 1_000_000, 200, (("content-type", "application/json"),)),
        chunks=(Chunk(ns(at), json.dumps(message, ensure_ascii=False).encode()),),
        end=End(ns(at)),
    )


def refused(
    request: Request | None = None, status: int = 529, *, sent: float = 0, at: float = 100, **headers: str
) -> Exchange:
    """An attempt answered with an error status; headers with `_` for `-`."""
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    body = json.dumps({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}).encode()
    return Exchange(
        sent=ns(sent),
        request=request or asked(),
        response=Response(ns(at), status, (("content-type", "application/json"), *named)),
        chunks=(Chunk(ns(at), body),),
        end=End(ns(at)),
    )


def unanswered(
    request: Request | None = None, error: str = "ConnectError", *, sent: float = 0, at: float = 100
) -> Exchange:
    """An attempt that got no response."""
    return Exchange(sent=ns(sent), request=request or asked(), end=End(ns(at), error=error))


def counting(*, sent: float = 0, at: float = 50) -> Exchange:
    """A request that makes no message: it counts tokens."""
    request = Request("POST", f"{URL}/count_tokens", (), b"{}")
    return Exchange(sent=ns(sent), request=request, response=Response(ns(at), 200), end=End(ns(at)))


def _message(body: dict[str, Any], content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
    }


def _start(kind: str, index: int) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **_EMPTY[kind]}}


def _event(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()

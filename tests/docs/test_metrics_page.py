"""The worked example of the page on metrics, measured."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange, Request, Response
from pytest_claude_latency.metrics.timeline import measure

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
DELTAS = {"thinking_delta": "thinking", "text_delta": "text", "signature_delta": "signature"}


def arrivals() -> list[tuple[int, str, str]]:
    """The lines of the example: milliseconds, what arrived, and what it held."""
    example = PAGE.read_text("utf-8").partition("```text\n")[2].partition("```")[0]
    return [(int(at), what, held) for at, what, held in re.findall(r"(\d+) ms  (\w+)(?: +(.*))?", example)]


def event(what: str, held: str) -> dict[str, Any]:
    if what in DELTAS:
        content = json.loads(held) if held else "EqQB"
        return {"type": "content_block_delta", "index": 0, "delta": {"type": what, DELTAS[what]: content}}
    if what == "content_block_start":
        return {"type": what, "index": 0, "content_block": {"type": held}}
    counted = {tokens: int(count) for count, tokens in re.findall(r"(\d+) (\w+) tokens", held)}
    usage = {f"{name}_tokens": count for name, count in counted.items()}
    return {"type": what, "message": {"usage": usage}, "usage": usage}


def test_the_example_measures_as_its_table_says() -> None:
    lines = arrivals()
    instants = {what: at * MILLISECOND for at, what, _ in lines}
    written = [(at * MILLISECOND, event(what, held)) for at, what, held in lines if what not in ("request", "response")]
    chunks = [Chunk(at, f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode()) for at, e in written]
    response = Response(instants["response"], 200, (("content-type", "text/event-stream"),))
    request = Request("POST", "https://api.anthropic.com/v1/messages")

    call = measure([Exchange(0, request, response=response, chunks=tuple(chunks), end=End(instants["message_stop"]))])
    stated = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert [name for name, _ in stated] == [
        *("ttfb", "ttft", "ttfa", "total", "longest_gap", "tpot", "output_tokens_per_second")
    ]
    assert {name: float(value) for name, value in stated} == {name: getattr(call, name) for name, _ in stated}


def test_the_page_names_every_field_of_a_call() -> None:
    page = PAGE.read_text("utf-8")

    call = measure([Exchange(0, Request("POST", "https://api.anthropic.com/v1/messages"))])
    assert [field for field in call.as_json() if f"`{field}`" not in page] == []

"""What one answer holds, however it came."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pytest_claude_latency.diagnosis.trace import Trace
from pytest_claude_latency.messages_api.answer import read
from pytest_claude_latency.messages_api.exchange import Exchange, Response
from pytest_claude_latency.metrics.conditions import conditions_of
from pytest_claude_latency.metrics.timeline import measure
from tests.support.written_calls import ns, refused, streamed, usage, whole

PIECES = ((400.0, "text", "Let me "), (500.0, "text", "look."), (600.0, "json", '{"order'), (900.0, "json", '": 7}'))


def as_media_type(exchange: Exchange, content_type: str) -> Exchange:
    return replace(exchange, response=Response(ns(300), 200, (("content-type", content_type),)))


def test_the_blocks_of_a_stream_are_joined_and_the_input_of_a_tool_is_its_text() -> None:
    text, tool = read(streamed(pieces=PIECES)).blocks

    assert text == {"type": "text", "text": "Let me look."}
    assert (tool["type"], json.loads(tool["input"])) == ("tool_use", {"order": 7})


def test_the_blocks_of_a_whole_answer_are_those_it_has() -> None:
    blocks: list[dict[str, Any]] = [
        {"type": "text", "text": "No."},
        {"type": "tool_use", "id": "toolu_1", "input": {"order": 7}},
    ]

    assert read(whole(content=blocks)).blocks == blocks


def test_an_error_has_no_blocks() -> None:
    assert read(refused()).blocks == []


@pytest.mark.parametrize("content_type", ["text/event-stream", "Text/Event-Stream", "TEXT/EVENT-STREAM; charset=utf-8"])
def test_every_reader_of_a_stream_recognizes_it_in_any_case(content_type: str) -> None:
    exchange = as_media_type(streamed(used=usage(read=900) | {"speed": "fast"}), content_type)

    conditions = conditions_of([exchange])
    (call,) = Trace.of([(exchange,)], nodeid="test_a.py::test_a").calls

    assert measure([exchange]).ttft == 0.4
    assert (conditions["speed"], conditions["prompt_cache"]) == ("fast", "warm")
    assert call.text == "Your parcel is on its way."


def test_no_more_of_a_stream_is_read_than_was_asked_for() -> None:
    answer = read(streamed(), until="message_start")

    assert (answer.model, answer.deltas, answer.complete) == ("claude-haiku-4-5", [], None)

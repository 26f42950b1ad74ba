"""Answers that no API gave: in every form, with the times that were asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_claude_latency import Answer
from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.errors import LimitError
from pytest_claude_latency.messages_api.answer import read
from pytest_claude_latency.messages_api.exchange import Request
from pytest_claude_latency.metrics.timeline import measure
from pytest_claude_latency.simulation.answers import NoPaceError, Pace, made_up

LONG = "Your refund is on its way. " * 8
MODEL = "claude-haiku-4-5"
AWS = f"https://bedrock-runtime.eu-west-1.amazonaws.com/model/anthropic.{MODEL}-v1%3A0"
ASKED = {"messages": [{"role": "user", "content": "Where is my refund?"}]}
FORMS: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "messages": ("https://api.anthropic.com/v1/messages", {"model": MODEL, "max_tokens": 9}, {"stream": True}, ""),
    "vertex": (
        f"https://x-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/anthropic/models/{MODEL}:rawPredict",
        {"anthropic_version": "vertex-2023-10-16", "max_tokens": 9},
        {},
        ":streamRawPredict",
    ),
    "invoke": (f"{AWS}/invoke", {"anthropic_version": "bedrock-2023-05-31"}, {}, "/invoke-with-response-stream"),
    "converse": (f"{AWS}/converse", {}, {}, "/converse-stream"),
    "chat": (
        "https://gateway.example.com/v1/chat/completions",
        {"model": MODEL},
        {"stream": True, "stream_options": {"include_usage": True}},
        "",
    ),
}


def request(form: str, *, streams: bool, **more: Any) -> Request:
    url, body, streaming, path = FORMS[form]
    if streams and path:
        url = url.rpartition(path[0])[0] + path
    content = {**ASKED, **body, **(streaming if streams else {}), **more}
    return Request("POST", url, (), json.dumps(content).encode())


@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_as_what_was_made_up(form: str, streams: bool) -> None:
    tools: list[tuple[str, dict[str, Any]]] = [("look_up", {"order": 7}), ("look_up", {"order": "größer"})]
    answer = Answer(LONG, tool_use=tools, ttft="500ms", tokens_per_second=50)

    exchange = made_up(request(form, streams=streams), answer, 1)

    answered, call = read(exchange), measure([exchange])
    texts = [block["text"] for block in answered.blocks if block["type"] == "text"]
    inputs = [block["input"] for block in answered.blocks if block["type"] == "tool_use"]
    assert texts == [LONG]
    assert [json.loads(value) if isinstance(value, str) else value for value in inputs] == [value for _, value in tools]
    assert [block["name"] for block in answered.blocks if block["type"] == "tool_use"] == ["look_up", "look_up"]
    assert (call.streamed, call.error, call.output_tokens) == (streams, None, 54 + 3 + 5)
    assert call.stop_reason == ("tool_calls" if form == "chat" else "tool_use")
    if streams:
        assert call.ttft == 0.5
        assert call.total == 0.5 + 61 / 50
        assert call.output_tokens_per_second == pytest.approx(50)
    else:
        assert call.ttft == call.total == 0.5 + 62 / 50


def test_a_profile_gives_the_times_that_nobody_gives() -> None:
    streamed = measure([made_up(request("messages", streams=True), Answer("a" * 404), 1)])
    whole = measure([made_up(request("messages", streams=False), Answer("a" * 400), 1)])
    faster = measure([made_up(request("messages", streams=True), Answer("a" * 404, ttft="100ms"), 1)])
    marked = made_up(request("messages", streams=True), Answer("a" * 404), 1, otherwise=Pace(200 * MILLISECOND, 50.0))

    assert (streamed.ttft, streamed.total) == (0.43, 1.43)
    assert whole.total == pytest.approx(0.708 + 1.24)
    assert (faster.ttft, faster.total) == (0.1, 1.1)
    assert (measure([marked]).ttft, measure([marked]).total) == (0.2, 2.2)


def test_an_answer_of_one_piece_has_its_first_token_in_time() -> None:
    call = measure([made_up(request("messages", streams=True), Answer("Yes.", ttft="100ms", tokens_per_second=9), 1)])

    assert (call.ttft, call.total, call.output_tokens) == (0.1, 0.1, 1)


def test_two_of_the_same_are_equal_to_the_byte() -> None:
    asked = request("messages", streams=True)

    assert made_up(asked, Answer(LONG), 1) == made_up(asked, Answer(LONG), 1)


def test_a_model_without_a_profile_needs_both_times() -> None:
    asked = request("messages", streams=True, model="claude-haiku-9")

    with pytest.raises(NoPaceError, match=r"claude-haiku-9 has no profile; give both, ttft= and tokens_per_second="):
        made_up(asked, Answer("Hi", ttft="1s"), 1)
    assert measure([made_up(asked, Answer("Hi", ttft="1s", tokens_per_second=1), 1)]).ttft == 1.0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "it is empty"),
        ({"text": 7}, "7 is not a text"),
        ({"tool_use": {"look_up": 7}}, "the input of look_up is 7; accepted: a mapping"),
        ({"tool_use": {"look_up": {1: 2}}}, "accepted: a mapping with texts as keys"),
        ({"tool_use": {"look_up": {"at": {1, 2}}}}, "the input of look_up cannot be JSON"),
        ({"tool_use": {"look_up": {"at": float("nan")}}}, "the input of look_up cannot be JSON"),
        (
            {"tool_use": {"look_up": {"at": ["\ud83d"]}}},
            r"the input of look_up has '\\ud83d', half of a pair of surrogates, .* accepted: whole characters",
        ),
        ({"tool_use": {"look_up": {"\udc4d": 1}}}, r"the input of look_up has '\\udc4d', half of a pair"),
        ({"text": "Yes \ud83d!"}, r"its text has '\\ud83d', half of a pair of surrogates"),
        ({"tool_use": {"look up": {}}}, "'look up' cannot be the name of a tool"),
        ({"tool_use": "look_up"}, "tool_use='look_up' is not understood"),
        ({"text": "a", "ttft": "-1s"}, "Answer: ttft"),
        ({"text": "a", "tokens_per_second": 0}, "tokens_per_second=0 is not understood; accepted: a number above 0"),
    ],
)
def test_an_answer_that_is_not_understood_is_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(LimitError, match=problem):
        Answer(**arguments)

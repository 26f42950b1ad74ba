from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange, Headers, Request, Response
from pytest_claude_latency.metrics.conditions import conditions_of

URL = "https://api.anthropic.com/v1/messages"
SSE: Headers = (("content-type", "text/event-stream; charset=utf-8"),)
JSON: Headers = (("content-type", "application/json"),)


def asked(body: object, headers: Headers = ()) -> Request:
    return Request("POST", URL, headers, json.dumps(body).encode())


def exchange(body: object, answer: bytes = b"", headers: Headers = JSON, sent_headers: Headers = ()) -> Exchange:
    chunks = tuple(Chunk(0, answer[place : place + 7]) for place in range(0, len(answer), 7))
    return Exchange(0, asked(body, sent_headers), None, Response(0, 200, headers), chunks, End(0))


def streamed(**usage: Any) -> bytes:
    start = {"type": "message_start", "message": {"usage": usage}}
    said = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": '"usage": {"speed": "fast"}'}}
    frames = [("ping", {"type": "ping"}), ("message_start", start), ("content_block_delta", said)]
    return "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in frames).encode()


def test_a_plain_call_tells_its_prompt_only() -> None:
    assert conditions_of([exchange({"messages": []})]).keys() == {"prompt"}


def test_what_the_request_asks_for_is_a_condition() -> None:
    body = {
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "output_config": {"effort": "low"},
        "speed": "fast",
        "service_tier": "auto",
    }

    facts = conditions_of([exchange(body)])

    assert facts == {"thinking": "enabled 2048", "effort": "low", "speed": "fast", "service_tier": "auto"}


@pytest.mark.parametrize("kind", ["adaptive", "disabled"])
def test_thinking_without_a_budget_is_named_by_its_type(kind: str) -> None:
    assert conditions_of([exchange({"thinking": {"type": kind}})]) == {"thinking": kind}


@pytest.mark.parametrize("stream", [True, False])
def test_what_the_answer_names_takes_precedence_over_the_request(stream: bool) -> None:
    usage = {"speed": "standard", "service_tier": "priority", "inference_geo": "us"}
    answer = (streamed(**usage), SSE) if stream else (json.dumps({"usage": usage}).encode(), JSON)

    facts = conditions_of([exchange({"speed": "fast", "service_tier": "auto"}, *answer)])

    assert facts == {"speed": "standard", "service_tier": "priority", "region": "us"}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"cache_read_input_tokens": 900, "cache_creation_input_tokens": 20}, {"prompt_cache": "warm"}),
        ({"cache_read_input_tokens": 0, "cache_creation_input_tokens": 920}, {"prompt_cache": "cold"}),
        ({"cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}, {}),
        ({}, {}),
    ],
)
def test_the_prompt_cache_is_warm_if_something_was_read_from_it(
    usage: dict[str, int], expected: dict[str, str]
) -> None:
    assert conditions_of([exchange({}, streamed(**usage), SSE)]) == expected


def test_the_answering_attempt_is_the_last() -> None:
    refused = exchange({}, json.dumps({"usage": {"speed": "fast"}}).encode())
    answered = exchange({}, json.dumps({"usage": {"speed": "standard"}}).encode())

    assert conditions_of([refused, answered]) == {"speed": "standard"}


@pytest.mark.parametrize(("version", "line"), [("2.12.0", "2.x"), ("0.93.0", "0.x")])
def test_the_sdk_is_named_by_its_line(version: str, line: str) -> None:
    headers = (("X-Stainless-Package-Version", version),)

    assert conditions_of([exchange({}, sent_headers=headers)]) == {"sdk": line}


@pytest.mark.parametrize("answer", [b"", b"not json", b"[1]", b'{"usage": 3}', b"\xff\xfe"])
def test_an_answer_without_usage_leaves_the_conditions_of_the_request(answer: bytes) -> None:
    for headers in (JSON, SSE, ()):
        assert conditions_of([exchange({"speed": "fast"}, answer, headers)]) == {"speed": "fast"}


def test_a_call_without_an_answer_or_a_body_has_no_facts() -> None:
    unanswered = Exchange(0, Request("POST", URL), end=End(0, error="ConnectError"))

    assert conditions_of([unanswered]) == {}


def test_the_hash_of_a_prompt_does_not_show_it() -> None:
    facts = conditions_of([exchange({"messages": [{"role": "user", "content": "a secret"}]})])

    assert len(facts["prompt"]) == 12
    assert "secret" not in facts["prompt"]


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["system", "messages", "tools", "tool_choice"]), st.text(), min_size=1))
def test_the_hash_of_any_prompt_is_of_all_that_the_model_reads_and_of_nothing_else(prompt: dict[str, str]) -> None:
    hashed = conditions_of([exchange(prompt)])["prompt"]
    reordered = dict(reversed(prompt.items()))

    assert conditions_of([exchange(reordered | {"max_tokens": 5, "stream": True})])["prompt"] == hashed
    for name, text in prompt.items():
        assert conditions_of([exchange(prompt | {name: text + "!"})])["prompt"] != hashed

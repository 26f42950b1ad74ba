"""Answers of Converse and of chat completions are measured by the same definitions as those of the Messages API."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_claude_latency.messages_api.answer import read
from pytest_claude_latency.messages_api.aws_event_stream import Decoder
from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange
from pytest_claude_latency.metrics.conditions import conditions_of
from pytest_claude_latency.metrics.timeline import Call, measure
from tests.support.aws_frames import exception
from tests.support.other_forms import (
    CHAT_USAGE,
    CHAT_USED,
    DONE,
    STOPPED,
    THROTTLED,
    USAGE,
    USED,
    chat,
    chunk,
    converse,
    delta,
    event,
    line,
)
from tests.support.written_calls import ns

TOOL = {"toolUseId": "t1", "name": "look_up"}
CONVERSED = converse(
    (310, event("messageStart", role="assistant")),
    (400, delta(reasoningContent={"text": "Let me see."})),
    (410, delta(reasoningContent={"signature": "EqQB"})),
    (420, event("contentBlockStop", contentBlockIndex=0)),
    (500, delta(1, text="")),
    (510, delta(1, text="One ")),
    (600, delta(1, text="moment.")),
    (610, event("contentBlockStart", contentBlockIndex=2, start={"toolUse": TOOL})),
    (700, delta(2, toolUse={"input": '{"order"'})),
    (800, delta(2, toolUse={"input": ": 7}"})),
    (810, event("contentBlockStop", contentBlockIndex=2)),
    (900, event("messageStop", stopReason="tool_use")),
    (990, USAGE),
)
CHATTED = chat(
    (310, chunk(role="assistant", content="")),
    (400, chunk(reasoning_content="Let me see.")),
    (510, chunk(content="One ")),
    (600, chunk(content="moment.")),
    (700, chunk(tool_calls=[{"index": 0, "id": "t1", "type": "function", "function": {"name": "look_up"}}])),
    (700, chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"order"'}}])),
    (800, chunk(tool_calls=[{"index": 0, "function": {"arguments": ": 7}"}}])),
    (900, chunk("tool_calls")),
    (990, CHAT_USAGE),
    (995, DONE),
)


@pytest.mark.parametrize("exchange", [CONVERSED, CHATTED], ids=["converse", "chat"])
def test_every_metric_of_a_stream_has_its_usual_definition(exchange: Exchange) -> None:
    call = measure([exchange])

    assert (call.streamed, call.ttfb, call.ttft, call.ttfa, call.total) == (True, 0.3, 0.4, 0.51, 0.9)
    assert (call.longest_gap, call.tpot) == (0.11, 0.04)
    assert (call.input_tokens, call.cache_read_tokens, call.prompt_tokens, call.output_tokens) == (20, 900, 920, 11)
    assert (call.error, call.closed) == (None, None)


def test_what_a_form_calls_otherwise_is_told_in_its_own_words() -> None:
    conversed, chatted = measure([CONVERSED]), measure([CHATTED])

    assert (conversed.stop_reason, chatted.stop_reason) == ("tool_use", "tool_calls")
    assert (conversed.thinking_tokens, chatted.thinking_tokens) == (None, 4)
    assert (conversed.cache_write_tokens, chatted.cache_write_tokens) == (0, None)
    assert chatted.model == "claude-haiku-4-5-20251001"


@pytest.mark.parametrize("exchange", [CONVERSED, CHATTED], ids=["converse", "chat"])
def test_the_blocks_of_a_stream_are_joined_as_those_of_the_messages_api(exchange: Exchange) -> None:
    answer = read(exchange)

    assert answer.blocks == [
        {"type": "thinking", "thinking": "Let me see."},
        {"type": "text", "text": "One moment."},
        {"type": "tool_use", "name": "look_up", "input": '{"order": 7}'},
    ]
    assert answer.thinking == [ns(400)]


WHOLE_CONVERSE = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "x"}}},
                {"text": "Here."},
                {"toolUse": {**TOOL, "input": {"order": 7}}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": USED,
    "metrics": {"latencyMs": 500},
    "performanceConfig": {"latency": "optimized"},
}
WHOLE_CHAT = {
    "model": "claude-haiku-4-5",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "reasoning_content": "Hm.",
                "content": "Here.",
                "tool_calls": [{"id": "t1", "function": {"name": "look_up", "arguments": '{"order": 7}'}}],
            },
        }
    ],
    "usage": CHAT_USED,
    "service_tier": "priority",
}


@pytest.mark.parametrize(
    "exchange",
    [
        converse((700, json.dumps(WHOLE_CONVERSE).encode()), stream=False),
        chat((700, json.dumps(WHOLE_CHAT).encode()), stream=False),
    ],
    ids=["converse", "chat"],
)
def test_a_whole_answer_has_its_first_token_with_its_last(exchange: Exchange) -> None:
    call, answer = measure([exchange]), read(exchange)

    assert (call.streamed, call.ttft, call.ttfa, call.total, call.tpot) == (False, 0.7, 0.7, 0.7, None)
    assert (call.prompt_tokens, call.output_tokens) == (920, 11)
    assert [delta.kind for delta in answer.deltas] == ["thinking", "text", "input_json"]
    assert answer.blocks[1] == {"type": "text", "text": "Here."}


def test_conditions_are_found_in_each_form() -> None:
    optimized = converse((700, json.dumps(WHOLE_CONVERSE).encode()), stream=False)
    prioritized = chat((700, json.dumps(WHOLE_CHAT).encode()), stream=False, reasoning_effort="low")
    thinking = converse(
        (400, delta(text="x")), additionalModelRequestFields={"thinking": {"type": "enabled", "budget_tokens": 2048}}
    )

    assert conditions_of([optimized]).items() >= {"speed": "optimized", "prompt_cache": "warm"}.items()
    assert conditions_of([prioritized]).items() >= {"service_tier": "priority", "effort": "low"}.items()
    assert conditions_of([thinking])["thinking"] == "enabled 2048"
    assert len({conditions_of([exchange])["prompt"] for exchange in (optimized, prioritized)}) == 2


@pytest.mark.parametrize(
    "exchange",
    [
        converse((400, delta(text="a")), (500, delta(text="b")), (600, STOPPED)),
        chat((400, chunk(content="a")), (500, chunk(content="b")), (600, chunk("stop")), (601, DONE)),
        chat((400, chunk(content="a")), (600, chunk("stop", content="b")), (700, line({"choices": [], "usage": None}))),
    ],
    ids=["converse", "chat", "chat, usage null"],
)
def test_without_usage_no_metric_of_tokens_exists(exchange: Exchange) -> None:
    call = measure([exchange])

    assert call.total == 0.6
    assert [call.prompt_tokens, call.input_tokens, call.output_tokens, call.tpot, call.cache_read_tokens] == [None] * 5


def test_what_a_gateway_wrote_to_the_cache_is_not_counted_as_input() -> None:
    used = {"prompt_tokens": 1000, "completion_tokens": 5, "cache_creation_input_tokens": 700}
    used["prompt_tokens_details"] = {"cached_tokens": 200}  # type: ignore[assignment]

    call = measure([chat((400, json.dumps({"choices": [], "usage": used}).encode()), stream=False)])

    assert (call.input_tokens, call.cache_read_tokens, call.cache_write_tokens) == (100, 200, 700)
    assert call.prompt_tokens == 1000


# ── errors ──


def failed(call: Call) -> tuple[str | None, float | None, float | None]:
    return call.error, call.ttft, call.total


@pytest.mark.parametrize(
    ("exchange", "error"),
    [
        (converse((400, delta(text="a")), (600, THROTTLED), (700, STOPPED)), "throttlingException"),
        (chat((400, chunk(content="a")), (600, line({"error": {"type": "overloaded_error"}}))), "overloaded_error"),
        (chat((400, chunk(content="a")), (600, line({"error": {"type": None, "code": "429"}}))), "429"),
        (chat((400, chunk(content="a")), (600, line({"error": {"message": "?", "code": 500}}))), "error"),
        (chat((400, chunk(content="a")), (600, b"event: error\n" + line({"message": "?"}))), "error"),
    ],
)
def test_an_error_in_a_stream_ends_the_answer(exchange: Exchange, error: str) -> None:
    assert failed(measure([exchange])) == (error, 0.4, 0.6)


@pytest.mark.parametrize(
    ("exchange", "error"),
    [
        (
            converse((400, b'{"message": "slow"}'), status=429, error_type="ThrottlingException:http://a.com/b/"),
            "ThrottlingException",
        ),
        (converse((400, b'{"__type": "com.amazon#ValidationException"}'), status=400), "ValidationException"),
        (converse((400, b"<html>"), status=502), "HTTP 502"),
        (chat((400, b'{"error": {"type": "invalid_request_error"}}'), status=400), "invalid_request_error"),
        (chat((400, b'{"error": {"type": "None", "code": "429"}}'), status=429), "429"),
        (
            chat((400, b'{"error": {"code": "overloaded_error", "type": "invalid_request_error"}}'), status=529),
            "overloaded_error",
        ),
        (
            chat((400, b'{"error": {"type": "invalid_request_error", "code": "400"}}'), status=400),
            "invalid_request_error",
        ),
        (chat((400, b'{"error": "no such model"}'), status=404), "no such model"),
        (chat((400, b""), status=500), "HTTP 500"),
    ],
)
def test_a_refusal_is_named_as_its_form_names_it(exchange: Exchange, error: str) -> None:
    assert failed(measure([exchange])) == (error, None, 0.4)


# ── damaged streams ──


def test_what_came_before_a_broken_frame_counts() -> None:
    broken = bytearray(delta(text="never"))
    broken[-1] ^= 1

    call = measure([converse((400, delta(text="a")), (500, bytes(broken)), (600, STOPPED))])

    assert failed(call) == ("ChecksumMismatch", 0.4, 0.5)


UNREADABLE_CHAT = (
    b"data: {\n\n",
    b"data: " + b"[" * 100_000 + b"\n\n",
    line(7),
    line({"choices": 7}),
    line({"choices": [7, {}]}),
    line({"choices": [], "usage": 7}),
    line({"choices": [], "usage": {"prompt_tokens": "many"}}),
    chunk(content=7),
    chunk(content={}),
    chunk(tool_calls=7),
    chunk(tool_calls=[7, {"function": 7}]),
)
UNREADABLE_CONVERSE: tuple[dict[str, Any], ...] = (
    {},
    {"delta": 7},
    {"delta": {"text": 7}},
    {"delta": {"toolUse": 7}},
    {"delta": {"reasoningContent": 7}},
    {"contentBlockIndex": [], "delta": {"text": ""}},
)


@pytest.mark.parametrize("damage", UNREADABLE_CHAT)
def test_an_event_of_chat_that_makes_no_sense_is_passed_over(damage: bytes) -> None:
    call = measure([chat((400, chunk(content="a")), (500, damage), (600, chunk("stop")))])

    assert failed(call) == (None, 0.4, 0.6)


@pytest.mark.parametrize("data", UNREADABLE_CONVERSE)
def test_an_event_of_converse_that_makes_no_sense_is_passed_over(data: dict[str, Any]) -> None:
    call = measure([converse((400, delta(text="a")), (500, event("contentBlockDelta", **data)), (600, STOPPED))])

    assert failed(call) == (None, 0.4, 0.6)


CONTENT = st.sampled_from([CONVERSED, CHATTED])


@settings(deadline=None)
@given(CONTENT, st.integers(0, 5000), st.binary(max_size=4), st.integers(0, 2))
def test_no_damage_is_a_crash_and_what_came_before_counts(
    exchange: Exchange, place: int, noise: bytes, skipped: int
) -> None:
    body = b"".join(chunk.data for chunk in exchange.chunks)
    place %= len(body)
    damaged = body[:place] + noise + body[place + skipped :]
    intact = read(replace(exchange, chunks=(Chunk(ns(400), body[:place]),)))

    answer = read(replace(exchange, chunks=(Chunk(ns(400), damaged),)))

    assert answer.deltas[: len(intact.deltas)] == intact.deltas


@settings(deadline=None)
@given(CONTENT, st.lists(st.integers(0, 5000), max_size=12))
def test_the_bytes_may_be_cut_anywhere(exchange: Exchange, places: list[int]) -> None:
    body = b"".join(chunk.data for chunk in exchange.chunks)
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    cut = replace(exchange, chunks=tuple(Chunk(0, body[start:end]) for start, end in pairwise(edges)), end=End(0))

    answer, expected = read(cut), read(exchange)

    assert answer.blocks == expected.blocks
    assert (answer.usage, answer.stop_reason) == (expected.usage, expected.stop_reason)


# ── botocore reads the same ──

EVENTS = st.lists(
    st.sampled_from(
        [
            event("messageStart", role="assistant"),
            delta(text="Grüße"),
            delta(1, toolUse={"input": "{}"}),
            delta(reasoningContent={"text": "Hm"}),
            event("contentBlockStart", contentBlockIndex=1, start={"toolUse": TOOL}),
            event("contentBlockStop", contentBlockIndex=1),
            STOPPED,
            USAGE,
        ]
    ),
    max_size=6,
)


@settings(deadline=None)
@given(EVENTS, st.sampled_from([b"", THROTTLED, exception("modelStreamErrorException", "x")]))
def test_botocore_reads_the_same_events_of_a_converse_stream(events: list[bytes], last: bytes) -> None:
    loaders, model, parsers, eventstream, exceptions = (
        pytest.importorskip(f"botocore.{name}", reason="botocore is not installed")
        for name in ("loaders", "model", "parsers", "eventstream", "exceptions")
    )
    service = model.ServiceModel(loaders.Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime")
    shape = service.operation_model("ConverseStream").output_shape.members["stream"]
    data = b"".join(events) + last
    raw = type("Raw", (), {"stream": lambda self: iter([data])})()
    theirs: list[tuple[str, Any]] = []
    try:
        for parsed in eventstream.EventStream(raw, shape, parsers.EventStreamJSONParser(), "ConverseStream"):
            theirs += parsed.items()
    except exceptions.EventStreamError as error:
        theirs.append(("error", error.response["Error"]["Code"]))

    ours = [(ours.name, json.loads(ours.data)) for ours in Decoder(bare=True).feed(data)]

    assert [name for name, _ in ours] == [name for name, _ in theirs]
    for (name, value), (_, expected) in zip(ours, theirs, strict=True):
        value.pop("p", None)
        assert (value["error"]["type"] if name == "error" else value) == expected

"""The metrics of a call, on exchanges whose every instant is written down in the test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_claude_latency.duration import MILLISECOND, Nanoseconds
from pytest_claude_latency.messages_api.answers.content import Delta
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange, Request, Response
from pytest_claude_latency.metrics.timeline import Call, Timeline, measure
from tests.support import aws_frames

EVENT_STREAM = "text/event-stream; charset=utf-8"
URL = "https://api.anthropic.com/v1/messages"
ASKED: dict[str, Any] = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": []}


def request(**body: object) -> Request:
    return Request("POST", URL, content=json.dumps(ASKED | body).encode())


def event(name: str, **data: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name} | data, ensure_ascii=False)}\n\n".encode()


def message_start(model: str = "claude-haiku-4-5-20251001", **usage: object) -> bytes:
    return event("message_start", message={"model": model, "usage": {"input_tokens": 31, "output_tokens": 1} | usage})


def start(kind: str = "text") -> bytes:
    return event("content_block_start", index=0, content_block={"type": kind})


def delta(kind: str, **content: object) -> bytes:
    return event("content_block_delta", index=0, delta={"type": kind} | content)


def text(content: str) -> bytes:
    return delta("text_delta", text=content)


def thinking(content: str) -> bytes:
    return delta("thinking_delta", thinking=content)


def tool_input(content: str) -> bytes:
    return delta("input_json_delta", partial_json=content)


def message_delta(output_tokens: int, **usage: object) -> bytes:
    return event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": output_tokens} | usage)


PING = event("ping")
MESSAGE_STOP = event("message_stop")
OVERLOADED = event("error", error={"details": None, "type": "overloaded_error", "message": "Overloaded"})


def streamed(
    *parts: tuple[float, bytes],
    end: End | None = None,
    sent: float = 0,
    content_type: str | None = EVENT_STREAM,
) -> Exchange:
    """A streamed answer: its headers after 300 ms, bytes at milliseconds of their own, its end with the last."""
    headers = () if content_type is None else (("content-type", content_type),)
    return Exchange(
        sent=ns(sent),
        request=request(stream=True),
        response=Response(ns(300), 200, headers),
        chunks=tuple(Chunk(ns(at), data) for at, data in parts),
        end=end or End(ns(parts[-1][0])),
    )


def whole(
    body: object, *, at: float = 900, end: End | None = None, status: int = 200, sent: float = 0, stream: bool = False
) -> Exchange:
    """An answer that does not stream: its headers after 300 ms, the last byte of its body at `at`."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Exchange(
        sent=ns(sent),
        request=request(stream=stream) if stream else request(),
        response=Response(ns(300), status, (("content-type", "application/json"),)),
        chunks=(Chunk(ns(310), data[:5]), Chunk(ns(at), data[5:])),
        end=end or End(ns(at) + 7),
    )


def unanswered(error: str, *, at: float, sent: float = 0) -> Exchange:
    return Exchange(sent=ns(sent), request=request(stream=True), end=End(ns(at), error=error))


def framed(*parts: tuple[float, bytes]) -> Exchange:
    """The same as Bedrock sends it: each part is the events of one frame each."""
    frames = tuple((at, b"".join(map(as_frame, data.split(b"\n\n")[:-1]))) for at, data in parts)
    return streamed(*frames, content_type="application/vnd.amazon.eventstream")


def as_frame(written: bytes) -> bytes:
    return aws_frames.chunk(json.loads(written.partition(b"data: ")[2]))


def message(*content: object, **usage: object) -> dict[str, Any]:
    return {
        "type": "message",
        "model": "claude-haiku-4-5-20251001",
        "content": list(content),
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 31, "output_tokens": 12} | usage,
    }


def ns(milliseconds: float) -> Nanoseconds:
    return round(milliseconds * MILLISECOND)


ORDINARY = (
    (310.0, message_start()),
    (311.0, start() + PING),
    (412.034, text("Your")),
    (500.0, text("")),
    (612.0, text(" refund")),
    (700.0, text(" is on its way")),
    (705.0, event("content_block_stop", index=0) + message_delta(9)),
    (706.0, MESSAGE_STOP),
    (720.0, b""),
)


# ── a stream ──


def test_a_stream_is_measured_from_sending_to_the_events_that_matter() -> None:
    call = measure([streamed(*ORDINARY, sent=40)])

    assert call == Call(
        model="claude-haiku-4-5-20251001",
        url=URL,
        streamed=True,
        status=200,
        attempts=1,
        sent=0.04,
        ttfb=0.3,
        ttft=0.412034,
        ttfa=0.412034,
        total=0.706,
        longest_gap=0.199966,
        tpot=0.035995750,  # from 412.034 to 700 ms, over 8 tokens
        output_tokens_per_second=1e9 / 35_995_750,
        prompt_tokens=31,
        input_tokens=31,
        cache_read_tokens=None,
        cache_write_tokens=None,
        output_tokens=9,
        thinking_tokens=None,
        stop_reason="end_turn",
        error=None,
        closed=None,
    )


def test_thinking_is_a_first_token_but_no_first_answer() -> None:
    answer = streamed((400, start("thinking")), (500, thinking("Hm")), (900, text("Yes")), (950, MESSAGE_STOP))

    call = measure([answer])
    assert (call.ttft, call.ttfa) == (0.5, 0.9)


def test_a_tool_s_input_is_an_answer_once_it_is_not_empty() -> None:
    answer = streamed((400, start("tool_use")), (410, tool_input("")), (600, tool_input('{"id"')), (700, MESSAGE_STOP))

    call = measure([answer])
    assert (call.ttft, call.ttfa) == (0.6, 0.6)


@pytest.mark.parametrize(
    "book_keeping",
    [
        PING,
        start(),
        start("redacted_thinking"),
        text(""),
        thinking(""),
        delta("signature_delta", signature="EqQB"),
        delta("citations_delta", citation={"type": "char_location", "cited_text": "x"}),
        delta("a_delta_of_the_future", text="x"),
        delta("text_delta"),
        event("content_block_delta", index=0),
        event("content_block_delta", index=0, delta=["text_delta"]),
        event("content_block_delta", index=0, delta={"type": ["text_delta"], "text": "x"}),
        event("an_event_of_the_future", delta={"type": "text_delta", "text": "x"}),
        b"event: content_block_delta\ndata: no JSON\n\n",
        b"event: content_block_delta\ndata: [1]\n\n",
        b'data: {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "x"}}\n\n',
    ],
)
def test_what_holds_no_content_or_never_reaches_the_program_is_not_a_first_token(book_keeping: bytes) -> None:
    call = measure([streamed((400, book_keeping), (600, text(" ")), (700, book_keeping), (710, MESSAGE_STOP))])

    assert (call.ttft, call.longest_gap, call.total) == (0.6, None, 0.71)


def test_a_stream_without_content_has_no_first_token() -> None:
    call = measure([streamed((310, message_start()), (320, message_delta(0)), (321, MESSAGE_STOP))])

    assert (call.ttft, call.ttfa, call.longest_gap, call.tpot, call.total) == (None, None, None, None, 0.321)


def test_thinking_alone_has_no_first_answer() -> None:
    call = measure([streamed((400, thinking("Hm")), (500, MESSAGE_STOP))])

    assert (call.ttft, call.ttfa) == (0.4, None)


def test_events_of_one_chunk_arrive_together_and_a_split_one_with_its_last_byte() -> None:
    first, second = text("a") + text("b"), text("c")

    call = measure(
        [streamed((400, first + second[:20]), (450, second[20:-1]), (500, second[-1:]), (501, MESSAGE_STOP))]
    )
    assert (call.ttft, call.longest_gap) == (0.4, 0.1)


def test_a_stream_ends_for_the_program_with_its_body_where_the_last_blank_line_is_missing() -> None:
    call = measure([streamed((400, text("Hi")), (500, message_delta(2)), (501, MESSAGE_STOP[:-1]), end=End(ns(640)))])

    assert (call.total, call.error, call.closed, call.stop_reason) == (0.64, None, None, "end_turn")


def test_an_answer_without_a_content_type_streams_if_that_was_asked_for() -> None:
    assert measure([streamed(*ORDINARY, content_type=None)]).ttft == 0.412034


# ── tokens ──


def test_usage_is_cumulative_and_keeps_what_a_later_one_leaves_out() -> None:
    first = message_start(cache_read_input_tokens=1000, cache_creation_input_tokens=None)
    later = message_delta(50, cache_creation_input_tokens=20, output_tokens_details={"thinking_tokens": 30})

    call = measure([streamed((310, first), (400, text("a")), (500, later), (501, MESSAGE_STOP))])
    assert (call.input_tokens, call.cache_read_tokens, call.cache_write_tokens) == (31, 1000, 20)
    assert (call.prompt_tokens, call.output_tokens, call.thinking_tokens) == (1051, 50, 30)


def test_a_later_message_delta_keeps_the_stop_reason_it_does_not_give() -> None:
    later = event("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 60})

    call = measure([streamed((400, text("a")), (500, message_delta(50) + later), (501, MESSAGE_STOP))])
    assert (call.stop_reason, call.output_tokens) == ("end_turn", 60)


@pytest.mark.parametrize("odd", [None, "12", True, [12]])
def test_usage_that_is_not_a_number_is_none(odd: object) -> None:
    call = measure([whole(message({"type": "text", "text": "Yes"}, output_tokens=odd))])

    assert call.output_tokens is None


@pytest.mark.parametrize("odd", [None, "", 3])
def test_an_answer_that_names_no_model_is_of_the_model_asked_for(odd: object) -> None:
    assert measure([whole(message() | {"model": odd})]).model == "claude-haiku-4-5"


def test_an_answer_without_usage_has_no_token_counts() -> None:
    call = measure([streamed((400, text("a")), (501, MESSAGE_STOP))])

    assert (call.prompt_tokens, call.input_tokens, call.output_tokens, call.tpot) == (None, None, None, None)


@pytest.mark.parametrize(
    ("shown", "hidden", "tokens", "tpot"),
    [
        pytest.param(((400, thinking("a")),), 30, 51, 0.012, id="shown thinking counts: 600 ms over 50"),
        pytest.param(
            ((400, start("thinking")), (410, start())), 30, 51, 0.02, id="hidden thinking does not: 400 ms over 20"
        ),
        pytest.param((), 0, 51, 0.008, id="no thinking: 400 ms over 50"),
        pytest.param((), None, 51, 0.008, id="no thinking, not broken out"),
        pytest.param(
            ((400, start("redacted_thinking")), (410, start())), None, 51, None, id="hidden thinking of unknown length"
        ),
        pytest.param(((400, start("thinking")),), 50, 51, None, id="hidden thinking and a single token"),
        pytest.param((), 0, 1, None, id="a single token"),
    ],
)
def test_time_per_token_is_over_the_tokens_that_were_shown(
    shown: Sequence[tuple[float, bytes]], hidden: int | None, tokens: int, tpot: float | None
) -> None:
    usage = message_delta(tokens, output_tokens_details=hidden if hidden is None else {"thinking_tokens": hidden})

    call = measure([streamed(*shown, (600, text("b")), (1000, text("c")), (1001, usage), (1002, MESSAGE_STOP))])
    assert call.tpot == tpot
    assert call.output_tokens_per_second == (tpot and pytest.approx(1 / tpot))


def test_tokens_that_all_came_at_once_took_no_time_and_have_no_rate() -> None:
    call = measure([streamed((400, text("a")), (500, message_delta(20)), (501, MESSAGE_STOP))])

    assert (call.tpot, call.output_tokens_per_second) == (0.0, None)


def test_an_answer_cut_before_its_tokens_were_counted_has_no_time_per_token() -> None:
    parts = ((310.0, message_start(output_tokens=8)), (400.0, text("a")), (500.0, text("b")))

    call = measure([streamed(*parts, end=End(ns(510), closed="client"))])
    assert (call.output_tokens, call.tpot) == (8, None)


# ── an answer that does not stream ──


@pytest.mark.parametrize(
    "content",
    [
        {"type": "text", "text": "Yes"},
        {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
    ],
)
def test_an_answer_that_does_not_stream_has_its_first_token_with_its_last_byte(content: object) -> None:
    call = measure([whole(message({"type": "thinking", "thinking": "Hm"}, content), at=900)])

    assert not call.streamed
    assert (call.ttfb, call.ttft, call.ttfa, call.total) == (0.3, 0.9, 0.9, 0.9)
    assert (call.longest_gap, call.tpot, call.output_tokens_per_second) == (None, None, None)
    assert (call.model, call.output_tokens, call.stop_reason) == ("claude-haiku-4-5-20251001", 12, "end_turn")


@pytest.mark.parametrize(
    "body",
    [
        message(),
        message({"type": "text", "text": ""}),
        message({"type": 3}),
        {"content": 3},
        [],
        b"<html>",
        b"\xff\xfe",
    ],
)
def test_an_answer_that_does_not_stream_and_holds_nothing_has_no_first_token(body: object) -> None:
    call = measure([whole(body, at=900)])

    assert (call.ttft, call.ttfa, call.total, call.error) == (None, None, 0.9, None)


def test_thinking_alone_is_not_an_answer_without_a_stream_either() -> None:
    call = measure([whole(message({"type": "thinking", "thinking": "Hm"}), at=900)])

    assert (call.ttft, call.ttfa) == (0.9, None)


def test_an_answer_of_another_type_than_the_stream_asked_for_does_not_stream() -> None:
    assert not measure([whole(message({"type": "text", "text": "Yes"}), stream=True)]).streamed


def test_an_answer_without_a_body_is_complete_when_it_ends() -> None:
    answer = Exchange(0, request(), response=Response(ns(300), 200), end=End(ns(320)))

    assert measure([answer]).total == 0.32


# ── errors ──


def test_an_error_event_ends_the_answer() -> None:
    parts = ((400.0, text("a")), (500.0, OVERLOADED), (600.0, text("b")), (700.0, MESSAGE_STOP))

    call = measure([streamed(*parts, end=End(ns(700), closed="client"))])
    assert (call.error, call.total, call.closed, call.longest_gap) == ("overloaded_error", 0.5, None, None)


@pytest.mark.parametrize("data", ["Overloaded", "{}", '{"error": "x"}', '{"error": {"type": ""}}'])
def test_an_error_event_that_names_no_type_is_an_error_all_the_same(data: str) -> None:
    call = measure([streamed((400, f"event: error\ndata: {data}\n\n".encode()))])

    assert (call.error, call.total) == ("error", 0.4)


@pytest.mark.parametrize("error", ["ReadError", "RemoteProtocolError", "ReadTimeout"])
def test_a_transport_error_in_mid_stream_is_named_and_stops_the_clock(error: str) -> None:
    call = measure([streamed((400, text("a")), end=End(ns(640), error=error))])

    assert (call.ttft, call.total, call.error, call.status) == (0.4, 0.64, error, 200)


def test_an_attempt_without_an_answer_has_only_an_end() -> None:
    call = measure([unanswered("ConnectError", at=25)])

    assert (call.status, call.ttfb, call.ttft, call.total, call.error) == (None, None, None, 0.025, "ConnectError")
    assert call.streamed
    assert call.model == "claude-haiku-4-5"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}}, "rate_limit_error"),
        ({"message": "Internal server error"}, "HTTP 500"),
        (b"<html>", "HTTP 500"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_an_error_status_is_named_as_the_api_names_it(body: object, error: str, stream: bool) -> None:
    call = measure([whole(body, at=330, status=500, stream=stream)])

    assert (call.error, call.status, call.ttfb, call.ttft, call.total) == (error, 500, 0.3, None, 0.33)
    assert call.streamed is stream


def test_an_error_status_whose_body_was_not_read_is_an_error_and_not_a_close() -> None:
    call = measure([whole(b"", status=529, end=End(ns(301), closed="client"))])

    assert (call.error, call.closed, call.total) == ("HTTP 529", None, 0.301)


def test_a_drop_within_an_error_s_body_is_what_the_program_sees() -> None:
    call = measure([whole(b'{"type": "er', status=500, end=End(ns(350), error="ReadError"))])

    assert (call.error, call.status, call.total) == ("ReadError", 500, 0.35)


def test_a_drop_within_an_answer_that_does_not_stream_leaves_nothing() -> None:
    call = measure([whole(b'{"type": "mess', end=End(ns(350), error="RemoteProtocolError"))])

    assert (call.error, call.ttft, call.total) == ("RemoteProtocolError", None, 0.35)


def test_a_drop_after_the_message_is_an_error_of_a_complete_answer() -> None:
    call = measure([streamed(*ORDINARY, end=End(ns(800), error="ReadError"))])

    assert (call.error, call.total) == ("ReadError", 0.706)


# ── closed by the client, still under way ──


def test_a_stream_the_client_stopped_reading_is_closed_at_that_moment() -> None:
    call = measure([streamed(*ORDINARY[:4], end=End(ns(640), closed="client"))])

    assert (call.closed, call.error, call.total, call.ttft) == ("client", None, 0.64, 0.412034)


def test_closing_a_complete_answer_is_not_an_early_close() -> None:
    call = measure([streamed(*ORDINARY, end=End(ns(800), closed="client"))])

    assert (call.closed, call.total) == (None, 0.706)


def test_a_body_the_client_stopped_reading_is_closed() -> None:
    call = measure([whole(message({"type": "text", "text": "Yes"}), end=End(ns(950), closed="client"))])

    assert (call.closed, call.ttft, call.total) == ("client", None, 0.95)


@pytest.mark.parametrize(
    ("known", "ttfb", "ttft"),
    [
        (Exchange(0, request(stream=True)), None, None),
        (replace(streamed(*ORDINARY[:1]), end=None), 0.3, None),
        (replace(streamed(*ORDINARY[:3]), end=None), 0.3, 0.412034),
        (replace(whole(message({"type": "text", "text": "Yes"})), end=None), 0.3, None),
    ],
)
def test_an_answer_under_way_has_the_facts_so_far_and_no_total(
    known: Exchange, ttfb: float | None, ttft: float | None
) -> None:
    call = measure([known])

    assert (call.ttfb, call.ttft, call.total, call.error, call.closed) == (ttfb, ttft, None, None, None)


# ── several attempts ──


def test_a_retried_call_runs_from_its_first_attempt_through_the_back_off() -> None:
    overloaded = whole(b"", status=529, sent=100, end=End(ns(301), closed="client"))
    dropped = unanswered("ConnectError", at=5, sent=900)

    call = measure([overloaded, dropped, streamed(*ORDINARY, sent=2000)])
    assert (call.attempts, call.sent, call.status, call.error) == (3, 0.1, 200, None)
    assert (call.ttfb, call.ttft, call.total) == (2.2, 2.312034, 2.606)
    assert call.longest_gap == 0.199966


def test_a_call_whose_last_attempt_failed_has_the_failure_of_that_attempt() -> None:
    overloaded = whole(b"", status=529, end=End(ns(301), closed="client"))

    call = measure([overloaded, unanswered("ConnectTimeout", at=600, sent=1000)])
    assert (call.attempts, call.status, call.error, call.ttfb, call.total) == (2, None, "ConnectTimeout", None, 1.6)


def test_a_redirect_that_was_followed_is_a_step_and_no_attempt() -> None:
    redirect = whole(b"", status=307, at=20)
    elsewhere = Request("POST", "https://eu.example/v1/messages", content=request().content)
    answer = replace(whole(message({"type": "text", "text": "Yes"}), sent=30, at=900), request=elsewhere)

    call = measure([redirect, answer])
    assert (call.attempts, call.url, call.status, call.total) == (1, URL, 200, 0.93)


def test_a_redirect_that_was_not_followed_is_an_error() -> None:
    call = measure([whole(b"", status=307, at=310)])

    assert (call.attempts, call.status, call.error) == (1, 307, "HTTP 307")


def test_a_call_without_an_attempt_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one attempt"):
        measure([])


# ── other providers ──


@pytest.mark.parametrize(
    ("url", "model", "stream"),
    [
        ("https://api.anthropic.com/v1/messages?beta=true", None, False),
        ("https://gateway.example/anthropic/v1/messages", None, False),
        ("https://bedrock-runtime.eu.amazonaws.com/model/eu.claude%3A0/invoke", "eu.claude:0", False),
        ("https://bedrock.example/model/arn:p/claude/invoke-with-response-stream", "arn:p/claude", True),
        ("https://bedrock.example/model/claude/converse", "claude", False),
        ("https://bedrock.example/model/claude/converse-stream", "claude", True),
        ("https://vertex.example/publishers/anthropic/models/claude@1:rawPredict", "claude@1", False),
        ("https://vertex.example/publishers/anthropic/models/claude@1:streamRawPredict", "claude@1", True),
    ],
)
def test_every_provider_s_way_to_make_a_message_is_a_prompt_call(url: str, model: str | None, stream: bool) -> None:
    asked = Request("POST", url, content=b"{}")

    assert is_prompt_call(asked)
    call = measure([Exchange(0, asked)])
    assert (call.model, call.streamed, call.url) == (model, stream, url)


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "https://api.anthropic.com/v1/messages"),
        ("POST", "https://api.anthropic.com/v1/messages/count_tokens"),
        ("POST", "https://api.anthropic.com/v1/messages/count_tokens?beta=true"),
        ("POST", "https://api.anthropic.com/v1/messages/batches"),
        ("GET", "https://api.anthropic.com/v1/models?x=/v1/messages"),
        ("POST", "https://api.anthropic.com/v1/files"),
        ("POST", "https://vertex.example/publishers/anthropic/models/count-tokens:rawPredict"),
        ("POST", "https://bedrock.example/model/claude/converses"),
    ],
)
def test_other_requests_are_no_prompt_calls(method: str, url: str) -> None:
    assert not is_prompt_call(Request(method, url))


def test_bedrock_s_frames_measure_as_the_events_they_carry() -> None:
    assert measure([framed(*ORDINARY)]) == measure([streamed(*ORDINARY)])


def test_an_exception_among_bedrock_s_frames_ends_the_answer() -> None:
    throttled = aws_frames.exception("throttlingException", "Too many requests")
    media_type = "application/vnd.amazon.eventstream"

    call = measure([streamed((400, throttled), (500, b""), content_type=media_type)])
    assert (call.error, call.total) == ("throttlingException", 0.4)


@pytest.mark.parametrize("content", [b"", b"[]", b"no JSON", b'{"model": 3, "stream": 1}'])
def test_a_request_that_names_no_model_and_asks_for_no_stream_says_so(content: bytes) -> None:
    call = measure([Exchange(0, Request("POST", "https://gateway.example/elsewhere", content=content))])

    assert (call.model, call.streamed) == (None, False)


# ── the value ──


def test_a_timeline_may_be_written_down_by_hand() -> None:
    late = Timeline(sent=0, deltas=(Delta(5, "thinking"), Delta(900, "text")), ended=950)

    assert (late.ttft, late.ttfa, late.longest_gap, late.total) == (5, 900, 895, 950)


def test_a_call_s_json_is_its_fields_rounded_to_the_microsecond() -> None:
    call = measure([streamed(*ORDINARY)])

    fields = call.as_json()
    assert fields["tpot"] == 0.035996
    assert list(fields) == list(asdict(call))
    assert Call(**json.loads(json.dumps(fields))) == replace(
        call, tpot=0.035996, output_tokens_per_second=round(call.output_tokens_per_second or 0, 6)
    )


# ── any stream ──


@dataclass(frozen=True)
class Said:
    """One event a server may send: its bytes, and what it is to someone who waits."""

    data: bytes
    content: str | None = None  # "thinking" or "answer" if it holds any


CONTENT = st.sampled_from(["a", " ", "\n", "日本", '"quoted"', "\u2028"])
SAID = st.one_of(
    CONTENT.map(lambda content: Said(text(content), "answer")),
    CONTENT.map(lambda content: Said(thinking(content), "thinking")),
    CONTENT.map(lambda content: Said(tool_input(content), "answer")),
    st.sampled_from([PING, text(""), start(), b": comment\n\n", b"data: {}\n\n", b"event: odd\ndata: {}\n\n"]).map(
        Said
    ),
)


@st.composite
def timed_pieces(draw: st.DrawFn, data: bytes) -> list[tuple[Nanoseconds, bytes]]:
    """The bytes in pieces, cut anywhere, each with the instant it arrives at; two may arrive at once."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=10)))
    pieces = [data[begin:stop] for begin, stop in pairwise([0, *cuts, len(data)])]
    instants = draw(st.lists(st.integers(0, 10**10), min_size=len(pieces), max_size=len(pieces)).map(sorted))
    return list(zip(instants, pieces, strict=True))


def arrivals(said: Sequence[Said], pieces: Sequence[tuple[Nanoseconds, bytes]]) -> list[Nanoseconds]:
    """When the last byte of each event arrives."""
    instants = [at for at, piece in pieces for _ in piece]
    last, found = -1, []
    for event in said:
        last += len(event.data)
        found.append(instants[last])
    return found


@settings(deadline=None)
@given(st.data(), st.lists(SAID, max_size=8), st.integers(2, 500))
def test_any_stream_in_any_cut_is_measured_by_the_last_bytes_of_its_events(
    data: st.DataObject, events: list[Said], tokens: int
) -> None:
    said = [Said(message_start()), *events, Said(message_delta(tokens)), Said(MESSAGE_STOP)]
    pieces = data.draw(timed_pieces(b"".join(event.data for event in said)))
    chunks = tuple(Chunk(at, piece) for at, piece in pieces)
    end = End(pieces[-1][0] + data.draw(st.integers(0, 10**9)))

    line = Timeline.of([replace(streamed(*ORDINARY), chunks=chunks, end=end)])
    came = arrivals(said, pieces)
    content = [at for event, at in zip(said, came, strict=True) if event.content]
    answers = [at for event, at in zip(said, came, strict=True) if event.content == "answer"]
    assert line.ttft == (content[0] if content else None)
    assert line.ttfa == (answers[0] if answers else None)
    assert line.total == came[-1]
    assert line.longest_gap == (max(b - a for a, b in pairwise(content)) if len(content) > 1 else None)
    assert line.tpot == (round((content[-1] - content[0]) / (tokens - 1)) if content else None)


@settings(deadline=None)
@given(st.data(), st.lists(SAID, max_size=8))
def test_a_chunk_in_any_number_of_pieces_at_one_instant_measures_the_same(
    data: st.DataObject, events: list[Said]
) -> None:
    said = b"".join([message_start(), *(event.data for event in events), message_delta(9), MESSAGE_STOP])
    pieces = data.draw(timed_pieces(said))
    finer = [(at, part) for at, piece in pieces for _, part in data.draw(timed_pieces(piece))]

    coarse, fine = (
        measure([replace(streamed(*ORDINARY), chunks=tuple(Chunk(*piece) for piece in cut), end=End(10**10))])
        for cut in (pieces, finer)
    )
    assert fine == coarse


@settings(deadline=None)
@given(st.data(), st.lists(SAID, max_size=8), st.integers(0, 10**12))
def test_seconds_give_back_the_exact_nanoseconds(data: st.DataObject, events: list[Said], sent: Nanoseconds) -> None:
    said = b"".join([message_start(), *(event.data for event in events), message_delta(9), MESSAGE_STOP])
    chunks = tuple(Chunk(*piece) for piece in data.draw(timed_pieces(said)))
    answer = replace(streamed(*ORDINARY), chunks=chunks, end=End(10**10), sent=sent)

    line, call = Timeline.of([answer]), measure([answer])
    for metric in ("sent", "ttfb", "ttft", "ttfa", "total", "longest_gap", "tpot"):
        exact, seconds = getattr(line, metric), getattr(call, metric)
        assert exact == (None if seconds is None else round(seconds * 1e9)), metric

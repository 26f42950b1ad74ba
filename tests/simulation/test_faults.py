"""Faults as values: what each puts into a recording, byte for byte, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import anthropic
import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given

from pytest_claude_latency import Recording, play, strategies
from pytest_claude_latency.errors import FaultError
from pytest_claude_latency.faults import (
    Fault,
    dropped,
    failing,
    malformed,
    overloaded,
    overloaded_midstream,
    rate_limited,
    refused,
    slower,
    stalled,
    trickled,
    truncated,
    unanswered,
)
from pytest_claude_latency.messages_api.answer import read
from pytest_claude_latency.messages_api.exchange import Exchange, Request, header
from pytest_claude_latency.metrics.timeline import measure
from pytest_claude_latency.simulation import refusals
from pytest_claude_latency.simulation.fault_text import parse
from pytest_claude_latency.simulation.faults import FAULTS, NEVER
from tests.support import other_forms
from tests.support.some_recording import recording
from tests.support.written_calls import OPUS, asked, ns, streamed, whole

PIECES = ((400, "text", "one "), (600, "text", "two "), (900, "text", "three"))
FIRST = streamed(asked("a"), PIECES, connect=(0, 50))
SECOND = streamed(asked("b", model=OPUS), PIECES, sent=2000)
TWO = recording(FIRST, SECOND)
MOMENT = datetime(2026, 11, 22, 11, 30, tzinfo=UTC)
BEDROCK = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/eu.anthropic.claude-haiku-4-5-20251001-v1%3A0/invoke"
VERTEX = (
    "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1/publishers/anthropic/"
    "models/claude-haiku-4-5:rawPredict"
)


def injected(fault: Fault, recorded: Recording = TWO) -> list[Exchange]:
    """What a fault puts into a recording."""
    return [exchange for exchange in fault(recorded).exchanges if exchange.is_injected]


def body(exchange: Exchange) -> Any:
    """The JSON of an answer."""
    return json.loads(b"".join(chunk.data for chunk in exchange.chunks))


def headers(exchange: Exchange) -> dict[str, str]:
    assert exchange.response is not None
    return dict(exchange.response.headers)


# ── which calls, and how often ──


def test_a_fault_stands_in_front_of_the_first_recorded_answer() -> None:
    faulty = overloaded()(TWO)

    assert [exchange.is_injected for exchange in faulty.exchanges] == [True, False, False]
    assert faulty.exchanges[1:] == TWO.exchanges


def test_a_fault_is_met_as_often_as_it_says() -> None:
    assert len(injected(overloaded(times=3))) == 3


def test_a_fault_without_end_stays_in_front() -> None:
    (fault,) = injected(overloaded(times="always"))

    assert fault.fault is not None
    assert fault.fault.is_endless


@pytest.mark.parametrize(
    ("fault", "requests"),
    [
        (overloaded(call=2), [SECOND.request]),
        (overloaded(when={"model": "claude-opus-*"}), [SECOND.request]),
        (overloaded(when={"stream": True}), [FIRST.request, SECOND.request]),
        (overloaded(every=True), [FIRST.request, SECOND.request]),
    ],
    ids=str,
)
def test_calls_are_chosen_by_number_by_request_or_all(fault: Fault, requests: list[Request]) -> None:
    assert [exchange.request for exchange in injected(fault)] == requests


def test_two_faults_are_met_one_after_the_other_and_count_the_recorded_calls() -> None:
    faulty = (failing(status=400) & refused() & overloaded(call=2))(TWO)

    assert [exchange.is_injected for exchange in faulty.exchanges] == [True, True, False, True, False]
    assert faulty.exchanges[0].response is not None
    assert faulty.exchanges[0].response.status == 400
    assert faulty.exchanges[1].response is None


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (overloaded(call=3), "overloaded(call=3) fits no call: the recording has 2 prompt calls, and no call 3"),
        (overloaded(when={"model": "x*"}), "the recording has 2 prompt calls, and none of them fits when="),
        (overloaded(when={"modle": "x*"}), "none of them fits when=; did you mean 'model'?"),
        (dropped(after=9), "dropped(after=9) fits no call: call 1 has 3 pieces of content"),
        (
            slower(ttft=2, call=7),
            "slower(call=7, ttft=2) fits no call: the recording has 2 prompt calls, and no call 7",
        ),
    ],
    ids=str,
)
def test_a_fault_that_fits_no_call_says_why(fault: Fault, reason: str) -> None:
    with pytest.raises(FaultError) as error:
        fault(TWO)

    assert reason in str(error.value)


def test_a_fault_of_a_stream_fits_no_answer_that_does_not_stream() -> None:
    with pytest.raises(FaultError, match=r"dropped\(after=1\) fits no call: call 1 does not stream"):
        dropped(after=1)(recording(whole(asked())))


def test_a_fault_of_all_calls_leaves_out_those_it_does_not_fit() -> None:
    (fault,) = injected(dropped(after=1, every=True), recording(whole(asked()), replace(SECOND, sent=ns(9000))))

    assert fault.request == SECOND.request


# ── refusals ──


def test_a_rate_limit_has_the_headers_and_the_body_of_the_api() -> None:
    (fault,) = injected(rate_limited(retry_after="60s"), replace(TWO, recorded="2026-11-22T11:30:00.000Z"))

    assert fault.response is not None
    assert fault.response.status == 429
    assert fault.response.at == ns(150)
    told = headers(fault)
    assert told["content-type"] == "application/json"
    assert told["retry-after"] == "60"
    assert told["x-should-retry"] == "true"
    assert told["anthropic-ratelimit-requests-limit"] == "50"
    assert told["anthropic-ratelimit-requests-remaining"] == "0"
    assert told["anthropic-ratelimit-requests-reset"] == "2026-11-22T11:31:00Z"
    assert set(told) >= {f"anthropic-ratelimit-{kind}-limit" for kind in ("input-tokens", "output-tokens", "tokens")}
    assert body(fault)["type"] == "error"
    assert body(fault)["error"]["type"] == "rate_limit_error"
    assert body(fault)["request_id"] == told["request-id"]


def test_a_wait_is_sent_in_whole_seconds_and_never_too_short() -> None:
    (fault,) = injected(rate_limited(retry_after="1.2s"))

    assert headers(fault)["retry-after"] == "2"


def test_an_api_that_is_overloaded_answers_529() -> None:
    (fault,) = injected(overloaded())

    assert fault.response is not None
    assert fault.response.status == 529
    assert body(fault)["error"] == {"type": "overloaded_error", "message": "Overloaded"}
    assert "retry-after" not in headers(fault)


@pytest.mark.parametrize(
    ("status", "name", "retried"),
    [
        (400, "invalid_request_error", "false"),
        (401, "authentication_error", "false"),
        (402, "billing_error", "false"),
        (413, "request_too_large", "false"),
        (418, "invalid_request_error", "false"),
        (408, "timeout_error", "true"),
        (500, "api_error", "true"),
        (502, "api_error", "true"),
    ],
)
def test_each_status_has_the_name_that_the_api_gives_it(status: int, name: str, retried: str) -> None:
    (fault,) = injected(failing(status=status))

    assert fault.response is not None
    assert fault.response.status == status
    assert (body(fault)["error"]["type"], headers(fault)["x-should-retry"]) == (name, retried)


@pytest.mark.parametrize(
    ("status", "sent", "name"),
    [
        (429, 429, "ThrottlingException"),
        (529, 503, "ServiceUnavailableException"),
        (500, 500, "InternalServerException"),
        (400, 400, "ValidationException"),
        (403, 403, "AccessDeniedException"),
    ],
)
def test_bedrock_has_exceptions_of_its_own(status: int, sent: int, name: str) -> None:
    refusal = refusals.refusal(Request("POST", BEDROCK), status, moment=MOMENT)

    assert refusal.status == sent
    assert (header(refusal.headers, "x-amzn-errortype") or "").partition(":")[0] == name
    assert list(json.loads(refusal.body)) == ["message"]
    assert header(refusal.headers, "retry-after") is None


def test_vertex_says_in_googles_words_that_its_resources_are_exhausted() -> None:
    refusal = refusals.refusal(Request("POST", VERTEX), 429, moment=MOMENT)

    assert json.loads(refusal.body)["error"]["status"] == "RESOURCE_EXHAUSTED"
    assert json.loads(refusals.refusal(Request("POST", VERTEX), 529, moment=MOMENT).body)["error"]["type"] == (
        "overloaded_error"
    )


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, "invalid_request_error", "Your request could not be processed."),
        (401, "authentication_error", "Invalid Anthropic API Key"),
        (404, "not_found_error", "The requested resource"),
        (429, "rate_limit_error", "This request would exceed your organization's rate limit"),
        (529, "overloaded_error", "Overloaded"),
    ],
)
def test_a_gateway_in_openais_form_has_the_name_of_the_error_as_its_code(status: int, code: str, message: str) -> None:
    refusal = refusals.refusal(Request("POST", other_forms.CHAT), status, moment=MOMENT, retry_after=ns(5000))

    error = json.loads(refusal.body)["error"]
    # In this order, with one type for all, users' logs have it.
    assert list(error) == ["code", "message", "type", "param"]
    assert error == {"code": code, "message": error["message"], "type": "invalid_request_error", "param": None}
    assert error["message"].startswith(message)
    assert header(refusal.headers, "retry-after") == "5"


# ── streams ──


def test_a_stall_leaves_a_pause_behind_the_piece() -> None:
    (fault,) = injected(stalled(after=2, duration="30s"))
    call = measure([fault])

    assert call.longest_gap == pytest.approx(30.3)
    assert call.output_tokens == measure([FIRST]).output_tokens


def test_a_dropped_stream_ends_in_a_broken_connection_behind_the_piece() -> None:
    (fault,) = injected(dropped(after=2))

    assert len(read(fault).deltas) == 2
    assert fault.end is not None
    assert fault.end.error == "RemoteProtocolError"


def test_a_truncated_stream_ends_without_an_error() -> None:
    (fault,) = injected(truncated(after=1))

    assert (len(read(fault).deltas), read(fault).complete) == (1, None)
    assert fault.end is not None
    assert fault.end.error is None


@pytest.mark.parametrize(
    ("exchange", "name"),
    [
        (FIRST, "overloaded_error"),
        (other_forms.chat((400, other_forms.chunk(content="a")), (500, other_forms.DONE)), "overloaded_error"),
        (
            other_forms.converse((400, other_forms.delta(text="a")), (500, other_forms.STOPPED)),
            "serviceUnavailableException",
        ),
    ],
    ids=["messages", "chat", "converse"],
)
def test_an_error_in_mid_stream_has_the_form_of_the_stream(exchange: Exchange, name: str) -> None:
    (fault,) = injected(overloaded_midstream(after=1), recording(exchange))

    assert (len(read(fault).deltas), read(fault).error) == (1, name)


def test_an_overload_in_mid_stream_has_the_bytes_that_the_api_sends() -> None:
    (fault,) = injected(overloaded_midstream(after=1))

    error = b'{"details":null,"type":"overloaded_error","message":"Overloaded"}'
    assert fault.chunks[-1].data == b'event: error\ndata: {"type":"error","error":' + error + b" }\n\n"


def test_frames_of_aws_are_what_botocore_reads() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(refusals.aws_frame({":message-type": "exception", ":exception-type": "x"}, b'{"message":"y"}'))
    (message,) = list(buffer)

    assert message.headers == {":message-type": "exception", ":exception-type": "x"}
    assert message.payload == b'{"message":"y"}'


def test_a_malformed_event_is_no_json_and_the_rest_follows() -> None:
    (fault,) = injected(malformed(after=1))
    data = b"".join(chunk.data for chunk in fault.chunks)

    broken = [line for line in data.splitlines() if line.startswith(b"data:") and not line.endswith(b"}")]
    assert len(broken) == 1
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(broken[0].removeprefix(b"data:"))
    assert fault.end == FIRST.end


def test_a_trickle_begins_and_sends_nothing_but_pings() -> None:
    (fault,) = injected(trickled(every="10s"))

    assert read(fault).deltas == []
    assert fault.chunks[0].data.startswith(b"event: message_start")
    assert {chunk.data for chunk in fault.chunks[1:]} == {b'event: ping\ndata: {"type": "ping"}\n\n'}
    assert fault.chunks[2].at - fault.chunks[1].at == ns(10_000)


def test_converse_has_no_pings() -> None:
    with pytest.raises(FaultError, match="call 1 streams in a form that has no pings"):
        trickled()(recording(other_forms.converse((400, other_forms.delta(text="a")), (500, other_forms.STOPPED))))


# ── slow ──


def test_a_slower_answer_takes_a_factor_or_a_duration_more() -> None:
    before = measure([FIRST])
    fivefold = measure([slower(ttft=5)(TWO).exchanges[0]])
    later = measure([slower(ttft="+2s")(TWO).exchanges[0]])

    assert before.ttft is not None
    assert fivefold.ttft == pytest.approx(before.ttft * 5)
    assert later.ttft == pytest.approx(before.ttft + 2)
    assert not injected(slower(ttft=5))


# ── as values ──


def test_a_fault_is_a_value_without_a_name_of_a_function() -> None:
    assert rate_limited(retry_after="60s") == rate_limited(retry_after=60)
    assert len({rate_limited(retry_after="60s"), rate_limited(retry_after=60), rate_limited()}) == 2
    assert not hasattr(rate_limited(), "__name__")
    with pytest.raises(TypeError):
        rate_limited("60s")  # type: ignore[call-arg, arg-type]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("rate_limited(retry_after=60s)", rate_limited(retry_after="60s")),
        ('rate_limited(retry_after="60s", times="always")', rate_limited(retry_after=60, times="always")),
        ("overloaded", overloaded()),
        ("overloaded()", overloaded()),
        ("slower(ttft=+2s)", slower(ttft="+2s")),
        ("slower(ttft=5, when={model: claude-opus-*})", slower(ttft=5, when={"model": "claude-opus-*"})),
        ("failing(status=503, every=True)", failing(status=503, every=True)),
        ("refused() & stalled(after=10, duration=30s)", refused() & stalled(after=10, duration="30s")),
    ],
)
def test_faults_are_read_from_text(text: str, fault: Fault) -> None:
    assert parse(text) == fault
    assert parse(fault.text()) == fault


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate_limit()", "'rate_limit' is no fault; did you mean 'rate_limited'?; accepted: slower, stalled"),
        ("rate_limited(60s)", "is not understood; accepted: a fault with its arguments by name"),
        ("rate_limited(retry_after=-5s)", "rate_limited: retry_after='-5s' is not a duration"),
        ("rate_limited(retry=5)", "rate_limited: got an unexpected keyword argument 'retry'"),
        ("dropped()", "dropped: missing 1 required keyword-only argument: 'after'"),
        ("dropped(after=0)", "after=0 is not understood; accepted: a number of pieces of content, from 1"),
        ("slower(ttft=-1)", "slower: ttft=-1 is not understood; accepted: a factor of at least 0"),
        ("slower(output=2, total=nan)", "slower: total='nan' is not understood"),
        ("slower()", "slower: nothing is slower"),
        ("failing(status=200)", "failing: status=200 is not understood"),
        ("overloaded(call=0)", "overloaded: call=0 is not understood"),
        ("overloaded(call=1, every=True)", "call=, when= and every= exclude each other"),
        ("overloaded(times=0)", "overloaded: times=0 is not understood"),
        ("overloaded(when=opus)", "overloaded: when='opus' is not understood"),
        ("trickled(every=1ms)", "trickled: every='1ms' is too short"),
        ("", "is not understood"),
    ],
)
def test_what_is_not_understood_is_refused_where_it_is_written(text: str, message: str) -> None:
    with pytest.raises(FaultError) as error:
        parse(text)

    assert message in str(error.value)


def test_each_fault_of_the_table_is_there() -> None:
    assert set(FAULTS) == {
        "slower",
        "stalled",
        "rate_limited",
        "overloaded",
        "failing",
        "overloaded_midstream",
        "dropped",
        "truncated",
        "malformed",
        "refused",
        "unanswered",
        "trickled",
    }


@given(strategies.recordings(streamed=True, deltas=2), strategies.faults(pieces=2))
def test_any_fault_keeps_what_was_recorded(recorded: Recording, fault: Fault) -> None:
    faulty = fault(recorded)
    kept = tuple(exchange for exchange in faulty.exchanges if not exchange.is_injected)

    if fault.name != "slower":
        assert kept == recorded.exchanges
        assert faulty.exchanges[0].is_injected
    assert [exchange.request for exchange in kept] == [exchange.request for exchange in recorded.exchanges]
    assert [exchange.chunks[-1].data for exchange in kept] == [
        exchange.chunks[-1].data for exchange in recorded.exchanges
    ]
    for exchange in faulty.exchanges:
        assert exchange.end is not None
        assert [chunk.at for chunk in exchange.chunks] == sorted(chunk.at for chunk in exchange.chunks)
        assert all(chunk.at <= exchange.end.at for chunk in exchange.chunks)


# ── played ──


def ask(prompt: str, **options: Any) -> str:
    """Ask as a program does, with the SDK's own retries."""
    with (
        anthropic.Anthropic(api_key="none", **options) as client,
        client.messages.stream(
            model="claude-haiku-4-5", max_tokens=1024, messages=[{"role": "user", "content": prompt}]
        ) as stream,
    ):
        return "".join(stream.text_stream)


def test_a_played_refusal_is_waited_out_and_the_recorded_answer_follows() -> None:
    with play(rate_limited(retry_after="40s")(TWO)) as measured:
        assert ask("a") == "one two three"
        assert ask("b") == "one two three"

    assert [call.attempts for call in measured.calls] == [2, 1]
    assert measured.calls[0].total == pytest.approx(41.05, abs=0.01)


def test_what_is_left_of_a_call_with_a_fault_answers_no_other_request() -> None:
    with play(overloaded()(TWO)) as measured:
        with pytest.raises(anthropic.APIStatusError):
            ask("a", max_retries=0)
        assert ask("b") == "one two three"

    assert measured.calls[1].ttft == pytest.approx(0.4)


def test_a_fault_without_end_is_met_by_each_retry() -> None:
    with play(failing(times="always")(TWO)) as measured, pytest.raises(anthropic.InternalServerError):
        ask("a")

    assert measured.calls[0].attempts == 3


def test_a_host_that_refuses_is_a_connection_error() -> None:
    with play(refused(times="always")(TWO)), pytest.raises(anthropic.APIConnectionError):
        ask("a", max_retries=0)


def test_an_answer_that_never_comes_is_ended_by_the_programs_own_time_out() -> None:
    with play(unanswered()(TWO)) as measured, pytest.raises(anthropic.APITimeoutError):
        ask("a", max_retries=0, timeout=7)

    assert measured.calls[0].total == pytest.approx(7.05, abs=0.01)


def test_a_program_without_a_time_out_hangs_and_is_told_so() -> None:
    with pytest.raises(BaseException, match="the program hangs: it waited for 36"), play(unanswered()(TWO)):
        ask("a", max_retries=0, timeout=None)

    assert ns(3_600_000) == NEVER

"""The strategies, against the SDK: what they generate must be what it accepts, in the envelope that was asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anthropic
import pytest
from anthropic import _base_client as sdk
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from pytest_claude_latency.cassettes.recording import Recording, dumps, loads
from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.errors import LimitError
from pytest_claude_latency.messages_api.exchange import End, Exchange, header
from pytest_claude_latency.messages_api.message import Message, encoded
from pytest_claude_latency.metrics.timeline import Timeline, measure
from pytest_claude_latency.strategies import answers, chunkings, content, exchanges, recordings
from pytest_claude_latency.strategies.envelope import Envelope
from tests.support.properties import examples

http: Any = getattr(sdk, "httpx2", None) or getattr(sdk, "httpx", None)  # the one this SDK is built on
HELLO: Any = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
STREAM = {"content-type": "text/event-stream"}

ANYTHING = recordings(
    streamed=None, thinking=None, tools=None, errors=True, drops=True, retries=True, calls=(1, 3), deltas=(1, 3)
)
ANY_MESSAGE = content.messages(
    Envelope.of(thinking=None, tools=None, tool_inputs=None, deltas=(1, 3), model="claude-haiku-4-5")
)


@contextmanager
def claude(*answering: Callable[[], Any]) -> Iterator[anthropic.Anthropic]:
    """A client whose requests are answered by these in turn, without a network."""
    turn = iter(answering)
    transport = http.MockTransport(lambda request: next(turn)())
    http_client = http.Client(transport=transport)
    with anthropic.Anthropic(api_key="none", base_url="https://api.anthropic.com", http_client=http_client) as client:
        yield client


def served(exchange: Exchange) -> Callable[[], Any]:
    """Answers a request as the exchange was answered, at once."""
    return lambda: _response(exchange)


def _response(exchange: Exchange) -> Any:
    if exchange.response is None:
        raise failure(exchange)
    return http.Response(exchange.response.status, headers=exchange.response.headers, content=_body(exchange))


def _body(exchange: Exchange) -> Iterator[bytes]:
    yield from (chunk.data for chunk in exchange.chunks)
    if end(exchange).error is not None:
        raise failure(exchange)


def failure(exchange: Exchange) -> Exception:
    error: Exception = getattr(http, end(exchange).error or "")("as generated")
    return error


def end(exchange: Exchange) -> End:
    assert exchange.end is not None
    return exchange.end


def ask(client: anthropic.Anthropic, exchange: Exchange) -> Any:
    """The message the SDK makes of the answer, read as the request asks for it."""
    if not exchange.request.json.get("stream"):
        return client.messages.create(**HELLO)
    with client.messages.stream(**HELLO) as stream:
        return stream.get_final_message()


def heard(client: anthropic.Anthropic, exchange: Exchange) -> Any:
    """The same, or the exception the SDK raises instead."""
    try:
        return ask(client, exchange)
    except (anthropic.APIStatusError, http.TransportError) as error:
        return error


def without_nulls(value: Any) -> Any:
    """The value without fields that are None: some SDKs add them on one way and not on the other."""
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


def reported(error: Exception) -> str:
    """What a call's `error` is to be where the SDK raises this."""
    if isinstance(error, anthropic.APIStatusError):
        body: Any = error.body
        return str(body["error"]["type"])
    return type(error).__name__


def calls_of(recording: Recording) -> list[list[Exchange]]:
    """The attempts of each call: all but the last of a call fail in a way that the SDK tries again after."""
    calls: list[list[Exchange]] = [[]]
    for exchange in recording.exchanges:
        calls[-1].append(exchange)
        response = exchange.response
        if response is not None and (response.status == 200 or header(response.headers, "x-should-retry") == "false"):
            calls.append([])
    return calls[:-1]


# ── the SDK ──


@settings(deadline=None)
@given(ANYTHING)
def test_the_sdk_makes_of_any_call_what_is_measured_of_it(recording: Recording) -> None:
    for attempts in calls_of(recording):
        call = measure(attempts)
        with claude(served(attempts[-1])) as client:
            message = heard(client, attempts[-1])
        if isinstance(message, Exception):
            assert call.error == reported(message)
        else:
            assert call.error is None
            assert (message.model, message.stop_reason) == (call.model, call.stop_reason)
            assert message.usage.input_tokens == call.input_tokens
            assert message.usage.output_tokens == call.output_tokens


@settings(deadline=None)
@given(ANY_MESSAGE, st.data())
def test_a_stream_says_what_the_whole_message_says(message: Message, data: st.DataObject) -> None:
    pieces = data.draw(chunkings(b"".join(map(encoded, message.events()))))

    with claude(
        lambda: http.Response(200, headers=STREAM, content=iter(pieces)),
        lambda: http.Response(200, json=message.unstreamed()),
    ) as client:
        with client.messages.stream(**HELLO) as stream:
            streamed = stream.get_final_message().to_dict()
        unstreamed = client.messages.create(**HELLO).to_dict()
    assert without_nulls(streamed["content"]) == without_nulls(unstreamed["content"])
    for part in ("id", "model", "stop_reason", "stop_sequence"):
        assert streamed[part] == unstreamed[part], part


@settings(deadline=None)
@given(recordings(retries=True, deltas=1))
def test_the_sdk_retries_as_often_and_waits_as_long_as_a_recording_says(recording: Recording) -> None:
    waited: list[float] = []
    with pytest.MonkeyPatch.context() as patch, claude(*map(served, recording.exchanges)) as client:
        patch.setattr(sdk, "time", SimpleNamespace(**vars(time) | {"sleep": waited.append}))
        ask(client, recording.exchanges[-1])

    pauses = [later.sent - earlier.sent - end(earlier).at for earlier, later in pairwise(recording.exchanges)]
    assert len(pauses) == len(waited) == measure(recording.exchanges).attempts - 1
    for pause, wait, (failed, _) in zip(pauses, waited, pairwise(recording.exchanges), strict=True):
        if failed.response and header(failed.response.headers, "retry-after"):
            assert pause == wait * SECOND
        else:
            assert 0.75 <= pause / SECOND / wait <= 4 / 3  # both take up to a quarter off the same


# ── the envelope ──


@settings(deadline=None)
@given(recordings(ttft=("100ms", "2s"), gaps=("10ms", 0.05), ttfb=(timedelta(milliseconds=50), "150ms"), thinking=None))
def test_a_stream_keeps_to_its_envelope(recording: Recording) -> None:
    line = Timeline.of(recording.exchanges)

    assert line.ttfb is not None
    assert line.ttft is not None
    assert line.ttfa is not None
    assert line.total is not None
    assert 50_000_000 <= line.ttfb <= 150_000_000
    assert 100_000_000 <= line.ttft <= 2_000_000_000
    assert line.ttfb <= line.ttft <= line.ttfa <= line.total
    assert all(10_000_000 <= b.at - a.at <= 50_000_000 for a, b in pairwise(line.deltas))


@settings(deadline=None)
@given(recordings(streamed=False, total=("1s", "1.5s"), thinking=None, tools=None))
def test_an_answer_that_does_not_stream_keeps_to_its_envelope(recording: Recording) -> None:
    line = Timeline.of(recording.exchanges)

    assert not line.streamed
    assert line.total is not None
    assert 1_000_000_000 <= line.total <= 1_500_000_000
    assert line.ttft == line.ttfa == line.total


@settings(deadline=None)
@given(recordings(ttft="250ms", ttfb="100ms", gaps=0.02, deltas=3))
def test_a_single_duration_or_number_is_met_exactly(recording: Recording) -> None:
    line = Timeline.of(recording.exchanges)

    instants = [delta.at for delta in line.deltas]
    assert line.ttfb == 100_000_000
    assert instants == [250_000_000 + 20_000_000 * place for place in range(len(instants))]
    assert len(instants) in (3, 6)  # in one or two blocks


@examples(60)
@given(ANYTHING)
def test_any_recording_is_the_same_after_it_was_saved(recording: Recording) -> None:
    assert loads(dumps(recording), Path("generated.jsonl")) == recording


@examples(40)
@given(recordings(calls=(2, 4), streamed=None))
def test_calls_come_one_after_the_other(recording: Recording) -> None:
    assert 2 <= len(calls_of(recording)) == len(recording.exchanges) <= 4
    for earlier, later in pairwise(recording.exchanges):
        assert later.sent >= earlier.sent + end(earlier).at


@examples(40)
@given(recordings(calls=2, streamed=None, thinking=None, tools=None))
def test_without_being_asked_for_nothing_goes_wrong(recording: Recording) -> None:
    for exchange in recording.exchanges:
        call = measure([exchange])
        assert (call.status, call.error, call.closed) == (200, None, None)
        assert call.ttfa is not None


# ── what is in it ──


def kinds(message: dict[str, Any]) -> list[str]:
    return [block["type"] for block in message["content"]]


@settings(deadline=None)
@given(answers())
def test_by_default_an_answer_is_text(message: dict[str, Any]) -> None:
    assert set(kinds(message)) == {"text"}


@settings(deadline=None)
@given(answers(thinking=True, tools=True))
def test_an_answer_may_have_to_think_first_and_to_end_in_a_tool(message: dict[str, Any]) -> None:
    assert kinds(message)[0] in ("thinking", "redacted_thinking")
    assert kinds(message)[-1] == "tool_use"
    assert message["stop_reason"] == "tool_use"


@settings(deadline=None)
@given(answers(tools=True, tool_inputs={"look_up": st.fixed_dictionaries({"order": st.integers(1, 9)})}))
def test_tools_and_their_inputs_may_be_given(message: dict[str, Any]) -> None:
    used = [block for block in message["content"] if block["type"] == "tool_use"]

    assert {block["name"] for block in used} == {"look_up"}
    assert all(1 <= block["input"]["order"] <= 9 for block in used)


@settings(deadline=None)
@given(answers(thinking=None, tools=None))
def test_thinking_is_counted_among_the_output_tokens(message: dict[str, Any]) -> None:
    usage = message["usage"]

    thinking = usage.get("output_tokens_details", {}).get("thinking_tokens", 0)
    assert usage["output_tokens"] > thinking
    assert thinking == 0 or kinds(message)[0] in ("thinking", "redacted_thinking")


@settings(deadline=None)
@given(st.binary(max_size=40), st.data())
def test_any_cut_of_bytes_is_the_bytes(data: bytes, choices: st.DataObject) -> None:
    assert b"".join(choices.draw(chunkings(data))) == data


def dropped(made: Recording) -> bool:
    return bool(made.exchanges[0].chunks) and measure(made.exchanges).error in ("ReadError", "RemoteProtocolError")


def failed_in_mid_stream(made: Recording) -> bool:
    call = measure(made.exchanges)
    return call.error == "overloaded_error" and call.status == 200


def thought_aloud(made: Recording) -> bool:
    call = measure(made.exchanges)
    return call.ttft != call.ttfa


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [
        (recordings(errors=True), failed_in_mid_stream),
        (recordings(errors=True), lambda made: measure(made.exchanges).status in (429, 500, 529)),
        (recordings(drops=True), dropped),
        (recordings(retries=True), lambda made: len(made.exchanges) == 3),
        (recordings(retries=True), lambda made: made.exchanges[0].response is None),
        (recordings(calls=(1, 2)), lambda made: len(made.exchanges) == 2),
        (recordings(streamed=None), lambda made: not measure(made.exchanges).streamed),
        (recordings(thinking=True), thought_aloud),
        (exchanges(thinking=True), lambda made: b'"redacted_thinking"' in body(made)),
        (exchanges(tools=True), lambda made: b'"server_tool_use"' in body(made)),
        (exchanges(), lambda made: b"event: ping" in body(made)),
        (exchanges(), lambda made: b'"text": ""}}' in body(made)),
        (exchanges(), lambda made: not all(is_utf_8(chunk.data) for chunk in made.chunks)),
        (exchanges(), lambda made: not all(chunk.data for chunk in made.chunks)),
        (chunkings(b"ab"), lambda made: made == (b"a", b"", b"b")),
    ],
)
def test_whatever_may_happen_does(strategy: st.SearchStrategy[Any], wanted: Callable[[Any], bool]) -> None:
    generous = settings(max_examples=3000, database=None, derandomize=True, phases=[Phase.generate])

    assert wanted(find(strategy, wanted, settings=generous))


def body(exchange: Exchange) -> bytes:
    return b"".join(chunk.data for chunk in exchange.chunks)


def is_utf_8(data: bytes) -> bool:
    return data.decode("utf-8", "ignore").encode() == data


# ── bad arguments ──


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ttft": "soon"}, "ttft: 'soon' is not a duration"),
        ({"ttft": ("2s", "1s")}, "ttft=.*the shortest is longer than the longest"),
        ({"gaps": ("1s", "2s", "3s")}, "gaps=.*a pair"),
        ({"gaps": -1}, "gaps: .*negative"),
        ({"total": 0.0000001}, "total=.*no whole microsecond"),
        ({"ttfb": "3s"}, "ttfb is always longer than ttft"),
        ({"ttfb": "30s", "ttft": "1m", "streamed": None}, "ttfb is always longer than total"),
        ({"streamed": "yes"}, "streamed='yes'"),
        ({"thinking": 1}, "thinking=1"),
        ({"tools": []}, "tools="),
        ({"tools": True, "tool_inputs": ["look_up"]}, "tool_inputs="),
        ({"tool_inputs": {"look_up": st.just({})}}, "tools=True or tools=None"),
        ({"deltas": 0}, "deltas=0.*at least 1"),
        ({"deltas": (3, 2)}, "deltas=.*the fewest are more than the most"),
        ({"calls": True}, "calls=True"),
        ({"calls": 1.5}, "calls=1.5"),
        ({"errors": None}, "errors=None"),
        ({"drops": True, "streamed": False}, "only streams break off"),
        ({"retries": "twice"}, "retries='twice'"),
    ],
)
def test_bad_arguments_are_refused_when_the_strategy_is_made(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(LimitError, match=message):
        recordings(**arguments)


def test_a_misspelt_argument_is_refused() -> None:
    misspelt: Any = {"tftt": "1s"}

    with pytest.raises(TypeError, match="tftt"):
        recordings(**misspelt)

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.duration import MILLISECOND
from tests.support.claude_answers import Answer, Part, Timetable, hang_up, json_answer, status
from tests.support.claude_messages import Text, Thinking, ToolUse, Usage, frame, message, text, thinking, tool_use


def events(answer: Answer) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in answer.body.decode().split("\n") if "data: " in line]


def deltas(answer: Answer) -> list[dict[str, Any]]:
    return [event["delta"] for event in events(answer) if event["type"] == "content_block_delta"]


def arrivals(answer: Answer) -> Iterator[int]:
    """When each byte of the body is sent, in nanoseconds since the headers."""
    now = 0
    for part in answer.parts:
        now += part.gap
        yield from [now] * len(part.data)


def test_a_message_is_the_events_of_the_api_in_their_order() -> None:
    kinds = [event["type"] for event in events(text("Hello wor|ld"))]

    assert kinds == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_a_bar_separates_the_deltas_of_a_text() -> None:
    assert [delta["text"] for delta in deltas(text("Hello wor||ld"))] == ["Hello wor", "", "ld"]


def test_thinking_is_signed_before_the_text_begins() -> None:
    assert [delta["type"] for delta in deltas(thinking("let me|see", "Yes"))] == [
        "thinking_delta",
        "thinking_delta",
        "signature_delta",
        "text_delta",
    ]


def test_thinking_that_is_not_shown_is_only_signed() -> None:
    assert [delta["type"] for delta in deltas(thinking(None, "Yes"))] == ["signature_delta", "text_delta"]


def test_the_input_of_a_tool_opens_with_an_empty_delta_and_adds_up() -> None:
    pieces = [delta["partial_json"] for delta in deltas(tool_use("look_up", {"order": "ö-17"}, pieces=3))]

    assert pieces[0] == ""
    assert len(pieces) == 4
    assert json.loads("".join(pieces)) == {"order": "ö-17"}


def test_a_message_that_calls_a_tool_stops_for_it() -> None:
    answer = message(Text("I look it up."), ToolUse("look_up"))

    assert events(answer)[-2]["delta"]["stop_reason"] == "tool_use"


def test_usage_starts_with_one_token_and_ends_with_all() -> None:
    usage = Usage(input_tokens=20, output_tokens=90, cache_read=1000, cache_write=7, thinking_tokens=40)

    first, *_, last, _ = events(message(Text("x"), usage=usage))

    assert first["message"]["usage"] == {
        "input_tokens": 20,
        "cache_creation_input_tokens": 7,
        "cache_read_input_tokens": 1000,
        "output_tokens": 1,
    }
    assert last["usage"]["output_tokens"] == 90
    assert last["usage"]["output_tokens_details"] == {"thinking_tokens": 40}


def test_the_same_message_without_a_stream_is_whole_when_the_stream_would_have_ended() -> None:
    answer = message(Thinking("a|b"), Text("c|d"), timetable=Timetable.of("300ms", ["20ms", "30ms"], "5ms"))

    assert answer.unstreamed is not None
    assert answer.unstreamed.ttfb == 355 * MILLISECOND
    content = json.loads(answer.unstreamed.body)["content"]
    assert [block.get("thinking") or block.get("text") for block in content] == ["ab", "cd"]


def test_gaps_lie_before_deltas_and_the_end_before_the_last_events() -> None:
    answer = text("a|b|c", gaps=["10ms", "20ms"], end="5ms")

    waits = [(json.loads(part.data.split(b"data: ")[1])["type"], part.gap) for part in answer.parts if part.gap]
    assert waits == [
        ("content_block_delta", 10 * MILLISECOND),
        ("content_block_delta", 20 * MILLISECOND),
        ("message_delta", 5 * MILLISECOND),
    ]


@given(data=st.data())
def test_any_cuts_keep_every_byte_and_send_none_before_it_is_due(data: st.DataObject) -> None:
    pieces = data.draw(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=6))
    gaps = data.draw(st.lists(st.integers(0, 50), min_size=len(pieces), max_size=len(pieces)))
    answer = Answer(parts=tuple(Part(piece, gap) for piece, gap in zip(pieces, gaps, strict=True)))
    cuts = data.draw(st.lists(st.integers(0, 60), max_size=8))

    cut = answer.split(at=cuts, gap=0)

    assert cut.body == answer.body
    assert {len(b"".join(part.data for part in cut.parts[:n])) for n in range(len(cut.parts))} == {
        0,
        *(place for place in cuts if place < len(answer.body)),
    }
    assert all(after >= before for before, after in zip(arrivals(answer), arrivals(cut), strict=True))
    assert list(arrivals(cut))[-1] == list(arrivals(answer))[-1]


def test_pieces_of_one_moment_are_a_gap_apart() -> None:
    cut = Answer(parts=(Part(b"abcdef", 7),)).split(size=2, gap="1ms")

    assert [(part.data, part.gap) for part in cut.parts] == [
        (b"ab", 7),
        (b"cd", MILLISECOND),
        (b"ef", MILLISECOND),
    ]


def test_a_stream_can_be_cut_inside_every_character() -> None:
    cut = text("für €5 😀").split_in_characters()

    assert cut.body == text("für €5 😀").body
    assert len(cut.parts) == 4
    assert all(part.data[-1] >= 0xC0 for part in cut.parts[:-1])


@pytest.mark.parametrize(("after", "last"), [(0, "ping"), (1, "one"), (2, "two")])
def test_a_drop_comes_right_after_its_delta(after: int, last: str) -> None:
    dropped = text("one|two|three").dropped(after)

    assert last in dropped.parts[-1].data.decode()
    assert dropped.ending == "close"


def test_a_drop_after_more_deltas_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="has 2 content parts, not 3"):
        text("one|two").dropped(3)


def test_an_overload_in_mid_stream_is_spelt_as_in_reality() -> None:
    answer = text("one|two").failing(1)

    assert answer.body.endswith(
        b'event: error\ndata: {"type":"error","error":'
        b'{"details":null,"type":"overloaded_error","message":"Overloaded"} }\n\n'
    )
    assert b"two" not in answer.body


def test_a_stream_can_lack_its_last_blank_line() -> None:
    body = text("one").without_last_blank_line().body

    assert body.endswith(b'data: {"type":"message_stop"}\n')


def test_a_stream_can_lack_its_event_names() -> None:
    answer = text("one")

    assert b"event:" not in answer.without_event_names().body
    assert events(answer.without_event_names()) == events(answer)


def test_a_foreign_event_can_stand_anywhere() -> None:
    answer = text("one").with_part(1, frame("wibble", wobble=1))

    assert [event["type"] for event in events(answer)][:3] == ["message_start", "wibble", "content_block_start"]


def test_an_error_carries_what_the_sdk_goes_by() -> None:
    answer = status(429, retry_after=1.5, should_retry=True)

    assert ("retry-after", "1.5") in answer.headers
    assert ("x-should-retry", "true") in answer.headers
    assert json.loads(answer.body)["error"]["type"] == "rate_limit_error"


def test_json_can_come_in_pieces() -> None:
    answer = json_answer({"a": "b" * 20}, pieces=3, gaps=["10ms", "20ms"])

    assert [part.gap for part in answer.parts] == [10 * MILLISECOND, 20 * MILLISECOND, 0]
    assert json.loads(answer.body) == {"a": "b" * 20}


def test_an_answer_that_hangs_up_has_no_status() -> None:
    assert hang_up("5ms", reset=True) == Answer(status=None, end=5 * MILLISECOND, ending="reset")

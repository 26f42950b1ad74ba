"""Where time went, on exchanges whose every instant is written down, and that any breakdown adds up."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.diagnosis.attribution import of_call, of_test
from pytest_claude_latency.diagnosis.breakdown import Breakdown, Part
from pytest_claude_latency.duration import SECOND, nanoseconds
from pytest_claude_latency.messages_api.exchange import Chunk, Exchange
from pytest_claude_latency.messages_api.retries import calls_of
from pytest_claude_latency.metrics.timeline import measure
from pytest_claude_latency.strategies import recordings
from tests.support.some_recording import recordings as any_recordings
from tests.support.written_calls import asked, counting, ns, refused, streamed, unanswered, usage, whole


def parts(found: Breakdown | None) -> dict[str, float]:
    """The parts in milliseconds."""
    assert found is not None
    return {str(part): span / 1e6 for part, span in found.parts.items()}


def test_of(*exchanges: Exchange) -> Breakdown:
    found = of_test(calls_of(exchanges))
    assert found is not None
    return found


test_of.__test__ = False  # type: ignore[attr-defined]  # the name looks like a test's


def test_a_streamed_call_waits_for_its_first_token_and_then_answers() -> None:
    call = streamed(connect=(5, 60), pieces=[(400, "text", "Your "), (900, "text", "parcel.")], stop=910)

    assert parts(of_call((call,))) == {"connection": 65, "waiting": 335, "answering": 510}


def test_thinking_that_is_shown_begins_with_its_first_word_and_lasts_to_the_answer() -> None:
    call = streamed(
        pieces=[(400, "thinking", "Hm"), (600, "thinking", "."), (1240, "text", "No."), (1300, "text", "!")]
    )

    assert parts(of_call((call,))) == {"waiting": 400, "thinking": 840, "answering": 60}


def test_thinking_that_is_not_shown_begins_with_its_block() -> None:
    call = streamed(hidden=350, pieces=[(1240, "text", "No."), (1300, "text", "!")])

    assert parts(of_call((call,))) == {"waiting": 350, "thinking": 890, "answering": 60}


def test_an_answer_that_does_not_stream_is_one_whole() -> None:
    found = of_call((whole(at=2900, connect=(0, 100)),))

    assert parts(found) == {"connection": 100, "whole": 2800}
    assert found.text() == "of 2.90s: 2.80s for 96 tokens not streamed, 0.10s connecting"


def test_tokens_are_told_for_the_part_in_which_they_were_generated() -> None:
    label, answer = whole(asked("label"), at=200, used=usage(output=10)), streamed(asked("answer"), sent=200)

    assert test_of(label, answer).text() == (
        "of 1.10s: 0.50s generating 96 tokens, 0.40s to first tokens, 0.20s for 10 tokens not streamed"
    )


def test_tokens_that_are_not_known_of_one_part_do_not_hide_those_of_another() -> None:
    unknown = replace(whole(asked("label"), at=200), chunks=())
    label = whole(asked("label"), at=200, used=usage(output=10))

    assert test_of(unknown, label, streamed(asked("answer"), sent=200)).tokens[Part.ANSWERING] == 96


def test_a_gap_far_above_the_usual_is_a_stall() -> None:
    steady = [(400 + 50 * place, "text", "word ") for place in range(6)]
    call = streamed(pieces=[*steady, (2650, "text", "at last")])

    assert parts(of_call((call,))) == {"waiting": 400, "answering": 250, "stalled": 2000}


@pytest.mark.parametrize("kind", ["json", "text"])
def test_gaps_as_long_as_others_or_in_the_input_of_a_tool_are_no_stalls(kind: str) -> None:
    at = [400, 1000, 1700, 2400, 3200] if kind == "text" else [400, 401, 402, 403, 404, 3000]
    call = streamed(pieces=[(instant, kind, "12") for instant in at])

    assert Part.STALLED not in of_call((call,)).parts


def test_a_silence_before_an_answer_breaks_off_is_a_stall() -> None:
    steady = [(400 + 50 * place, "text", "word ") for place in range(6)]
    call = streamed(pieces=steady, stop=10_650, error="ReadTimeout")

    assert parts(of_call((call,))) == {"waiting": 400, "answering": 250, "stalled": 10_000}


def test_retries_are_the_attempts_that_were_refused_and_the_pauses_after_them() -> None:
    found = of_call((refused(at=120), refused(status=429, sent=620, at=80), streamed(sent=1700)))

    assert parts(found) == {"refused": 200, "back_off": 1500, "waiting": 400, "answering": 500}
    assert found.failures == ("529", "429")
    assert found.text() == (
        "of 2.60s: 1.70s in 2 retries after a 529 and a 429, 0.50s generating 96 tokens, 0.40s to the first token"
    )


def test_a_call_that_is_refused_for_good_says_so() -> None:
    found = of_call((unanswered(at=500), unanswered(sent=1000, at=500)))

    assert parts(found) == {"refused": 1000, "back_off": 500}
    assert found.text() == "of 1.50s: 1.50s in 2 failed attempts (2 x ConnectError)"


def test_a_call_without_content_waits_until_its_end() -> None:
    found = of_call((streamed(pieces=[], stop=320, used=usage(output=0)),))

    assert found.text() == "of 320ms: 320ms waiting for an answer"


def test_a_call_under_way_is_broken_down_up_to_now() -> None:
    call = replace(streamed(), chunks=streamed().chunks[:3], end=None)

    assert parts(of_call((call,), ns(2000))) == {"waiting": 400, "answering": 1600}
    assert parts(of_call((call,))) == {"waiting": 400}


def test_the_time_between_calls_is_the_application_s() -> None:
    found = test_of(streamed(asked("one")), counting(sent=1000, at=50), streamed(asked("two"), sent=1050))

    assert parts(found) == {"waiting": 800, "answering": 1000, "other": 50, "application": 100}
    assert found.text().startswith("of 1.95s: 1.00s generating 192 tokens, 0.80s to first tokens, ")


def test_what_lies_between_the_answer_and_the_end_of_its_stream_is_the_application_s() -> None:
    assert parts(test_of(streamed(ended=1400))) == {"waiting": 400, "answering": 500, "application": 500}


def test_of_calls_side_by_side_the_last_to_end_counts() -> None:
    short, long = streamed(asked("one")), streamed(asked("two"), pieces=[(500, "text", "a"), (3000, "text", "b")])
    found = test_of(short, long)

    assert parts(found) == {"waiting": 500, "answering": 2500}
    assert [stretch.call for stretch in found.path] == [2]


def test_a_call_is_sent_by_the_one_that_ended_last_before_it() -> None:
    first, slow = (
        streamed(asked("one")),
        streamed(asked("two"), pieces=[(500, "text", "a"), (3000, "text", "b")]),
    )
    found = test_of(first, slow, streamed(asked("three"), sent=1000, pieces=[(400, "text", "a"), (9000, "text", "b")]))

    assert [(stretch.call, stretch.start // 10**6) for stretch in found.path] == [(1, 0), (None, 900), (3, 1000)]


def test_a_hedge_is_sent_by_the_call_that_is_late() -> None:
    late = streamed(pieces=[(6000, "text", "a")], stop=6000)
    found = test_of(late, streamed(asked("hedge"), sent=2000))

    assert [(stretch.call, stretch.end // 10**6) for stretch in found.path] == [(1, 6000)]
    hedged = test_of(streamed(pieces=[(6000, "text", "a")], stop=2500), streamed(asked("hedge"), sent=2000))
    assert [(stretch.call, stretch.end // 10**6) for stretch in hedged.path] == [(1, 2000), (2, 2900)]


def test_without_a_request_there_is_nothing_to_break_down() -> None:
    assert of_test(()) is None


def test_the_line_of_the_page_is_said_so() -> None:
    first = refused(asked(stream=True), at=920)
    answer = streamed(sent=1920, pieces=[(1200, "text", "a"), (7300, "text", "b")], used=usage(output=487), ended=7490)

    assert test_of(first, answer).text() == (
        "of 9.41s: 6.10s generating 487 tokens, 1.92s in one retry after a 529, 1.20s to the first token, "
        "0.19s in the application"
    )


ANY = recordings(streamed=None, thinking=None, tools=None, errors=True, drops=True, retries=True, calls=(1, 3))


def adds_up(found: Breakdown, total: int) -> None:
    assert found.total == total
    assert sum(found.parts.values()) == total
    assert all(span > 0 for span in found.parts.values())
    assert [segment.start for segment in found.segments[1:]] == [segment.end for segment in found.segments[:-1]]
    assert sum(round(share * 1e6) for share in found.as_json().values()) == round(total / 1000)


@given(ANY)
def test_the_parts_of_any_recording_add_up(recording: Recording) -> None:
    calls = calls_of(recording.exchanges)

    for attempts in calls:
        total = measure(attempts).total
        adds_up(of_call(attempts), 0 if total is None else nanoseconds(total))
    ends = [exchange.sent + exchange.end.at for exchange in recording.exchanges if exchange.end]
    elapsed = max(ends) - recording.exchanges[0].sent
    found = of_test(calls)
    assert found is not None
    adds_up(found, elapsed)


@given(any_recordings(), st.integers(0, 10 * SECOND))
def test_the_parts_of_exchanges_that_no_api_made_add_up(recording: Recording, now: int) -> None:
    calls = calls_of(recording.exchanges)
    found = of_test(calls, now)

    for attempts in calls:
        adds_up(of_call(attempts, now), nanoseconds(measure(attempts).total or 0.0))
    if found is not None:
        adds_up(found, found.path[-1].end)


@given(st.lists(ANY, min_size=1, max_size=4), st.lists(st.integers(0, 10**7), min_size=4, max_size=4))
def test_the_parts_of_calls_in_any_overlap_add_up(made: list[Recording], starts: list[int]) -> None:
    exchanges = [
        replace(exchange, sent=exchange.sent + start * 1000)
        for recording, start in zip(made, starts, strict=False)
        for exchange in recording.exchanges
    ]
    found = of_test(calls_of(exchanges))

    origin = min(exchange.sent for exchange in exchanges)

    assert found is not None
    adds_up(found, max(exchange.sent + (exchange.end.at if exchange.end else 0) for exchange in exchanges) - origin)
    assert all(earlier.end == later.start for earlier, later in pairwise(found.path))


@given(ANY)
def test_the_line_of_any_breakdown_adds_up_as_it_is_shown(recording: Recording) -> None:
    found = of_test(calls_of(recording.exchanges))
    assert found is not None
    head, _, shown = found.text().partition(": ")
    unit = "ms" if "ms" in head else "s"

    spans = [float(span) for span in re.findall(rf"(?:^|, )([\d.]+){unit}", shown)]
    assert round(sum(spans), 6) == float(head.removeprefix("of ").removesuffix(unit))


def searching(*, input_at: float, result_at: float) -> Exchange:
    """A streamed answer in which the API searches, from 500 ms on."""
    made = streamed(pieces=[(400, "text", "I look."), (result_at + 300, "text", "Here.")])
    use = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    events = [
        (500, {"type": "content_block_start", "index": 1, "content_block": use}),
        (
            input_at,
            {
                "type": "content_block_delta",
                "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": '{"query": "a"}'},
            },
        ),
        (input_at, {"type": "content_block_stop", "index": 1}),
        (
            result_at,
            {
                "type": "content_block_start",
                "index": 2,
                "content_block": {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
            },
        ),
    ]
    chunks = [Chunk(ns(at), f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()) for at, data in events]
    return replace(made, chunks=tuple(sorted((*made.chunks, *chunks), key=lambda chunk: chunk.at)))


def test_a_tool_of_the_api_has_a_part_of_its_own() -> None:
    assert parts(of_call((searching(input_at=600, result_at=3600),))) == {
        "waiting": 400,
        "answering": 500,
        "tools": 3000,
    }


def test_tool_input_that_the_api_held_back_is_time_in_tools() -> None:
    held = parts(of_call((searching(input_at=2500, result_at=2600),)))

    assert held == {"waiting": 400, "answering": 400, "tools": 2100}

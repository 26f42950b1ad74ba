"""Recordings in which answers take another time: what stays, and what changes by how much."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_claude_latency.cassettes.recording import Recording, dumps
from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds, nanoseconds
from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange
from pytest_claude_latency.messages_api.retries import calls_of
from pytest_claude_latency.metrics.timeline import Call, measure
from pytest_claude_latency.simulation.answer_times import AnswerTimes, Change, Part, cut_behind
from pytest_claude_latency.simulation.chosen_calls import ChosenCalls, prompt_calls
from pytest_claude_latency.simulation.retiming import stalled, stretched, with_exchanges
from pytest_claude_latency.strategies import recordings
from tests.support import other_forms
from tests.support.some_recording import recording
from tests.support.written_calls import OPUS, asked, ns, refused, streamed, whole

_THOUGHT = ((300, "thinking", "Hm."), (500, "text", "a"), (500, "text", "b"), (900, "text", "c"))
_TOOL = ((400, "text", "a"), (700, "json", '{"order":'), (750, "json", " 7}"))
_STREAMS = (
    streamed(asked(), ((400, "text", "one"), (600, "text", "two"))),
    streamed(asked("b"), _THOUGHT, connect=(1, 60), hidden=None),
    streamed(asked("c"), _TOOL, ended=1000),
    streamed(asked("d"), ((900, "text", "one"),), hidden=200),
)
_OTHERS = (
    whole(asked("e"), connect=(0, 30)),
    streamed(asked("f"), ((400, "text", "one"), (600, "text", "two")), error="RemoteProtocolError"),
    streamed(asked("g"), (), stop=300),
    refused(asked("h"), status=400),
    other_forms.converse((400, other_forms.delta(text="a")), (500, other_forms.delta(text="b") + other_forms.STOPPED)),
    other_forms.chat((400, other_forms.chunk(content="a")), (500, other_forms.chunk(content="b") + other_forms.DONE)),
)


@st.composite
def timed(draw: st.DrawFn, exchange: Exchange, sent: Nanoseconds) -> Exchange:
    """An exchange whose instants may be any, to the nanosecond. Several may be equal."""
    moved = AnswerTimes(replace(exchange, sent=sent))
    size = len(moved.instants) - 1
    gaps = draw(st.lists(st.integers(0, SECOND) | st.integers(0, 3), min_size=size, max_size=size))
    return moved.moved([0, *accumulate(gaps)])


@st.composite
def timed_recordings(draw: st.DrawFn, exchanges: tuple[Exchange, ...], *, refusals: bool) -> Recording:
    """One to three calls one after the other; with `refusals` each may be refused once."""
    done: list[Exchange] = []
    for exchange in draw(st.lists(st.sampled_from(exchanges), min_size=1, max_size=3, unique_by=id)):
        attempts = [exchange]
        if refusals and draw(st.booleans()) and exchange.response is not None and exchange.response.status == 200:
            attempts.insert(0, replace(refused(exchange.request), request=exchange.request))
        for attempt in attempts:
            pause = draw(st.integers(1, 2 * SECOND))
            ended = done[-1].sent + (done[-1].end or End(0)).at + pause if done else 0
            done.append(draw(timed(attempt, ended)))
    return recording(*done)


ANY = timed_recordings((*_STREAMS, *_OTHERS), refusals=True)
WHOLE = timed_recordings(_STREAMS, refusals=False)
ONE = st.sampled_from(_STREAMS).flatmap(lambda exchange: timed(exchange, 0)).map(recording)
GENERATED = recordings(streamed=None, thinking=None, tools=None, errors=True, drops=True, retries=True, calls=(1, 3))
PARTS = st.sampled_from(["ttft", "thinking", "output", "end", "total"])
FACTORS = st.fractions(0, 20) | st.integers(0, 9).map(Fraction)
CHANGES = st.builds(Change, FACTORS, st.integers(-2 * SECOND, 60 * SECOND))


def times(recorded: Recording) -> list[tuple[Nanoseconds, ...]]:
    return [(exchange.sent, *AnswerTimes(exchange).instants) for exchange in recorded.exchanges]


def bytes_of(recorded: Recording) -> list[bytes]:
    return [b"".join(chunk.data for chunk in exchange.chunks) for exchange in recorded.exchanges]


def timeless(exchange: Exchange) -> Exchange:
    """All of an exchange but its times."""
    return replace(
        exchange,
        sent=0,
        connect=exchange.connect and replace(exchange.connect, at=0, duration=0),
        response=exchange.response and replace(exchange.response, at=0),
        chunks=tuple(Chunk(0, chunk.data) for chunk in exchange.chunks),
        end=exchange.end and replace(exchange.end, at=0),
    )


def calls(recorded: Recording) -> list[Call]:
    return [measure(attempts) for attempts in calls_of(recorded.exchanges)]


def span(seconds: float | None) -> Nanoseconds:
    assert seconds is not None
    return nanoseconds(seconds)


# ── what stays ──


@settings(max_examples=20)
@given(GENERATED, PARTS, CHANGES)
def test_only_times_of_any_answer_change(recorded: Recording, part: Part, change: Change) -> None:
    changed = stretched(recorded, part, change)

    assert [timeless(e) for e in changed.exchanges] == [timeless(e) for e in recorded.exchanges]
    dumps(changed)


@settings(max_examples=40)
@given(ANY, PARTS, CHANGES)
def test_only_times_change_and_they_stay_in_their_order(recorded: Recording, part: Part, change: Change) -> None:
    changed = stretched(recorded, part, change)

    assert [timeless(e) for e in changed.exchanges] == [timeless(e) for e in recorded.exchanges]
    assert all(list(instants[1:]) == sorted(instants[1:]) for instants in times(changed))
    dumps(changed)  # which refuses times that run backwards, and answers that go on behind their end


@settings(max_examples=40)
@given(ANY, PARTS)
def test_a_factor_of_1_changes_nothing(recorded: Recording, part: Part) -> None:
    assert stretched(recorded, part, Change()) == recorded
    assert stretched(recorded, part, Change(Fraction(3, 3), more=0)) == recorded
    assert stalled(recorded, 1, 0) == recorded


@settings(max_examples=40)
@given(ANY, PARTS, CHANGES)
def test_the_attempts_of_a_call_stay_one_call_and_pauses_stay_as_long(
    recorded: Recording, part: Part, change: Change
) -> None:
    changed = stretched(recorded, part, change)

    assert prompt_calls(changed) == prompt_calls(recorded)
    for before, now in zip(calls_of(recorded.exchanges), calls_of(changed.exchanges), strict=True):
        assert pauses(now) == pauses(before)


def pauses(attempts: tuple[Exchange, ...]) -> list[Nanoseconds]:
    ends = [exchange.sent + (exchange.end or End(0)).at for exchange in attempts]
    return [exchange.sent - end for exchange, end in zip(attempts[1:], ends, strict=False)]


@settings(max_examples=40)
@given(ANY, PARTS, st.integers(0, 9), st.integers(0, 9))
def test_whole_factors_compose_exactly(recorded: Recording, part: Part, first: int, second: int) -> None:
    one_by_one = stretched(stretched(recorded, part, Change(Fraction(first))), part, Change(Fraction(second)))

    # Once there is no time left, how it was spread is forgotten.
    assert one_by_one == stretched(recorded, part, Change(Fraction(first * second)))


@settings(max_examples=40)
@given(ANY, PARTS, st.fractions(Fraction(1, 10), 10), st.fractions(Fraction(1, 10), 10))
def test_any_factors_compose_to_the_nanoseconds_that_rounding_takes(
    recorded: Recording, part: Part, first: Fraction, second: Fraction
) -> None:
    one_by_one = times(stretched(stretched(recorded, part, Change(first)), part, Change(second)))
    at_once = times(stretched(recorded, part, Change(first * second)))

    # Half a nanosecond for each rounding, made longer by the second factor, in each exchange so far.
    for place, (these, those) in enumerate(zip(one_by_one, at_once, strict=True), 1):
        assert max(abs(a - b) for a, b in zip(these, those, strict=True)) <= (float(second) + 2) * 2 * place


@settings(max_examples=40)
@given(ANY, PARTS, st.integers(0, 10 * SECOND), st.integers(0, 10 * SECOND))
def test_added_times_add_up(recorded: Recording, part: Part, first: int, second: int) -> None:
    one_by_one = stretched(stretched(recorded, part, Change(more=first)), part, Change(more=second))
    at_once = stretched(recorded, part, Change(more=first + second))

    assert [(sent, end) for sent, *_, end in times(one_by_one)] == [(sent, end) for sent, *_, end in times(at_once)]


# ── what changes ──


@settings(max_examples=40)
@given(WHOLE, CHANGES)
def test_the_time_to_the_first_token_changes_as_asked_and_the_rest_follows_as_before(
    recorded: Recording, change: Change
) -> None:
    for before, now in zip(calls(recorded), calls(stretched(recorded, "ttft", change)), strict=True):
        assert span(now.ttft) == change.applied(span(before.ttft))
        assert span(now.total) - span(now.ttft) == span(before.total) - span(before.ttft)
        assert (now.tpot, now.longest_gap) == (before.tpot, before.longest_gap)


@settings(max_examples=40)
@given(WHOLE, FACTORS)
def test_the_pace_changes_as_asked_and_the_first_token_comes_as_before(recorded: Recording, factor: Fraction) -> None:
    for before, now in zip(calls(recorded), calls(stretched(recorded, "output", Change(factor))), strict=True):
        assert now.ttft == before.ttft
        if before.longest_gap is not None:
            # The whole part is rounded to a nanosecond, and so is each instant in it: half of one for each of the three
            assert abs(span(now.longest_gap) - span(before.longest_gap) * factor) <= Fraction(3, 2)


@settings(max_examples=40)
@given(ONE, CHANGES)
def test_thinking_changes_as_asked(recorded: Recording, change: Change) -> None:
    (before,), (now,) = calls(recorded), calls(stretched(recorded, "thinking", change))
    times_of_call = AnswerTimes(recorded.exchanges[0])
    part = times_of_call.part("thinking")
    assume(part is not None)
    assert part is not None
    began = times_of_call.instants[part.start]
    assume(span(before.ttfa) > began)

    assert span(now.ttfa) - began == change.applied(span(before.ttfa) - began)
    assert span(now.total) - span(now.ttfa) == span(before.total) - span(before.ttfa)


@settings(max_examples=40)
@given(ONE, CHANGES)
def test_the_whole_exchange_changes_as_asked(recorded: Recording, change: Change) -> None:
    (before,), (now,) = recorded.exchanges, stretched(recorded, "total", change).exchanges

    assert (now.end or End(0)).at == change.applied((before.end or End(0)).at)


@settings(max_examples=40)
@given(WHOLE, CHANGES)
def test_the_end_changes_as_asked(recorded: Recording, change: Change) -> None:
    changed = stretched(recorded, "end", change)

    for before, now in zip(recorded.exchanges, changed.exchanges, strict=True):
        last = AnswerTimes(before).contents[-1]
        assert AnswerTimes(now).instants[: last + 1] == AnswerTimes(before).instants[: last + 1]
        spans = [times[-1] - times[last] for times in (AnswerTimes(before).instants, AnswerTimes(now).instants)]
        assert spans[1] == change.applied(spans[0])


def test_a_call_that_was_refused_waits_in_each_attempt() -> None:
    refused = Exchange(0, asked(), end=End(ns(100), error="ReadError"))
    answered = streamed(asked(), ((400, "text", "Hello"),), sent=600)
    refused = replace(refused, request=answered.request)

    changed = stretched(recording(refused, answered), "ttft", Change(Fraction(3), more=ns(50)))

    (call,) = calls(changed)
    assert (call.attempts, call.ttft) == (2, 0.3 + 0.5 + 1.2 + 0.05)  # the pause of 500 ms stays


def test_a_part_that_took_no_time_gets_its_time_at_its_end() -> None:
    answer = streamed(asked(), ((400, "text", "a"), (400, "text", "b")), stop=400)

    (call,) = calls(stretched(recording(answer), "output", Change(more=ns(30))))

    assert (call.ttft, call.longest_gap, call.total) == (0.4, 0.03, 0.43)


def test_an_answer_without_the_part_stays_as_it_is() -> None:
    plain = recording(streamed(asked(), ((400, "text", "Hello"),)), whole(asked("Again?")))

    assert stretched(plain, "thinking", Change(Fraction(9))) == plain
    assert stretched(plain, "output", Change(Fraction(9), more=SECOND)) == plain


@pytest.mark.parametrize("factor", [Fraction(-1), Fraction(-1, 1000)])
def test_a_negative_factor_is_refused(factor: Fraction) -> None:
    with pytest.raises(ValueError, match="a factor is at least 0"):
        Change(factor)


# ── stalls ──


@settings(max_examples=40)
@given(ANY, st.integers(1, 6), st.integers(0, 60 * SECOND))
def test_a_stall_keeps_every_byte(recorded: Recording, after: int, duration: Nanoseconds) -> None:
    changed = stalled(recorded, after, duration)

    assert bytes_of(changed) == bytes_of(recorded)
    assert all(list(instants[1:]) == sorted(instants[1:]) for instants in times(changed))
    dumps(changed)


@settings(max_examples=40)
@given(WHOLE, st.integers(1, 6), st.integers(1, 60 * SECOND))
def test_a_stall_lies_behind_its_piece_of_content(recorded: Recording, after: int, duration: Nanoseconds) -> None:
    changed = stalled(recorded, after, duration)

    for before, now in zip(recorded.exchanges, changed.exchanges, strict=True):
        # pieces as the protocol's own text shows them, whatever the chunks are
        moments, stalled_moments = piece_moments(before), piece_moments(now)
        late = [duration if number > after else 0 for number in range(1, len(moments) + 1)]
        assert stalled_moments == [moment + more for moment, more in zip(moments, late, strict=True)]
        fits = len(moments) >= after
        assert (now.end or End(0)).at - (before.end or End(0)).at == (duration if fits else 0)


def piece_moments(exchange: Exchange) -> list[Nanoseconds]:
    """When the end of each event with content arrived, found by its text."""
    body = b"".join(chunk.data for chunk in exchange.chunks)
    pattern = re.compile(rb'data: [^\n]*"(?:text|thinking|partial_json)": "(?:[^"\\]|\\.)+"[^\n]*\n\n')
    ends = [match.end() for match in pattern.finditer(body) if b"content_block_delta" in match[0]]
    moments = []
    for end in ends:
        size = 0
        for chunk in exchange.chunks:
            size += len(chunk.data)
            if size >= end:
                moments.append(chunk.at)
                break
    return moments


def test_a_chunk_with_several_pieces_is_cut_behind_the_right_one() -> None:
    whole = streamed(asked(), ((400, "text", "one"), (400, "text", "two"), (400, "text", "three")), stop=410)
    joined = replace(whole, chunks=(Chunk(ns(400), b"".join(chunk.data for chunk in whole.chunks)),))

    (call,) = calls(stalled(recording(joined), 2, 3 * SECOND))

    assert (call.ttft, call.longest_gap, call.total) == (0.4, 3.0, 3.4)


@pytest.mark.parametrize("form", ["converse", "chat"])
def test_other_forms_are_cut_too(form: str) -> None:
    pieces = [other_forms.delta(text=text) for text in "abc"] + [other_forms.STOPPED, other_forms.USAGE]
    exchange = other_forms.converse((400, b"".join(pieces)))
    if form == "chat":
        pieces = [other_forms.chunk(content=text) for text in "abc"] + [other_forms.chunk(finish="stop")]
        exchange = other_forms.chat((400, b"".join(pieces)))

    cut = cut_behind(exchange, 2)

    assert cut == ((Chunk(ns(400), b"".join(pieces[:2])),), (Chunk(ns(400), b"".join(pieces[2:])),))


def test_what_does_not_stream_or_has_fewer_pieces_is_not_cut() -> None:
    assert cut_behind(whole(asked()), 1) is None
    assert cut_behind(streamed(asked(), ((400, "text", "a"),)), 2) is None


def test_bad_stalls_are_refused() -> None:
    plain = recording(streamed(asked()))
    with pytest.raises(ValueError, match="from 1 on, not behind 0"):
        stalled(plain, 0, SECOND)
    with pytest.raises(ValueError, match="a duration is at least 0"):
        stalled(plain, 1, -1)


# ── which calls, and when the others are sent ──


def test_one_call_is_chosen_by_its_number_by_its_request_or_as_the_first() -> None:
    recorded = recording(
        streamed(asked()), streamed(asked("Again?", model=OPUS), sent=1000), streamed(asked("And now?"), sent=2000)
    )

    assert ChosenCalls().of(recorded) == ((0,),)
    assert ChosenCalls(call=2).of(recorded) == ((1,),)
    assert ChosenCalls(call=4).of(recorded) == ()
    assert ChosenCalls(when=(("model", "claude-opus-*"),)).of(recorded) == ((1,),)
    assert ChosenCalls(every=True).of(recorded) == ((0,), (1,), (2,))


def test_what_waited_for_an_answer_still_does() -> None:
    first = streamed(asked("a"), ((400, "text", "a"),), ended=500)
    beside = streamed(asked("b"), ((600, "text", "b"),), ended=700)
    after = streamed(asked("c"), ((300, "text", "c"),), sent=750, ended=300)

    changed = stretched(recording(first, beside, after), "total", Change(Fraction(4)), ChosenCalls())

    assert [exchange.sent for exchange in changed.exchanges] == [0, 0, ns(2000) + ns(50)]


@settings(max_examples=40)
@given(ANY, PARTS, CHANGES, st.integers(1, 3))
def test_an_answer_that_had_ended_before_a_request_was_sent_still_has(
    recorded: Recording, part: Part, change: Change, number: int
) -> None:
    changed = stretched(recorded, part, change, ChosenCalls(call=number))

    now = [(instants[0], instants[0] + instants[-1]) for instants in times(changed)]
    for place, (sent, *_, _end) in enumerate(times(recorded)):
        for earlier, instants in enumerate(times(recorded)[:place]):
            if instants[0] + instants[-1] <= sent:
                assert now[earlier][1] <= now[place][0]


def test_exchanges_of_the_same_length_move_no_request() -> None:
    recorded = recording(streamed(asked(), ended=1000), streamed(asked("b"), sent=10))

    changed = with_exchanges(recorded, {0: replace(recorded.exchanges[0], end=End(1000 * MILLISECOND, "ReadError"))})

    assert [exchange.sent for exchange in changed.exchanges] == [0, ns(10)]

"""When each part of an answer was due, as far as a run that calls the API can tell."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_claude_latency.diagnosis.attribution import of_call
from pytest_claude_latency.diagnosis.lateness import as_due, with_lateness
from pytest_claude_latency.diagnosis.rules import Trace, find
from pytest_claude_latency.messages_api.exchange import Exchange
from pytest_claude_latency.virtual_time import EVERY_THREAD, Hold
from tests.support.written_calls import ns, streamed

LIVE = replace(streamed(pieces=[(400, "text", "a"), (1500, "text", "b"), (1550, "text", "c")]), thread=7)


def due(exchange: Exchange, *holds: Hold) -> list[float]:
    """When its last pieces were due, in milliseconds."""
    return [chunk.at / 1e6 for chunk in as_due(exchange, holds).chunks][-4:-1]


@pytest.mark.parametrize(
    ("thread", "expected"), [(7, [700, 1550, 1550]), (EVERY_THREAD, [700, 1550, 1550]), (8, [1500, 1550, 1550])]
)
def test_what_came_right_after_a_hold_may_have_come_during_it(thread: int, expected: list[float]) -> None:
    assert due(LIVE, Hold(thread, ns(700), ns(1490))) == expected


@pytest.mark.parametrize(
    ("asked_again", "expected"),
    [
        (1498, [410, 1550, 1550]),  # it was there when the program asked
        (1000, [1500, 1550, 1550]),  # the program waited for it
    ],
)
def test_what_came_as_soon_as_it_was_asked_for_may_have_waited(asked_again: float, expected: list[float]) -> None:
    assert due(replace(LIVE, pauses=((ns(410), ns(asked_again)),))) == expected


def test_a_time_in_which_no_thread_ran_is_named_as_no_wait() -> None:
    second = replace(streamed(), sent=ns(4000))
    holds = [Hold(EVERY_THREAD, ns(1000), ns(3900))]

    (finding,) = [
        finding for finding in find(Trace.of([(streamed(),), (second,)], holds=holds)) if finding.rule == "application"
    ]

    assert finding.fact.endswith("of it between call 1 and call 2")


@pytest.mark.parametrize("is_recorded", [False, True])
def test_a_gap_behind_parts_that_were_taken_late_is_no_stall(is_recorded: bool) -> None:
    """They may have come at any time of the hold, also at its end."""
    before = [(400 + 50 * place, "text", "a") for place in range(4)]
    late = [(1400, "text", "b"), (1401, "text", "c")]
    taken = replace(streamed(pieces=[*before, *late, (1480, "text", "d")]), thread=7)
    holds = [Hold(7, ns(560), ns(1395))]
    call = replace(taken, recorded=with_lateness(taken, holds)) if is_recorded else taken

    breakdown = of_call((call,), holds=holds)

    assert {str(part): span / 1e6 for part, span in breakdown.parts.items()} == {
        "waiting": 400,
        "answering": 239,
        "application": 841,
    }


def test_a_recording_keeps_what_the_program_took_late_and_a_replay_knows_when_that_was_due() -> None:
    recorded = with_lateness(LIVE, [Hold(7, ns(700), ns(1490))])

    assert [chunk.late / 1e6 for chunk in recorded.chunks][-4:-1] == [800, 0, 0]
    assert due(replace(LIVE, recorded=recorded)) == [700, 1550, 1550]
    assert due(recorded) == [700, 1550, 1550]  # as it is read from its file


def test_what_each_machine_does_now_and_then_is_not_noted() -> None:
    assert with_lateness(LIVE, [Hold(7, ns(1400), ns(1490))]) == LIVE


def test_a_part_is_never_due_before_its_request_whatever_a_fault_made_of_it() -> None:
    recorded = with_lateness(LIVE, [Hold(7, ns(700), ns(1490))])
    sooner = replace(recorded, chunks=tuple(replace(chunk, at=chunk.at // 10) for chunk in recorded.chunks))

    assert min(due(sooner)) == 0

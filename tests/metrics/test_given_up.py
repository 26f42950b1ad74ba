from __future__ import annotations

import pytest

from pytest_claude_latency.metrics.given_up import given_up, times_that_count
from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.metrics.sample import NEVER, Sample
from pytest_claude_latency.metrics.timeline import Call
from tests.support.some_call import some_call


def closed(*, sent: float = 0.0, total: float | None = 1.0) -> Call:
    return some_call(sent=sent, ttft=None, ttfa=None, total=total, closed="client")


WINNER = some_call(sent=0.3, ttft=0.5, total=2.0)


def test_the_loser_of_a_hedge_was_given_up() -> None:
    assert given_up([closed(), WINNER]) == {1}
    assert given_up([WINNER, closed(sent=0.4)]) == {2}
    assert times_that_count([closed(), WINNER]) == (WINNER,)


def test_it_may_be_closed_at_the_very_instant_when_the_answer_came() -> None:
    assert given_up([closed(total=0.8), WINNER]) == {1}
    assert given_up([closed(total=0.799_999), WINNER]) == {1}  # a baseline rounds each time to the microsecond
    assert given_up([closed(total=0.79), WINNER]) == frozenset()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(some_call(sent=1.0), id="a fallback that is sent afterwards"),
        pytest.param(some_call(sent=0.9, ttft=0.5), id="a fallback whose answer came afterwards"),
        pytest.param(some_call(sent=-5.0, ttft=0.5, total=4.0), id="an answer that was whole before"),
        pytest.param(some_call(ttft=None, error="overloaded_error"), id="a refused call"),
        pytest.param(some_call(ttft=0.2, error="overloaded_error"), id="a broken answer"),
        pytest.param(closed(sent=0.1), id="another closed call"),
    ],
)
def test_a_closed_call_that_lost_against_nobody_was_not_given_up(other: Call) -> None:
    assert given_up([closed(), other]) == frozenset()


def test_a_call_that_brought_a_token_or_failed_was_not_given_up() -> None:
    assert given_up([some_call(closed="client"), WINNER]) == frozenset()
    assert given_up([some_call(ttft=None, error="ReadTimeout"), WINNER]) == frozenset()


def test_what_is_under_way_when_the_program_ends_was_left() -> None:
    under_way = some_call(ttft=None, ttfa=None, total=None)

    assert given_up([under_way, WINNER]) == {1}
    assert given_up([under_way, WINNER], is_over=False) == frozenset()


def test_the_readings_of_a_sample_leave_out_what_was_given_up() -> None:
    assert Sample(calls=(closed(), WINNER)).reading(METRICS["ttft"]) == 500_000_000
    assert Sample(calls=(closed(total=9.0), WINNER)).reading(METRICS["total"]) == 2_000_000_000
    assert Sample(calls=(closed(),)).reading(METRICS["ttft"]) == NEVER

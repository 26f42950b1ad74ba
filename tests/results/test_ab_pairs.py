"""Pairs of a recorded request and a current one, as values."""

from __future__ import annotations

import pytest

from pytest_claude_latency.results.ab_pairs import ABPair
from tests.support.some_pairs import ab_sample, some_request


@pytest.mark.parametrize(
    ("recorded", "current", "failure"),
    [
        (None, None, None),
        ("HTTP 404", None, "the recorded request ended with HTTP 404"),
        (None, "ReadError", "the current request ended with ReadError"),
        ("a", "b", "the recorded request ended with a; the current request ended with b"),
    ],
)
def test_a_pair_fails_where_one_of_the_two_does(recorded: str | None, current: str | None, failure: str | None) -> None:
    pair = ABPair(1, some_request(0.4, error=recorded), some_request(0.4, error=current))

    assert pair.failure == failure


def test_what_it_cost_is_both_requests_of_every_pair() -> None:
    recorded, current = some_request(0.4), some_request(0.6, error="HTTP 500")

    assert ab_sample(ABPair(1, recorded, current)).sent == (recorded.call, current.call)

"""Requests that were measured side by side, as values."""

from __future__ import annotations

import json

import execnet
import pytest
from hypothesis import given

from pytest_claude_latency.ab.pairs import Arms, SideBySide
from tests.support.some_arms import side_by_side, sides, some_arm


@given(sides())
def test_any_of_them_survives_json_and_the_channel_of_a_worker(side: SideBySide) -> None:
    assert SideBySide.from_dict(json.loads(json.dumps(side.as_dict(), allow_nan=False))) == side
    assert SideBySide.from_dict(execnet.loads(execnet.dumps(side.as_dict()))) == side


@pytest.mark.parametrize(
    ("recorded", "current", "said"),
    [
        (None, None, None),
        ("HTTP 404", None, "the recorded request ended with HTTP 404"),
        (None, "ReadError", "the current request ended with ReadError"),
        ("a", "b", "the recorded request ended with a; the current request ended with b"),
    ],
)
def test_a_pair_fails_where_one_of_the_two_does(recorded: str | None, current: str | None, said: str | None) -> None:
    pair = Arms(1, some_arm(0.4, error=recorded), some_arm(0.4, error=current))

    assert pair.failure == said


def test_what_it_cost_is_both_arms_of_every_pair() -> None:
    recorded, current = some_arm(0.4), some_arm(0.6, error="HTTP 500")

    assert side_by_side(Arms(1, recorded, current)).sent == (recorded.call, current.call)

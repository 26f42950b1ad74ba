from __future__ import annotations

import pytest

from pytest_claude_latency.comparison.compare import compare
from pytest_claude_latency.comparison.statistical import judge_all
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.metrics.series import Mode, Pace, Series
from tests.support.some_call import some_call
from tests.support.some_series import TEST, one, replayed


def test_tests_that_only_one_side_has_are_not_compared() -> None:
    before = replayed(one(some_call()), nodeid="tests/test_a.py::test_old")

    assert compare(before, replayed(one(some_call()))) == ()


@pytest.mark.parametrize(
    ("mode", "clock", "way"),
    [("live", "real", "measured live"), ("replay", "real", "replayed on the real clock")],
)
def test_what_was_measured_in_another_way_is_never_compared(mode: Mode, clock: Pace, way: str) -> None:
    other = {TEST: Series(nodeid=TEST, mode=mode, clock=clock, samples=(one(some_call()),))}

    with pytest.raises(LatencyError, match=f"was {way} before and replayed on the virtual clock now"):
        compare(other, replayed(one(some_call())))


def test_no_comparisons_have_no_verdicts() -> None:
    assert judge_all([]) == ()
    assert compare({}, {}) == ()

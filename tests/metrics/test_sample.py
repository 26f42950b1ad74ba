from __future__ import annotations

import pytest

from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.metrics.sample import NEVER, Sample
from tests.support.some_call import some_call

MS = 1_000_000


def test_a_sample_gives_its_worst_call() -> None:
    sample = Sample(calls=(some_call(ttft=0.2), some_call(ttft=0.7), some_call(ttft=0.4)), elapsed=3000 * MS)

    assert sample.reading(METRICS["ttft"]) == 700 * MS
    assert sample.reading(METRICS["elapsed"]) == 3000 * MS


def test_a_token_that_never_came_is_worse_than_any_late_one() -> None:
    sample = Sample(calls=(some_call(ttft=9.0), some_call(ttft=None)))

    assert sample.reading(METRICS["ttft"]) == NEVER


def test_a_call_without_a_gap_has_no_reading_of_it() -> None:
    assert Sample(calls=(some_call(longest_gap=None),)).reading(METRICS["longest_gap"]) is None
    assert Sample(calls=(some_call(longest_gap=None), some_call())).reading(METRICS["longest_gap"]) == 81 * MS
    assert Sample().reading(METRICS["ttft"]) is None


def test_what_other_runs_are_compared_with_is_rounded_to_the_microsecond_and_names_no_machine() -> None:
    call = some_call(url="http://build-7.local:8080/v1/messages", ttft=0.1234567)

    sample = Sample(elapsed=1_234_567_891, calls=(call,)).comparable()

    assert sample.elapsed == 1_234_568_000
    assert sample.calls[0].ttft == 0.123457
    assert "build-7" not in repr(sample)
    assert sample.comparable() == sample


def test_conditions_are_known_of_all_calls_or_of_none() -> None:
    with pytest.raises(ValueError, match="1 conditions of 2 calls"):
        Sample(calls=(some_call(), some_call()), conditions=({"effort": "low"},))

from __future__ import annotations

from pytest_claude_latency.comparison.condition_changes import condition_changes
from pytest_claude_latency.metrics.sample import Sample
from pytest_claude_latency.metrics.series import Series
from tests.support.some_call import some_call


def series(**facts: str) -> Series:
    sample = Sample(calls=(some_call(),), conditions=(facts,))
    return Series(nodeid="tests/test_a.py::test_a", mode="live", clock="real", samples=(sample,))


def test_equal_conditions_are_no_difference() -> None:
    assert condition_changes(series(effort="low", prompt="abc"), series(effort="low", prompt="abc")) == ()


def test_conditions_that_differ_are_named_with_what_they_were() -> None:
    found = condition_changes(series(effort="low", prompt="abc"), series(speed="fast", prompt="def"))

    assert found == ("effort not set, was low", "another prompt", "speed fast, was not set")


def test_a_model_that_answered_is_a_condition() -> None:
    sonnet = Sample(calls=(some_call(model="claude-sonnet-4-5"),))
    other = Series(nodeid="tests/test_a.py::test_a", mode="live", clock="real", samples=(sonnet,))

    assert condition_changes(series(), other) == ("model claude-sonnet-4-5, was claude-haiku-4-5",)


def test_several_values_of_a_condition_are_all_named() -> None:
    calls = (some_call(), some_call())
    mixed = Sample(calls=calls, conditions=({"prompt_cache": "cold"}, {"prompt_cache": "warm"}))
    warm = Sample(calls=calls, conditions=({"prompt_cache": "warm"}, {"prompt_cache": "warm"}))
    before, after = (
        Series(nodeid="tests/test_a.py::test_a", mode="live", clock="real", samples=(sample,))
        for sample in (warm, mixed)
    )

    assert condition_changes(before, after) == ("prompt_cache cold or warm, was warm",)


def test_later_prompts_may_quote_live_answers_and_do_not_count() -> None:
    calls = (some_call(), some_call())
    before, after = (
        Series(
            nodeid="tests/test_a.py::test_a",
            mode="live",
            clock="real",
            samples=(Sample(calls=calls, conditions=({"prompt": "first"}, {"prompt": later})),),
        )
        for later in ("one", "other")
    )

    assert condition_changes(before, after) == ()

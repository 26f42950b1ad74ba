from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_claude_latency.comparison.compare import compare
from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.comparison.statistical import Pair, judge_all, needed
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.metrics.sample import Sample
from pytest_claude_latency.metrics.series import Series
from tests.support.some_series import MS, TEST, changed, live, of, one, steady, verdicts


def test_a_clear_slowdown_is_a_regression() -> None:
    found = compare(live(steady(400, 10)), live(steady(520, 10)))

    assert changed(found) == dict.fromkeys(["ttft", "total", "elapsed"], "regression")


def test_a_clear_speedup_is_an_improvement() -> None:
    found = compare(live(steady(520, 10)), live(steady(400, 10)))

    assert changed(found) == dict.fromkeys(["ttft", "total", "elapsed"], "improvement")


@pytest.mark.parametrize("middle", [430, 399])
def test_a_change_below_the_smallest_ratio_does_not_count(middle: int) -> None:
    assert changed(compare(live(steady(400, 30)), live(steady(middle, 30)))) == {}


def test_a_change_of_just_the_smallest_ratio_counts_both_ways() -> None:
    slow, fast = live([1100] * 10), live([1000] * 10)

    assert set(changed(compare(fast, slow)).values()) == {"regression"}
    assert set(changed(compare(slow, fast)).values()) == {"improvement"}


def test_a_change_below_the_smallest_shift_does_not_count() -> None:
    before, after = live(steady(60, 30)), live(steady(80, 30))

    assert changed(compare(before, after)) == {}
    assert set(changed(compare(before, after, Rules(min_shift=15 * MS))).values()) == {"regression"}


def test_one_stalled_answer_is_no_regression_though_it_doubles_the_mean() -> None:
    before = steady(400, 20)
    after = [*before[:-1], 10_000]

    assert changed(compare(live(before), live(after))) == {}


def test_too_few_runs_give_no_verdict_and_say_how_many_would() -> None:
    found = compare(live(steady(400, 3)), live(steady(4000, 3)))

    assert set(verdicts(found).values()) == {"too few runs"}
    assert of("ttft", found).headline() == "ttft: too few runs (3 samples before, 3 now; 4 a side are needed)"


def test_eight_a_side_serve_643_comparisons_and_not_one_more() -> None:
    # all above all others: 1 of 12,870 orders
    assert needed(643) == 8
    assert needed(644) == 9


def test_many_samples_on_one_side_make_up_for_few_on_the_other() -> None:
    assert needed(600) == 8
    assert needed(600, before=20, after=3) == 5


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(0, 30), st.integers(0, 30))
def test_the_number_needed_is_the_smallest_that_can_be_significant(many: int, before: int, after: int) -> None:
    enough = needed(many, before, after)

    def orders(number: int) -> int:
        return math.comb(max(number, before) + max(number, after), max(number, before))

    assert many * 20 < orders(enough)
    assert enough == 1 or many * 20 >= orders(enough - 1)


def test_each_comparison_counts_against_all_others_of_the_run() -> None:
    slower = Pair(TEST, "ttft", tuple(map(float, range(400, 408))), tuple(map(float, range(800, 808))))
    same = Pair(TEST, "total", tuple(map(float, range(400, 408))), tuple(map(float, range(400, 408))))
    rules = Rules(min_shift=0)

    def verdict(others: int) -> str:
        return judge_all([slower, *[same] * others], rules)[0].verdict

    assert verdict(0) == "regression"
    assert verdict(642) == "regression"
    assert verdict(643) == "too few runs"


@settings(deadline=None)
@given(
    st.lists(st.integers(100, 2000), min_size=1, max_size=9), st.lists(st.integers(100, 2000), min_size=1, max_size=9)
)
def test_swapping_the_sides_turns_every_verdict_round(before: list[int], after: list[int]) -> None:
    forth, back = compare(live(before), live(after)), compare(live(after), live(before))
    turned = {"regression": "improvement", "improvement": "regression"}

    assert verdicts(back) == {metric: turned.get(verdict, verdict) for metric, verdict in verdicts(forth).items()}


def test_samples_without_the_metric_are_left_out() -> None:
    run = live(steady(400, 5))
    silent = {TEST: Series(nodeid=TEST, mode="live", clock="real", samples=(one(elapsed=None),))}

    assert compare(run, silent) == ()


def test_other_conditions_are_said_beside_the_verdict() -> None:
    before = live(steady(400, 10))
    calls = [sample.calls[0] for sample in before[TEST].samples]
    warm = tuple(
        Sample(number=number, elapsed=400 * MS, calls=(call,), conditions=({"prompt_cache": "warm"},))
        for number, call in enumerate(calls, 1)
    )
    after = {TEST: Series(nodeid=TEST, mode="live", clock="real", samples=warm)}

    assert of("ttft", compare(before, after)).notes == ("prompt_cache warm, was not set",)


@pytest.mark.parametrize("sides", [((), (1.0,)), ((1.0,), ())])
def test_a_side_without_samples_is_refused(sides: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
    with pytest.raises(LatencyError, match="ttft needs at least one sample"):
        Pair(TEST, "ttft", *sides)


def test_nan_is_refused() -> None:
    with pytest.raises(LatencyError, match="ttft is NaN"):
        Pair(TEST, "ttft", (1.0,), (math.nan,))

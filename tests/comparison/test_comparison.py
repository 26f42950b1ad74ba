from __future__ import annotations

import math

import pytest

from pytest_claude_latency.comparison.compare import compare
from pytest_claude_latency.metrics.sample import Sample
from tests.support.some_call import some_call
from tests.support.some_series import MS, live, of, one, replayed, steady


def test_a_change_too_small_for_the_usual_digits_is_shown_with_all_of_them() -> None:
    before, after = (Sample(elapsed=3000 * MS + more, calls=(some_call(),)) for more in (0, 1000))

    assert of("elapsed", compare(replayed(before), replayed(after))).headline() == (
        "elapsed slowed from 3s to 3.000001s"
    )


def test_a_regression_shows_medians_that_were_measured_the_ratio_and_the_evidence() -> None:
    before, after = steady(400, 9), steady(600, 9)

    shown = of("ttft", compare(live(before), live(after))).headline()

    # 9 against 9, all above all others: 1 of 48,620 orders, three comparisons alike
    assert shown.startswith("ttft slowed from 400ms to 600ms: ratio 1.50 (95 %: ")
    assert shown.endswith("), adjusted p 2.1e-05, 9 samples before, 9 now")


def test_a_comparison_is_told_to_programs_in_seconds() -> None:
    facts = of("ttft", compare(live(steady(400, 9)), live(steady(600, 9)))).as_json()

    assert facts["verdict"] == "regression"
    assert (facts["before"], facts["after"], facts["shift"]) == (0.4, 0.6, 0.2)
    assert (facts["samples_before"], facts["samples_after"], facts["needs"]) == (9, 9, None)
    assert facts["interval"][0] < facts["ratio"] < facts["interval"][1]
    assert facts["p"] == pytest.approx(1 / math.comb(18, 9))


def test_an_interval_without_bounds_is_told_as_null() -> None:
    facts = of("ttft", compare(live([400]), live([600]))).as_json()

    assert facts["interval"] == [0.0, None]
    assert facts["needs"] == 4


def test_an_exact_comparison_is_told_without_evidence() -> None:
    facts = of("calls", compare(replayed(one(some_call())), replayed(one(some_call())))).as_json()

    assert facts == {
        "metric": "calls",
        "verdict": "unchanged",
        "exact": True,
        "before": 1,
        "after": 1,
        "samples_before": 1,
        "samples_after": 1,
        "needs": None,
        "notes": [],
    }

"""Flaky limits: limits inside the scatter of the samples they are held against."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_claude_latency.budgets.limit import Limit, parse_expression
from pytest_claude_latency.duration import nanoseconds
from pytest_claude_latency.metrics.sample import Sample
from pytest_claude_latency.metrics.series import Series
from pytest_claude_latency.report.suggestions import lines
from pytest_claude_latency.results.budget_suggestion import of_results, suggest
from pytest_claude_latency.results.flaky_limits import flaky_limits
from tests.support.some_call import some_call
from tests.support.some_results import some_result

TEST = "tests/test_it.py::test_it"
SCATTERED = (0.5, 0.55, 0.6, 0.65, 0.8)  # the median is 0.6, so the scatter is taken to reach to 1.0


def series(total: Sequence[float], mode: str = "live") -> Series:
    samples = tuple(
        Sample(number=number, elapsed=nanoseconds(seconds), calls=(some_call(ttft=seconds / 2, total=seconds),))
        for number, seconds in enumerate(total, 1)
    )
    if mode == "live":
        return Series(nodeid=TEST, mode="live", clock="real", samples=samples)
    return Series(nodeid=TEST, mode="replay", clock="virtual", samples=samples)


def limits(text: str) -> list[Limit]:
    return [limit for limit in parse_expression(text, "here") if isinstance(limit, Limit)]


@pytest.mark.parametrize(
    ("limit", "is_flaky"),
    [
        ("total<499ms", False),  # even the fastest breaks it
        ("total<500ms", True),
        ("total<799ms", True),
        ("total<800ms", True),
        ("total<999ms", True),
        ("total<1s", False),
        ("ttft<450ms", True),
        ("total.p95<800ms", False),  # more than one sample decides
        ("output_tokens<5", False),
    ],
)
def test_a_limit_that_the_next_slow_sample_may_break_is_flaky(limit: str, is_flaky: bool) -> None:
    assert bool(flaky_limits(series(SCATTERED), limits(limit))) == is_flaky


@pytest.mark.parametrize("total", [(0.5, 0.8), (0.7, 0.7, 0.7, 0.7)])
def test_too_few_samples_and_equal_ones_have_no_scatter(total: Sequence[float]) -> None:
    assert flaky_limits(series(total), limits("total<800ms")) == ()


def test_it_is_said_with_the_samples_that_it_lies_among() -> None:
    (live,) = flaky_limits(series(SCATTERED), limits("total<700ms"))
    (replayed,) = flaky_limits(series(SCATTERED, "replay"), limits("total<700ms"))

    assert live.text() == (
        "total<700ms is inside the scatter of the samples (median 600ms, slowest 800ms, 1 of 5 over it): "
        "chance may break it; raise it, or promise a percentile"
    )
    assert "in the next recording chance may break it" in replayed.text()


def test_limits_of_the_test_and_proposed_ones_are_looked_at() -> None:
    suggestions = suggest({TEST: series((0.2, 0.21, 0.22, 0.23, 0.9))}, {TEST: limits("ttft<300ms")}, {})

    assert [flaky.limit.text() for flaky in suggestions.flaky[TEST]] == ["ttft<300ms", "total<1.2s"]
    assert "take more samples before you promise it" in suggestions.flaky[TEST][1].text()


def test_a_test_that_only_broke_its_budget_is_left_out_and_its_limit_called_flaky() -> None:
    results = [
        some_result(TEST, (some_call(ttft=seconds / 2, total=seconds),), {"total": "700ms"}, sample=number)
        for number, seconds in enumerate(SCATTERED, 1)
    ]

    suggestions = of_results(results)

    assert suggestions.left_out == {TEST: "failed"}
    assert [flaky.over for flaky in suggestions.flaky[TEST]] == [1]
    assert lines(suggestions)[0] == f"# left out: {TEST} (failed)"
    assert lines(suggestions)[1].startswith("#   flaky    total<700ms is inside the scatter")


def test_where_a_test_failed_by_itself_nothing_is_said_of_its_limits() -> None:
    results = [
        some_result(TEST, (some_call(total=seconds),), {"total": "700ms"}, sample=number, incomplete=number == 5)
        for number, seconds in enumerate(SCATTERED, 1)
    ]

    assert of_results(results).flaky == {}

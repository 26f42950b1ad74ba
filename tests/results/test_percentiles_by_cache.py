"""Percentiles, suggestions and flaky limits of samples that met the prompt cache in different states."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_claude_latency.budgets.limit import Limit, parse_expression
from pytest_claude_latency.report.suggestions import lines
from pytest_claude_latency.results.budget_suggestion import of_results
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.results.verdict import RunVerdict, on_percentiles
from tests.support.some_call import some_call
from tests.support.some_results import some_result

TEST = "tests/test_it.py::test_it"


def measured(cold: Sequence[float], warm: Sequence[float], limit: str = "ttft.p50<800ms") -> list[TestResult]:
    """Samples with a cold and with a warm cache, in this order, by the seconds until their first token."""
    calls = [some_call(ttft=ttft, total=ttft + 1, cache_write_tokens=5000) for ttft in cold]
    calls += [some_call(ttft=ttft, total=ttft + 1, cache_read_tokens=5000) for ttft in warm]
    limits = tuple(found for found in parse_expression(limit, "here") if isinstance(found, Limit))
    return [
        some_result(TEST, (call,), sample=number, percentiles=limits, sample_count=len(calls))
        for number, call in enumerate(calls, 1)
    ]


def judged(results: list[TestResult], *, strict: bool = False) -> dict[str, RunVerdict]:
    return {verdict.about: verdict for verdict in on_percentiles(results, judged=True, strict=strict)}


def test_one_cold_sample_among_warm_ones_is_judged_apart_and_neither_fails_nor_warns() -> None:
    verdicts = judged(measured([2.0], [0.4] * 5), strict=True)

    assert list(verdicts) == ["ttft p50, warm cache"]
    warm = verdicts["ttft p50, warm cache"]
    assert (warm.verdict, warm.fails, warm.warns) == ("kept", False, False)
    assert warm.headline == "warm cache: ttft p50 was 400ms, within the budget of 800ms (0 of 5 over 800ms)"
    assert warm.notes == ("1 sample with cold cache: 1 of 1 over 800ms: p50 needs 8 samples; 7 more with none over",)
    assert warm.facts["prompt_cache"] == "warm cache"


def test_each_group_with_enough_samples_has_a_verdict_of_its_own() -> None:
    verdicts = judged(measured([2.0] * 5, [0.4] * 6))

    assert {about: verdict.verdict for about, verdict in verdicts.items()} == {
        "ttft p50, warm cache": "kept",
        "ttft p50, cold cache": "broken",
    }
    assert verdicts["ttft p50, cold cache"].fails
    assert verdicts["ttft p50, cold cache"].message.startswith("cold cache: ttft p50 was 2.000s, 1.200s over")


def test_the_largest_group_says_whether_more_samples_are_needed() -> None:
    verdicts = judged(measured([2.0], [0.4] * 4), strict=True)

    assert [(verdict.verdict, verdict.fails) for verdict in verdicts.values()] == [("inconclusive", True)]


@pytest.mark.parametrize(("cold", "warm"), [([2.0] * 5, []), ([], [0.4] * 5)])
def test_samples_of_one_kind_are_judged_as_ever(cold: list[float], warm: list[float]) -> None:
    assert list(judged(measured(cold, warm))) == ["ttft p50"]


def test_a_suggestion_names_what_each_group_took_and_covers_both() -> None:
    suggestions = of_results(measured([1.8], [0.4, 0.5, 0.6], "total.p50<9s"))

    text = "\n".join(lines(suggestions))
    assert "#            warm cache, 3 samples: 600ms\n#            cold cache, 1 sample: 1.800s" in text
    assert 'ttft="2.3s"' in text
    assert "Cold and warm prompt caches are kept apart" in text


def test_what_a_cold_cache_takes_is_no_scatter_of_the_warm_ones() -> None:
    results = measured([1.8], [0.5, 0.51, 0.52, 0.53], "ttft.p50<800ms")

    assert of_results(results).flaky == {}

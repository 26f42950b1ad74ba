from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings

from pytest_claude_latency.baselines.baseline import Baseline
from pytest_claude_latency.metrics.sample import NEVER
from pytest_claude_latency.metrics.series import Series
from pytest_claude_latency.report.exports import FORMATS, bencher, github, points
from tests.support.some_baseline import DRAFT, LABEL, baselines, live, never, replayed


def exported(form: str, *series: Series) -> Any:
    return json.loads(FORMATS[form](points(series).measured))


def test_bencher_gets_an_object_of_tests_with_spans_in_nanoseconds() -> None:
    tests = exported("bencher", replayed(), live(DRAFT, [0.3, 0.1, 0.2]))

    assert list(tests) == [LABEL, DRAFT]
    assert tests[DRAFT]["ttft"] == {"value": 200_000_000, "lower_value": 100_000_000, "upper_value": 300_000_000}
    assert tests[LABEL]["output-tokens"] == {"value": 96, "lower_value": 96, "upper_value": 96}
    assert set(tests[LABEL]) == {"ttft", "total", "elapsed", "calls", "prompt-tokens", "output-tokens"}


def test_github_gets_a_list_with_spans_in_milliseconds() -> None:
    benchmarks = exported("github", live(LABEL, [0.3, 0.1, 0.2]))

    assert benchmarks[0] == {
        "name": f"{LABEL} ttft",
        "unit": "ms",
        "value": 200.0,
        "range": "100.0 to 300.0",
        "extra": "median of 3, measured live",
    }
    assert {benchmark["name"].removeprefix(LABEL): benchmark["unit"] for benchmark in benchmarks} == {
        " ttft": "ms",
        " total": "ms",
        " elapsed": "ms",
        " calls": "calls",
        " prompt_tokens": "tokens",
        " output_tokens": "tokens",
    }


def test_of_two_samples_the_lower_one_is_the_median_by_nearest_rank() -> None:
    assert exported("bencher", live(LABEL, [0.2, 0.1]))[LABEL]["total"]["value"] == 100_000_000


def test_what_never_came_is_left_out_with_the_reason() -> None:
    exported = points([never(), live(DRAFT)])

    assert exported.left_out == (f"ttft of {LABEL}: no token came in 1 of 2 samples",)
    assert [point.metric for point in exported.measured if point.nodeid == LABEL] == [
        "total",
        "elapsed",
        "calls",
        "prompt_tokens",
        "output_tokens",
    ]


def test_nothing_measured_is_nothing_exported() -> None:
    assert (bencher(()), github(())) == ("{}\n", "[]\n")


@settings(deadline=None)
@given(baselines())
def test_any_value_exported_lies_within_its_range_and_was_measured(saved: Baseline) -> None:
    exported = points(saved.series.values())
    tests = json.loads(bencher(exported.measured))

    for test in tests.values():
        assert all(
            metric["lower_value"] <= metric["value"] <= metric["upper_value"] < NEVER for metric in test.values()
        )
    for point in exported.measured:
        low, high = json.loads(bencher([point]))[point.nodeid][point.metric.replace("_", "-")], point.high
        assert (low["value"], high) == (point.value, low["upper_value"])
    for point, benchmark in zip(exported.measured, json.loads(github(exported.measured)), strict=True):
        low, high = map(float, benchmark["range"].split(" to "))
        assert low <= benchmark["value"] <= high
        assert benchmark["name"] == f"{point.nodeid} {point.metric}"

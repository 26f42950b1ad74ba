from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.budgets.judgement import DECIDED_ELSEWHERE, NO_CALL, NO_VALUE, Judgement
from pytest_claude_latency.budgets.limit import Limit
from pytest_claude_latency.metrics.watched import Watched
from pytest_claude_latency.report.summary import Figure
from tests.support.some_call import some_call
from tests.support.some_pages import BLOCK, SLOW_OUTPUT
from tests.support.some_results import some_result, summary_of

MS = 1_000_000
OUTPUT = Watched(items=3, ttft=1.2, longest_gap=0.1, total=3.9, budgets=(SLOW_OUTPUT,))


def test_a_row_shows_the_worst_call_of_the_worst_sample() -> None:
    first = some_result(calls=[some_call(ttft=0.4), some_call(ttft=0.7)], limits={"ttft": "1s"}, sample=1)
    second = some_result(calls=[some_call(ttft=0.9), some_call(ttft=0.2)], limits={"ttft": "1s"}, sample=2)

    (row,) = summary_of(first, second).rows

    assert row.figures["ttft"] == Figure(900 * MS, 1000 * MS)
    assert row.judgements == second.judgements


def test_a_row_of_an_at_least_limit_keeps_the_smallest_measurement() -> None:
    limits = {"output_tokens_per_second": 10}
    fast, slow = (some_result(calls=[some_call(output_tokens_per_second=rate)], limits=limits) for rate in (90, 30))

    (row,) = summary_of(fast, slow).rows

    assert row.judgements == slow.judgements


def test_tokens_are_unknown_if_no_answer_tells_and_the_most_of_those_that_do() -> None:
    silent, told = some_call(output_tokens=None), some_call(output_tokens=7)
    assert summary_of(some_result(calls=[silent])).rows[0].output_tokens is None

    (row,) = summary_of(some_result(calls=[silent, told, told], sample=1), some_result(calls=[told], sample=2)).rows

    assert row.output_tokens == 14


@pytest.mark.parametrize("broken", [1, 2, 3])
def test_one_broken_sample_breaks_the_row(broken: int) -> None:
    times = [1.4 if sample == broken else 0.4 for sample in (1, 2, 3)]
    samples = [
        some_result(calls=[some_call(ttft=ttft)], limits={"ttft": "1s"}, sample=sample)
        for sample, ttft in enumerate(times, start=1)
    ]

    summary = summary_of(*samples)

    assert summary.rows[0].verdict == "broken"
    assert summary.verdicts == {"broken": 1}


@pytest.mark.parametrize(
    ("limits", "facts", "verdict"),
    [
        ({"ttft": "1s"}, {}, "kept"),
        ({"ttft": "1s", "total": "1s"}, {}, "broken"),
        ({}, {}, "no budget"),
        ({"ttft": "1s"}, {"calls": [], "direct": False}, "no calls"),
        ({"ttft": "1s"}, {"judged": False}, "not judged"),
        ({"ttft": "1s"}, {"outcome": "failed"}, "failed"),
        ({"ttft": "1ms"}, {"outcome": "xfailed"}, "xfailed"),
        ({}, {"blocks": (BLOCK,), "outcome": "failed"}, "broken"),
        ({}, {"blocks": (BLOCK,), "outcome": "passed"}, "no budget"),
        ({}, {"watched": (OUTPUT,), "outcome": "failed"}, "broken"),
        ({"ttft": "1s"}, {"outcome": "skipped"}, "skipped"),
        ({"tpot": "1s"}, {"calls": [some_call(tpot=None)]}, "not measured"),
        ({"tpot": "1s", "total": "9s"}, {"calls": [some_call(tpot=None)]}, "kept"),
        ({"calls": 0, "ttft": "1s"}, {"calls": []}, "kept"),
    ],
)
def test_the_verdict_of_a_row(limits: dict[str, Any], facts: dict[str, Any], verdict: str) -> None:
    (row,) = summary_of(some_result(limits=limits, **facts)).rows

    assert row.verdict == verdict


@pytest.mark.parametrize(
    ("facts", "fails"), [({"outcome": "error"}, True), ({"outcome": "xfailed"}, False), ({"judged": False}, False)]
)
def test_a_run_fails_as_its_tests_do(facts: dict[str, Any], fails: bool) -> None:
    assert summary_of(some_result(limits={"ttft": "1ms"}, **({"outcome": "passed"} | facts))).fails is fails


def test_a_variant_that_could_not_be_tried_fails_the_run_without_a_row() -> None:
    variant = some_result(
        "a.py::t[~max_tokens=9]", variant="~max_tokens=9", original_nodeid="a.py::t", outcome="failed"
    )

    summary = summary_of(some_result("a.py::t"), variant)

    assert summary.fails
    assert [failure.text() for failure in summary.also_failed] == ["a.py::t[~max_tokens=9] failed"]


def test_limits_of_blocks_and_watched_outputs_count_each_once() -> None:
    samples = [some_result(blocks=(BLOCK, BLOCK), watched=(OUTPUT,), sample=number) for number in (1, 2)]

    summary = summary_of(*samples)

    assert summary.verdicts == {"broken": 3}
    assert [inner.headline() for inner in summary.rows[0].inner][-1] == (
        "watched output: ttft was 1.200s, 200ms over the budget of 1s"
    )


def test_a_missing_first_token_is_worse_than_any_number_in_the_row() -> None:
    calls = [some_call(ttft=0.4), some_call(ttft=None)]

    (row,) = summary_of(some_result(calls=calls, limits={"ttft": "1s"})).rows

    assert row.figures["ttft"] == Figure(None, 1000 * MS, broken=True)


def test_without_a_limit_a_missing_first_token_leaves_the_others_to_be_shown() -> None:
    (row,) = summary_of(some_result(calls=[some_call(ttft=0.4), some_call(ttft=None)])).rows

    assert row.figures["ttft"] == Figure(400 * MS, None)


def test_a_limit_counts_once_for_all_samples_of_its_test() -> None:
    samples = [some_result(limits={"ttft": "1s", "total": "9s"}, sample=number) for number in (1, 2, 3)]
    other = some_result("tests/test_other.py::test_other", limits={"ttft": "1s"})

    summary = summary_of(*samples, other)

    assert (len(summary.rows), summary.calls, summary.budgets) == (2, 4, 3)


def test_budgets_of_a_run_that_does_not_judge_count_as_not_judged_whatever_they_hold() -> None:
    broken = some_result(limits={"ttft": "1ms"}, judged=False)

    summary = summary_of(broken, judged=False)

    assert summary.verdicts == {"not judged": 1}
    assert not summary.rows[0].broken


def test_an_inherited_budget_of_a_test_without_calls_is_a_warning_with_its_place() -> None:
    silent = some_result("tests/test_a.py::test_a", [], {"ttft": "1s"}, direct=False)

    (warning,) = summary_of(silent).warnings

    assert warning == (
        f"tests/test_a.py::test_a: ttft<1s promises nothing: {NO_CALL} (@latency_budget on tests/test_a.py::test_a)"
    )


def test_a_sample_without_a_call_counts_before_one_that_kept_the_limit() -> None:
    silent = some_result(calls=[], limits={"ttft": "1s"}, direct=False, sample=1)
    kept = some_result(limits={"ttft": "1s"}, sample=2)

    assert summary_of(silent, kept).verdicts == {"no calls": 1}


def test_a_limit_that_nothing_could_be_measured_for_is_warned_of() -> None:
    (warning,) = summary_of(some_result(calls=[some_call(tpot=None)], limits={"tpot": "1s"})).warnings

    assert f"tpot<1s promises nothing: {NO_VALUE.format(metric='tpot')}" in warning


def test_a_limit_that_one_sample_could_measure_is_not_warned_of() -> None:
    samples = [some_result(calls=[some_call(tpot=tpot)], limits={"tpot": "1s"}) for tpot in (None, 0.01)]

    summary = summary_of(*samples)

    assert summary.warnings == ()
    assert summary.verdicts == {"kept": 1}


def test_a_budget_of_no_calls_that_is_kept_is_no_warning() -> None:
    assert summary_of(some_result(calls=[], limits={"calls": 0, "ttft": "1s"})).warnings == ()


def test_a_warning_of_every_sample_is_shown_once_after_those_of_the_run() -> None:
    samples = [some_result("a.py::t", warnings=("stale",), notes=("slow",), sample=number) for number in (1, 2)]

    summary = summary_of(*samples, warnings=("workers load each other",))

    assert summary.warnings == ("workers load each other", "a.py::t: stale")
    assert summary.notes == ("a.py::t: slow",)


def test_a_terminal_says_once_what_the_parameters_of_a_test_share() -> None:
    names = ("a.py::t[1]", "a.py::t[2]", "a.py::t[3]", "a.py::u[1]")
    results = [some_result(name, warnings=("stale",)) for name in names]

    summary = summary_of(*results, some_result("a.py::t[4]", warnings=("old",)), warnings=("slow",))

    assert summary.warnings_once == ("slow", "a.py::t[1] and 2 more: stale", "a.py::t[4]: old", "a.py::u[1]: stale")
    assert summary.warnings[1:4] == ("a.py::t[1]: stale", "a.py::t[2]: stale", "a.py::t[3]: stale")


def test_calls_of_fixtures_are_counted_apart() -> None:
    summary = summary_of(some_result(setup_calls=(some_call(), some_call())))

    assert (summary.calls, summary.setup_calls) == (1, 2)


@given(st.permutations([(nodeid, sample) for nodeid in ("b.py::t", "a.py::t[x]", "a.py::t") for sample in (1, 2, 10)]))
def test_any_order_of_arrival_gives_the_same_summary(arrivals: list[tuple[str, int]]) -> None:
    results = [some_result(nodeid, limits={"ttft": "1s"}, sample=sample) for nodeid, sample in arrivals]

    assert summary_of(*results) == summary_of(*sorted(results, key=lambda result: (result.nodeid, result.sample)))


def test_samples_are_sorted_by_number() -> None:
    summary = summary_of(*(some_result(sample=sample) for sample in (10, 2, 1)))

    assert [result.sample for result in summary.results] == [1, 2, 10]


def test_a_limit_stands_next_to_a_call_for_which_it_decides() -> None:
    calls = [some_call(ttft=0.4), some_call(ttft=0.9)]
    judged = Judgement(Limit("ttft", None, 500 * MS, ""), 400 * MS, 1, 2, "kept")
    for_none = Judgement(judged.limit, None, None, 2, "not measured", DECIDED_ELSEWHERE)

    rows = [summary_of(replace(some_result(calls=calls), judgements=(one,))).rows[0] for one in (judged, for_none)]

    assert [row.figures["ttft"] for row in rows] == [Figure(400 * MS, 500 * MS), Figure(900 * MS, None)]

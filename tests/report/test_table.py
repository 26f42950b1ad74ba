from __future__ import annotations

from typing import Any

import pytest

from pytest_claude_latency.budgets.budget import combine
from pytest_claude_latency.budgets.limit import parse_marker
from pytest_claude_latency.report.table import ONE_NOT_JUDGED, SOME_NOT_JUDGED, counts, elsewhere, not_judged, table
from pytest_claude_latency.results.result import TestResult
from tests.support.some_call import some_call
from tests.support.some_results import some_result, summary_of

NOT_STREAMED = {"streamed": False, "ttft": 0.7, "ttfa": 0.7, "total": 0.7}


def cells(*results: TestResult) -> dict[str, str]:
    content = table(summary_of(*results))
    return dict(zip(content.headers, content.cells[0], strict=True))


def test_a_row_reads_from_the_test_to_its_verdict() -> None:
    assert cells(some_result(limits={"ttft": "800ms", "total": "3s"})) == {
        "test": "tests/test_triage.py::test_label",
        "calls": "1",
        "TTFT": "412ms/800ms",
        "total": "2.875s/3s",
        "tokens": "96",
        "verdict": "kept",
    }


def test_a_row_without_limits_shows_its_measurements_alone() -> None:
    row = cells(some_result())

    assert (row["TTFT"], row["total"], row["verdict"]) == ("412ms", "2.875s", "no budget")


def test_a_row_of_several_samples_says_how_many() -> None:
    assert cells(some_result("a.py::t", sample=1), some_result("a.py::t", sample=2))["test"] == "a.py::t (2 samples)"


def test_a_first_token_that_never_came_reads_none() -> None:
    assert cells(some_result(calls=[some_call(ttft=None)], limits={"ttft": "1s"}))["TTFT"] == "none/1s"


def test_a_test_without_calls_shows_only_its_limits() -> None:
    row = cells(some_result(calls=[], limits={"ttft": "1s"}, direct=False))

    assert (row["calls"], row["TTFT"], row["total"], row["tokens"]) == ("0", "-/1s", "", "")


def test_a_first_token_that_came_with_the_last_is_marked_and_explained() -> None:
    content = table(summary_of(some_result(calls=[some_call(ttft=0.2), some_call(**NOT_STREAMED)])))

    assert content.cells[0][2] == "700ms*"
    assert content.footnotes[0] == "* not streamed: the first token comes with the last"


def test_a_streamed_first_token_is_not_marked_because_a_faster_call_did_not_stream() -> None:
    content = table(summary_of(some_result(calls=[some_call(ttft=0.9), some_call(**NOT_STREAMED)])))

    assert content.cells[0][2] == "900ms"
    assert not any(footnote.startswith("*") for footnote in content.footnotes)


@pytest.mark.parametrize(
    ("calls", "limits", "total", "elapsed"),
    [
        (2, {}, "2.000s", "6.000s"),
        (2, {"total": "3s"}, "2.000s/3s", "6.000s"),
        (1, {"elapsed": "9s"}, "2.000s", "6.000s/9s"),
        (2, {"total": "3s", "elapsed": "7s"}, "2.000s/3s", "6.000s/7s"),
    ],
)
def test_total_and_elapsed_have_columns_of_their_own(
    calls: int, limits: dict[str, Any], total: str, elapsed: str
) -> None:
    row = cells(some_result(calls=[some_call(total=2.0)] * calls, limits=limits, elapsed=6.0))

    assert (row["total"], row["elapsed"]) == (total, elapsed)


def test_a_column_of_elapsed_that_would_repeat_every_total_is_left_out() -> None:
    assert "elapsed" not in cells(some_result(), some_result("tests/test_b.py::test_b"))


def test_a_single_call_whose_test_took_as_long_leaves_elapsed_empty_next_to_a_test_that_needs_it() -> None:
    several = some_result("z.py::t", [some_call(), some_call(sent=1.0)])

    assert cells(some_result("a.py::t"), several)["elapsed"] == ""


def test_limits_without_a_column_are_found_elsewhere_kept_or_broken() -> None:
    calls = [some_call(total=2.0), some_call()]
    limits = {"ttft": "1ms", "total": "1ms", "elapsed": "2s", "calls": 1, "output_tokens": 999}

    (row,) = summary_of(some_result(calls=calls, limits=limits)).rows

    assert [judgement.limit.text() for judgement in elsewhere(row)] == ["output_tokens<999", "calls<1"]


def test_counts_tell_tests_calls_and_the_fate_of_every_limit() -> None:
    kept = some_result("a.py::a", limits={"ttft": "1s", "total": "1s"})
    silent = some_result("a.py::b", [], {"ttft": "1s"}, direct=False, setup_calls=(some_call(),))

    text = counts(summary_of(kept, silent, mode="live", clock="real"))

    assert text == (
        "2 tests, 1 call, 1 call in set-up, 3 budgets: 1 broken, 1 kept, 1 without a call (live, real clock)"
    )


@pytest.mark.parametrize(
    ("limits", "line"),
    [
        ({}, None),
        ({"ttft": "1s"}, ONE_NOT_JUDGED),
        ({"ttft": "1s", "calls": 2}, SOME_NOT_JUDGED.format(number=2)),
    ],
)
def test_budgets_that_were_not_judged_are_counted_with_the_command_that_judges_them(
    limits: dict[str, Any], line: str | None
) -> None:
    assert not_judged(summary_of(some_result(limits=limits, judged=False), judged=False)) == line


def test_a_run_that_judges_does_not_ask_to_judge_a_test_that_failed_by_itself() -> None:
    unjudged = combine([parse_marker({"ttft": "1s"}, "@latency_budget on a.py::t")]).unjudged()
    failed = TestResult(nodeid="a.py::t", outcome="failed", judgements=unjudged)

    assert not_judged(summary_of(failed)) is None

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.report import data
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.results.verdict import RunVerdict
from tests.results.test_result import results
from tests.support.some_call import some_call
from tests.support.some_results import some_result, summary_of


def report(*args: Any, **run: Any) -> Any:
    return json.loads(data.render(data.build(summary_of(*args, **run))))


def test_the_report_has_the_keys_of_schema_1() -> None:
    result = some_result(limits={"ttft": "800ms"}, elapsed=2.875)
    late = RunVerdict(nodeid=result.nodeid, about="ttft p95", verdict="kept", headline="", facts={"kind": "percentile"})

    content = report(result, verdicts=(late,))

    assert {key: content[key] for key in ("schema", "mode", "clock", "verdicts")} == {
        "schema": 1,
        "mode": "replay",
        "clock": "virtual",
        "verdicts": [
            {
                "nodeid": result.nodeid,
                "name": f"{result.nodeid}::latency[ttft p95]",
                "kind": "percentile",
                "verdict": "kept",
            }
        ],
    }
    (test,) = content["tests"]
    assert (test["nodeid"], test["sample"], test["outcome"], test["elapsed"], test["setup_calls"]) == (
        "tests/test_triage.py::test_label",
        1,
        "passed",
        2.875,
        [],
    )


def test_a_call_carries_every_field_rounded_to_the_microsecond() -> None:
    call = some_call(ttft=0.412034499, sent=1.5)

    written = report(some_result(calls=[call]))["tests"][0]["calls"][0]

    assert set(written) == set(type(call).__dataclass_fields__)
    assert (written["ttft"], written["sent"], written["model"], written["error"]) == (
        0.412034,
        1.5,
        "claude-haiku-4-5",
        None,
    )


def test_a_budget_is_in_seconds_or_counts() -> None:
    calls = [some_call(ttft=0.412034499), some_call()]

    budgets = report(some_result(calls=calls, limits={"ttft": "800ms", "calls": 1}))["tests"][0]["budgets"]

    shown = ("metric", "statistic", "limit", "measured", "call", "verdict")
    assert [{key: budget[key] for key in shown} for budget in budgets] == [
        {"metric": "ttft", "statistic": None, "limit": 0.8, "measured": 0.412034, "call": 1, "verdict": "kept"},
        {"metric": "calls", "statistic": None, "limit": 1, "measured": 2, "call": None, "verdict": "broken"},
    ]


def test_a_budget_that_nothing_was_measured_for_says_why() -> None:
    (budget,) = report(some_result(calls=[some_call(ttft=None)], limits={"ttft": "1s"}))["tests"][0]["budgets"]

    assert (budget["measured"], budget["verdict"], budget["reason"]) == (None, "broken", "no token came")


def test_a_budget_that_was_not_judged_shows_no_measurement() -> None:
    result = some_result(limits={"ttft": "1ms"}, judged=False)

    (budget,) = report(result, judged=False)["tests"][0]["budgets"]

    assert (budget["limit"], budget["measured"], budget["verdict"]) == (0.001, None, "not judged")


@given(st.permutations([("a.py::t", 1), ("a.py::t", 2), ("b.py::t[测]", 1)]))
def test_any_order_of_arrival_writes_the_same_bytes(arrivals: list[tuple[str, int]]) -> None:
    made = [some_result(nodeid, limits={"ttft": "1s"}, sample=sample) for nodeid, sample in arrivals]

    assert data.build(summary_of(*made)) == data.build(summary_of(*sorted(made, key=lambda r: r.sample)))


@given(st.lists(results(), max_size=2))
def test_any_result_is_written_as_strict_json_that_ends_a_line(made: list[TestResult]) -> None:
    text = data.render(data.build(summary_of(*made)))

    assert len(json.loads(text)["tests"]) == len(made)
    assert text.endswith("}\n")


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ('  recorded  {"text": "SECRET and mo…', '  recorded  {"(4 characters)": "(13 characters)"'),
        ('  system    "SECRET a… → "SECRET b…', '  system    "(8 characters)" → "(8 characters)"'),
        (
            '  finding   asks ("SECRET in 100\n            words") for more',
            '  finding   asks ("(19 characters)") for more',
        ),
        ('  sent      "SECRET \\" inside"', '  sent      "(16 characters)"'),
    ],
    ids=["cut", "two that are cut", "wrapped", "with a quote inside"],
)
def test_no_quote_is_left_in_a_report_without_content(message: str, shown: str) -> None:
    assert data.without_content(message) == shown

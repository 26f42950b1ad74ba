from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pytest

from pytest_claude_latency.run.reporting.other_failures import besides


def report(
    nodeid: str, outcome: Literal["passed", "failed", "skipped"] = "failed", when: Any = "call", **more: Any
) -> pytest.TestReport:
    return pytest.TestReport(nodeid, ("a.py", 1, "t"), {}, outcome, None, when, **more)


def names(*failed: pytest.TestReport | pytest.CollectReport, status: int, told: Sequence[str] = ()) -> list[str]:
    return [failure.text() for failure in besides(told, failed, status)]


def test_each_test_that_pytest_counts_as_failed_is_named_once() -> None:
    failed = [
        report("b.py::t"),
        report("b.py::t", when="teardown"),
        report("a.py::x", wasxfail="expected"),
        report("a.py::ours"),
        report("a.py::ours::latency[ttft p95]"),
    ]

    assert names(*failed, status=1, told=("a.py::ours", "a.py::ours::latency[ttft p95]")) == ["b.py::t failed"]


def test_a_file_that_each_worker_could_not_collect_is_named_once_and_not_as_an_interruption() -> None:
    failed = [pytest.CollectReport("a.py", "failed", None, None) for _ in range(2)]

    assert names(*failed, status=2) == ["a.py could not be collected"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (0, []),
        (1, ["the run ended with status 1"]),
        (2, ["the run was interrupted"]),
        (3, ["the run ended in an internal error"]),
        (5, []),
        (143, ["the run was ended by SIGTERM"]),
    ],
)
def test_a_run_that_failed_for_no_reason_that_is_known_says_so(status: int, said: list[str]) -> None:
    assert names(status=status) == said


def test_what_a_plugin_forgives_is_no_failure() -> None:
    assert names(report("a.py::t"), status=0) == []

"""Results of tests as reports meet them, judged by the package's own budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from pytest_claude_latency.budgets.budget import combine
from pytest_claude_latency.budgets.judgement import message
from pytest_claude_latency.budgets.limit import parse_marker
from pytest_claude_latency.diagnosis.finding import Finding
from pytest_claude_latency.metrics.timeline import Call
from pytest_claude_latency.report import data
from pytest_claude_latency.report.summary import Run, Summary, summarize
from pytest_claude_latency.results.result import TestResult
from tests.support.some_call import some_call


def some_result(
    nodeid: str = "tests/test_triage.py::test_label",
    calls: Sequence[Call] = (some_call(),),
    limits: dict[str, Any] | None = None,
    *,
    direct: bool = True,
    **facts: Any,
) -> TestResult:
    """What `calls` make of `limits`; `elapsed` is the end of the last call unless it is among `facts`."""
    ends = [call.sent + (call.total or 0.0) for call in calls]
    elapsed = facts.pop("elapsed", max(ends, default=None))
    budget = combine([parse_marker(limits or {}, f"@latency_budget on {nodeid}")])
    judgements = budget.judge(calls, elapsed, direct=direct)
    outcome = "failed" if any(judgement.broken for judgement in judgements) else "passed"
    known = {"outcome": outcome, "calls": tuple(calls), "elapsed": elapsed, "judgements": judgements}
    result = TestResult(nodeid=nodeid, **{**known, **facts})
    return replace(result, failure=result.failure or message(result.broken, result.calls, result.evidence))


def summary_of(*results: TestResult, **run: Any) -> Summary:
    """Their summary, in a run that is an ordinary replay but for `run`."""
    return summarize(results, Run(**run))


def report_of(*results: TestResult, **run: Any) -> dict[str, Any]:
    """The data of their report."""
    return data.build(summary_of(*results, **run))


def some_finding(**facts: Any) -> dict[str, Any]:
    """A finding as a result holds it."""
    known = {"rule": "slow-first-token", "fact": "the call waited 312ms", "remedy": "ask for less", "cost": 312_000_000}
    return Finding(**{**known, **facts}).as_json()


def node_ids() -> st.SearchStrategy[str]:
    """Ids of any characters that pytest lets pass, markup of every kind among them."""
    parts = st.sampled_from(["|", "`", "<b>", "</td>", "&amp;", "*", "_x_", "[", "]", "\\", "测试", "é", "::", "a"])
    return st.lists(
        parts | st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=5), min_size=1, max_size=12
    ).map("".join)

"""Reported limits: which limits the tests of a JSON report had.

They stand in two places: plain limits with each sample, percentiles with the verdicts at the end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from pytest_claude_latency import duration
from pytest_claude_latency.baselines.facts import Count, Seconds
from pytest_claude_latency.baselines.measured_file import report_in
from pytest_claude_latency.budgets.limit import Limit
from pytest_claude_latency.errors import BaselineError
from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.strict_json import JSONFaultError, convert, show


class _Report(Struct, frozen=True, kw_only=True):
    tests: list[Any] = []
    verdicts: list[Any] = []


class _Test(Struct, frozen=True, kw_only=True):
    nodeid: str
    budgets: tuple[Any, ...] = ()


class _Budget(Struct, frozen=True, kw_only=True):
    metric: str
    statistic: str | None = None
    limit: Annotated[Count | Seconds, Meta(description="a number of at least 0")]
    origin: str = ""
    selector: Any = None


def limits_in(path: Path) -> dict[str, list[Limit]]:
    """Return the limits of each test, by node id; none where the file is a baseline.

    Raises:
        BaselineError: the file cannot be read, or a limit in it is not one that a report would have.
    """
    report = report_in(path)
    limits: dict[str, list[Limit]] = {}
    if report is None:
        return limits
    try:
        file = convert(report, _Report)
        tests = [convert(test, _Test) for test in file.tests]
        budgets = [(test.nodeid, budget) for test in tests for budget in test.budgets]
        budgets += [
            (str(verdict.get("nodeid")), verdict)
            for verdict in file.verdicts
            if isinstance(verdict, dict) and verdict.get("kind") == "percentile"
        ]
        for nodeid, fact in budgets:
            budget = convert(fact, _Budget)
            if budget.metric not in METRICS:
                raise JSONFaultError(f'"metric" is {show(budget.metric)}, which this plugin does not know')
            if budget.selector is not None:
                continue  # it stands in a marker of its own, which stays
            is_span = METRICS[budget.metric].kind == "duration"
            value = duration.nanoseconds(budget.limit) if is_span else budget.limit
            limits.setdefault(nodeid, []).append(Limit(budget.metric, budget.statistic, value, budget.origin))
    except JSONFaultError as fault:
        raise BaselineError(path, None, f"a budget in it is not understood: {fault}") from None
    return limits

"""Reported limits: what the tests of a JSON report promised.

They stand in two places: plain limits with each sample, percentiles with the verdicts at the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_claude_latency import duration
from pytest_claude_latency.baselines.reader import FaultError
from pytest_claude_latency.budgets.limit import Limit
from pytest_claude_latency.errors import BaselineError
from pytest_claude_latency.metrics.metric import METRICS

_BEYOND = 1e9
"""No limit is as large: 30 years, or a thousand million tokens."""


def limits_in(path: Path) -> dict[str, list[Limit]]:
    """The limits of each test, by node id; none where the file is a baseline. `measured_file.load` has read it before.

    Raises:
        BaselineError: a limit in it is none that a report would have.
    """
    report = json.loads(path.read_bytes().decode())
    found: dict[str, list[Limit]] = {}
    if isinstance(report, dict):
        try:
            for nodeid, fact in _facts(report):
                found.setdefault(nodeid, []).append(_limit(fact))
        except FaultError as fault:
            raise BaselineError(path, None, str(fault)) from None
    return found


def _facts(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for test in _objects(report.get("tests", [])):
        for budget in _objects(test.get("budgets", [])):
            yield str(test.get("nodeid")), budget
    for verdict in _objects(report.get("verdicts", [])):
        if verdict.get("kind") == "percentile":
            yield str(verdict.get("nodeid")), verdict


def _objects(facts: object) -> list[Mapping[str, Any]]:
    if not isinstance(facts, list) or not all(isinstance(each, dict) for each in facts):
        raise FaultError("the budgets in it are no list of objects, as a report would have them")
    return facts


def _limit(fact: Mapping[str, Any]) -> Limit:
    name, statistic, value = str(fact.get("metric")), fact.get("statistic"), fact.get("limit")
    if name not in METRICS or not isinstance(value, int | float) or not 0 <= value < _BEYOND:
        raise FaultError(f"a budget in it is not understood: {json.dumps(fact, ensure_ascii=False)[:100]}")
    if not isinstance(statistic, str | None):
        raise FaultError(f"a budget in it has no statistic that a report would have: {statistic!r}")
    is_span = METRICS[name].kind == "duration"
    return Limit(name, statistic, duration.nanoseconds(value) if is_span else value, str(fact.get("origin")))

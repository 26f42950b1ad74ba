"""The JSON report, schema 1: for programs, and for comparing one run with the next.

Two replays of the same recordings give the same bytes: results stand in the
order of their ids, times are rounded to the microsecond that recordings keep,
and nothing tells when or where the run took place.
"""

from __future__ import annotations

import json
from typing import Any

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.judgement import Judgement
from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.report.summary import Summary
from pytest_claude_latency.results.result import TestResult

SCHEMA = 1


def render(summary: Summary) -> str:
    """The whole file."""
    report = {
        "schema": SCHEMA,
        "mode": summary.run.mode,
        "clock": summary.run.clock,
        "tests": [_test(result) for result in summary.results],
        "verdicts": [run_verdict.as_json() for run_verdict in summary.run.verdicts],
        **(
            {"variants": [ranking.as_json() for ranking in summary.variant_rankings]}
            if summary.variant_rankings
            else {}
        ),
    }
    return json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _test(result: TestResult) -> dict[str, Any]:
    calls = [call.as_json() for call in result.calls]
    if result.breakdown is not None:
        calls = [{**call, "breakdown": parts} for call, parts in zip(calls, result.breakdown["calls"], strict=True)]
    return {
        "nodeid": result.nodeid,
        **({"variant": result.variant, "written": result.written} if result.variant else {}),
        "sample": result.sample,
        "outcome": result.outcome,
        "elapsed": _rounded(result.elapsed),
        **({} if result.connecting is None else {"connecting": _rounded(result.connecting)}),
        "calls": calls,
        "setup_calls": [call.as_json() for call in result.setup_calls],
        "budgets": [_budget(judgement, result.judged) for judgement in result.judgements],
        "breakdown": None if result.breakdown is None else result.breakdown["test"],
        "findings": list(result.findings),
    }


def _budget(judgement: Judgement, judged: bool) -> dict[str, Any]:
    """One limit. Durations are in seconds; `reason` tells what did not happen where `measured` is null."""
    is_span = METRICS[judgement.metric].kind == "duration"
    measured, limit = judgement.measured if judged else None, judgement.limit.value
    return {
        "metric": judgement.metric,
        "statistic": judgement.statistic,
        "limit": duration.seconds(int(limit)) if is_span else limit,
        "measured": _rounded(duration.seconds(int(measured)) if is_span and measured is not None else measured),
        "call": judgement.call if judged else None,
        "verdict": judgement.verdict if judged else "not judged",
        "origin": judgement.origin,
        "reason": judgement.reason if judged else None,
    }


def _rounded(number: float | None) -> float | None:
    return number if number is None or isinstance(number, int) else round(number, 6)

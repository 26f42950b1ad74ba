"""The JSON report, schema 1: for programs, and for comparing one run with the next.

Two replays of the same recordings give the same bytes: results stand in the order of their ids, times are rounded to
the microsecond that recordings keep, and nothing says when or where the run took place.
"""

from __future__ import annotations

import json
from typing import Any

from pytest_claude_latency.budgets.judgement import Judgement
from pytest_claude_latency.metrics.given_up import given_up
from pytest_claude_latency.metrics.metric import METRICS, json_number
from pytest_claude_latency.printable import printable_json
from pytest_claude_latency.report.summary import Summary

SCHEMA = 1


def render(summary: Summary) -> str:
    """Return the file."""
    tests = []
    for result in summary.results:
        lost = given_up(result.calls)
        calls = [
            call.as_json() | ({"given_up": True} if number in lost else {})
            for number, call in enumerate(result.calls, 1)
        ]
        if result.breakdown is not None:
            calls = [{**call, "breakdown": parts} for call, parts in zip(calls, result.breakdown["calls"], strict=True)]
        sessions = {"session_calls": [call.as_json() for call in result.session_calls]} if result.session_calls else {}
        # keys that most runs do not need are left out: their reports stay as they were before these keys existed
        variant = {"variant": result.variant, "written": result.written} if result.variant else {}
        simulated = {"simulated": True} if result.simulated else {}
        fault = {"fault": result.fault, "written": result.written, "injected": result.injected} if result.fault else {}
        watched = {"watched": [output.as_json() for output in result.watched]} if result.watched else {}
        connecting = {} if result.connecting is None else {"connecting": round(result.connecting, 6)}
        tests.append(
            {
                "nodeid": result.nodeid,
                **variant,
                **simulated,
                **fault,
                "sample": result.sample,
                "outcome": result.outcome,
                "elapsed": None if result.elapsed is None else round(result.elapsed, 6),
                **connecting,
                **watched,
                "calls": calls,
                **sessions,
                "setup_calls": [call.as_json() for call in result.setup_calls],
                "budgets": [_budget(judgement, result.judged) for judgement in result.judgements],
                "breakdown": None if result.breakdown is None else result.breakdown["test"],
                "findings": list(result.findings),
            }
        )
    # no date, no host and no version: they would make two equal runs differ
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "mode": summary.run.mode,
        "clock": summary.run.clock,
        "tests": tests,
        "verdicts": [run_verdict.as_json() for run_verdict in summary.run.verdicts],
    }
    if summary.simulations:
        report["simulations"] = [{"nodeid": nodeid, **found.as_json()} for nodeid, found in summary.simulations.items()]
    if summary.what_if:
        report["what_if"] = [{"nodeid": nodeid, **found.as_json()} for nodeid, found in summary.what_if.items()]
    if summary.variant_rankings:
        report["variants"] = [ranking.as_json() for ranking in summary.variant_rankings]
    # readers get the same texts; a terminal that shows the file gets no control characters
    return printable_json(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


def _budget(judgement: Judgement, judged: bool) -> dict[str, Any]:
    """Return one limit. Durations are in seconds; `reason` says what did not happen if `measured` is null."""
    metric = METRICS[judgement.metric]
    return {
        "metric": judgement.metric,
        "statistic": judgement.limit.statistic,
        "limit": json_number(metric, judgement.limit.value),
        # a test that failed by itself made only some of its calls: what they measured says nothing about the limit
        "measured": json_number(metric, judgement.measured) if judged else None,
        "call": judgement.call if judged else None,
        "verdict": judgement.verdict if judged else "not judged",
        "origin": judgement.limit.origin,
        "reason": judgement.reason if judged else None,
        **judgement.limit.selector,
    }

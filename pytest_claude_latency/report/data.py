"""The data of a report, schema 1: what the JSON report holds, and what all other faces show.

Two replays of the same recordings give the same data: results stand in the order of their ids, times are rounded to
the microsecond that recordings keep, and nothing says when or where the run took place. Only a run that measures the
API, which no two do alike, has its date.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from pytest_claude_latency.budgets.judgement import Judgement
from pytest_claude_latency.metrics.given_up import given_up
from pytest_claude_latency.metrics.metric import METRICS, json_number
from pytest_claude_latency.metrics.percentiles import percentile, rank_interval
from pytest_claude_latency.metrics.sample import NEVER
from pytest_claude_latency.metrics.series import sample_of
from pytest_claude_latency.printable import printable, printable_json, printable_lines
from pytest_claude_latency.report import variants
from pytest_claude_latency.report.summary import Row, Summary
from pytest_claude_latency.report.table import (
    counts,
    not_judged,
    run_verdict_lines,
    simulation_lines,
    table,
    verdict_of,
)
from pytest_claude_latency.results.result import TestResult

SCHEMA = 1
_SHARES: Final = {"p50": Fraction(1, 2), "p95": Fraction(19, 20)}
_QUOTED: Final = re.compile(r'"((?:(?!…(?:$| → ))[^"\\\n]|\\.|(?<!…)\n {12,}(?=\S))*)(?:"|\\?…(?=$| → ))', re.MULTILINE)
"""What messages quote: parts of prompts and answers stand in double quotes.

A quote that was cut ends in `…`, and one that was wrapped goes on in the column of values.
"""
_WRAP: Final = re.compile(r"\n +")


def build(
    summary: Summary, environment: Mapping[str, str] | None = None, *, date: str | None = None, content: bool = False
) -> dict[str, Any]:
    """Return the data in JSON types.

    `environment` says which code was measured, and `date` when a run measured the API. `content` says that failures
    may quote prompts and answers.
    """
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "mode": summary.run.mode,
        "clock": summary.run.clock,
        **({"date": date} if date else {}),
        **({"environment": dict(environment)} if environment else {}),
        "tests": [_test(result, content=content) for result in summary.results],
        "verdicts": [run_verdict.as_json() for run_verdict in summary.run.verdicts],
    }
    if summary.simulations:
        report["simulations"] = [{"nodeid": nodeid, **found.as_json()} for nodeid, found in summary.simulations.items()]
    if summary.what_if:
        report["what_if"] = [
            {
                "nodeid": nodeid,
                **found.as_json(),
                "table": [[*cells, bar] for cells, bar in zip(found.cells(), found.bars(), strict=True)],
            }
            for nodeid, found in summary.what_if.items()
        ]
    if summary.variant_rankings:
        tables = [variants.table(ranking) for ranking in summary.variant_rankings]
        report["variants"] = [
            {
                **ranking.as_json(),
                "table": {
                    "headers": list(content.headers),
                    "cells": [list(cells) for cells in content.cells],
                    "footnotes": list(content.footnotes),
                },
            }
            for ranking, content in zip(summary.variant_rankings, tables, strict=True)
        ]
    report["summary"] = _summary(summary)
    return report


def render(report: Mapping[str, Any]) -> str:
    """Return the JSON report."""
    # readers get the same texts; a terminal that shows the file gets no control characters
    return printable_json(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


def without_content(text: str) -> str:
    """Return a message with the length of each quoted text in its place."""
    return _QUOTED.sub(lambda found: f'"({len(_WRAP.sub(" ", found[1]))} characters)"', text)


def _test(result: TestResult, *, content: bool) -> dict[str, Any]:
    """Return one sample of one test. Keys that most runs do not need are left out where they say nothing."""
    parts = result.breakdown
    values: dict[str, Any] = {"nodeid": result.nodeid}
    if result.variant:
        values |= {"variant": result.variant, "written": result.original_nodeid}
    if result.simulated:
        values["simulated"] = True
    if result.fault:
        values |= {"fault": result.fault, "written": result.original_nodeid, "injected": result.injected}
    values |= {
        "sample": result.sample,
        "outcome": result.outcome,
        "elapsed": None if result.elapsed is None else round(result.elapsed, 6),
    }
    if result.connecting is not None:
        values["connecting"] = round(result.connecting, 6)
    measured = {
        "watched": [output.as_json() for output in result.watched],
        # a block is judged whether or not the run judges budgets
        "blocks": [
            {
                "place": block.place,
                "start": round(block.start, 6),
                "end": round(block.end, 6),
                "calls": list(block.calls),
                "budgets": [_budget(judgement, judged=True) for judgement in block.judgements],
            }
            for block in result.blocks
        ],
        "session_calls": [call.as_json() for call in result.session_calls],
    }
    values |= {name: found for name, found in measured.items() if found}
    values["calls"] = _calls(result)
    values |= {
        "setup_calls": [call.as_json() for call in result.setup_calls],
        "budgets": [_budget(judgement, judged=result.judged) for judgement in result.judgements],
        "breakdown": None if parts is None else parts["test"],
        "findings": [
            # what a remedy quotes is code to write
            finding if content else {**finding, "fact": without_content(finding["fact"])}
            for finding in result.findings
        ],
    }
    if parts is not None and parts["path"]:
        values |= {
            "began": round(result.began, 6),
            "origin": parts["origin"],
            "path": parts["path"],
            "path_segments": parts["path_segments"],
        }
    if result.recording is not None:
        values["recording"] = result.recording
    if result.place:
        values["place"] = result.place
    if result.failure:
        values["failure"] = printable_lines(result.failure if content else without_content(result.failure))
    if result.traceback:
        values["traceback"] = printable_lines(result.traceback)
    return values


def _calls(result: TestResult) -> list[dict[str, Any]]:
    lost, parts = given_up(result.calls), result.breakdown
    calls = [
        call.as_json() | ({"given_up": True} if number in lost else {}) for number, call in enumerate(result.calls, 1)
    ]
    if parts is not None:
        calls = [
            {**call, "breakdown": spans, "segments": segments, **({"longest_gap_span": gap} if gap else {})}
            for call, spans, segments, gap in zip(calls, parts["calls"], parts["segments"], parts["gaps"], strict=True)
        ]
    if result.telemetry:
        calls = [{**call, **asked} for call, asked in zip(calls, result.telemetry, strict=True)]
    return calls


def _summary(summary: Summary) -> dict[str, Any]:
    """Return what a reader is shown first: counts, a row for each test with the worst first, and texts."""
    rows = sorted(summary.rows, key=lambda row: row.urgency)
    cells = dict(zip((row.nodeid for row in summary.rows), table(summary).cells, strict=True))
    content = table(summary)
    return {
        "verdict": verdict_of(summary),
        "fails": summary.fails,
        "counts": counts(summary),
        "not_judged": not_judged(summary),
        "tests": len(rows),
        "failing": sum(row.fails for row in rows),
        "also_failed": [
            {"kind": failure.kind, "name": failure.name, "text": failure.text()} for failure in summary.also_failed
        ],
        "table": {
            "headers": list(content.headers),
            "cells": [list(cells[row.nodeid]) for row in rows],
            "footnotes": list(content.footnotes),
        },
        "rows": [_row(row) for row in rows],
        "percentiles": list(run_verdict_lines(summary, "percentile")),
        "simulated": list(simulation_lines(summary)),
        "comparisons": list(run_verdict_lines(summary, "comparison")),
        "warnings": list(summary.warnings),
        "faults": list(summary.run.faults),
        "notes": list(summary.notes),
    }


def _row(row: Row) -> dict[str, Any]:
    share, metric = -row.urgency[1], METRICS["elapsed"]
    shown = min(row.samples, key=lambda result: (not result.fails, not result.broken, -(result.elapsed or 0.0)))
    calls = [call for sample in row.samples for call in sample.calls]
    return {
        "nodeid": row.nodeid,
        "verdict": row.verdict,
        "fails": row.fails,
        "samples": len(row.samples),
        # the sample that a reader is to see first
        "shown": shown.sample,
        "models": sorted({printable(call.model) for call in calls if call.model}),
        "calls": row.calls,
        "output_tokens": row.output_tokens,
        "share": None if share in (0.0, float("inf")) else round(share, 4),
        **{
            name: {
                "measured": json_number(metric, figure.measured),
                "limit": json_number(metric, figure.limit),
                "broken": figure.broken,
            }
            for name, figure in row.figures.items()
        },
        **({"spreads": spreads} if (spreads := _spreads(row)) else {}),
    }


def _spreads(row: Row) -> list[dict[str, Any]]:
    """Return for each duration what its samples measured, with percentiles and what they say by 95 %."""
    spreads: list[dict[str, Any]] = []
    samples = [sample_of(sample) for sample in row.samples]
    limits: dict[tuple[str, str | None], float] = {
        (judgement.metric, None): judgement.limit.value for judgement in row.judgements if judgement.limit.is_general
    }
    limits |= {(limit.metric, limit.statistic): limit.value for sample in row.samples for limit in sample.percentiles}
    for name in ("ttft", "total", "elapsed") if len(samples) > 1 else ():
        metric = METRICS[name]
        readings = [reading for sample in samples if (reading := sample.reading(metric)) is not None]
        came = sorted(reading for reading in readings if reading != NEVER)
        if len(came) < 2:
            continue
        found = []
        for statistic, share in _SHARES.items():
            low, high = rank_interval(len(came), share)
            found.append(
                {
                    "statistic": statistic,
                    "value": json_number(metric, percentile(came, share)),
                    "low": None if low is None else json_number(metric, percentile(came, low)),
                    "high": None if high is None else json_number(metric, percentile(came, high)),
                }
            )
        spreads.append(
            {
                "metric": name,
                "readings": [json_number(metric, reading) for reading in came],
                "never": len(readings) - len(came),
                "percentiles": found,
                "limits": [
                    {"statistic": statistic, "limit": json_number(metric, value)}
                    for (limited, statistic), value in limits.items()
                    if limited == name
                ],
            }
        )
    return spreads


def _budget(judgement: Judgement, *, judged: bool) -> dict[str, Any]:
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

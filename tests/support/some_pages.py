"""A run that has each kind of fact that a page can show, and any number of ordinary tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from pytest_claude_latency.budgets.block import JudgedBlock
from pytest_claude_latency.metrics.timeline import Call
from pytest_claude_latency.metrics.watched import Watched, WatchedBudget
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.results.simulation import Simulation
from pytest_claude_latency.results.verdict import RunVerdict
from pytest_claude_latency.results.what_if import WhatIf, WouldBe
from tests.support.some_call import some_call
from tests.support.some_results import report_of, some_finding, some_result

SECOND = 1_000_000_000
LATE = "tests/test_triage.py::test_a_label_comes_soon"
LIMITS: Final[dict[str, Any]] = {
    "ttft": "450ms",
    "longest_gap": "200ms",
    "output_tokens": 90,
    "elapsed": "3.5s",
    "calls": 5,  # the only one that it keeps
}
SAMPLED = "tests/test_triage.py::test_samples"
SLOW_OUTPUT = WatchedBudget(
    metric="ttft",
    limit=1.0,
    measured=1.2,
    verdict="broken",
    origin="claude_latency.watch(...) at test_it.py:9",
    reason=None,
)
BLOCK = JudgedBlock(
    place="tests/test_triage.py:12",
    start=1.0,
    end=4.2,
    calls=(2, 3),
    judgements=tuple(
        replace(judgement, call=judgement.call and judgement.call + 1)
        for judgement in some_result(
            calls=[some_call(ttft=0.512), some_call(ttft=0.612)], limits={"ttft": "400ms", "elapsed": "2s"}
        ).judgements
    ),
)
P95 = RunVerdict(
    nodeid=SAMPLED,
    about="total p95",
    verdict="inconclusive",
    headline="total p95",
    facts={"kind": "percentile", "metric": "total", "statistic": "p95", "limit": 2.0, "measured": 2.2, "over": 9}
    | {"samples": 9, "settled_by": 59, "origin": "@latency_budget"},
)


def breakdown(calls: list[Call]) -> dict[str, Any]:
    """Where the time of streamed calls went that were sent one after another or overlap."""
    segments = []
    for call in calls:
        first, answer, end = call.ttft or 0.0, call.ttfa or 0.0, call.total or 0.0
        parts = [("connection", 0.06), ("waiting", first), ("thinking", answer), ("answering", end - 0.4)]
        parts += [("stalled", end - 0.1), ("answering", end)]
        starts = [0.0, *(until for _, until in parts)]
        segments.append(
            [[part, start, until] for (part, until), start in zip(parts, starts, strict=False) if until > start]
        )
    over = max(call.sent + (call.total or 0.0) for call in calls)
    steps = [("waiting", 0.4), ("answering", 1.2), ("application", 1.5), ("refused", 1.8), ("back_off", 2.1)]
    steps = [step for step in steps if step[1] < over] + [("answering", over)]
    starts = [0.0, *(until for _, until in steps)]
    return {
        "test": {},
        "calls": [{} for _ in calls],
        "text": "",
        "origin": 0.0,
        "segments": segments,
        "gaps": [[(call.total or 0.0) - 0.4, (call.total or 0.0) - 0.1] for call in calls],
        "path": [
            {"call": number, "start": call.sent, "end": call.sent + (call.total or 0.0)}
            for number, call in enumerate(calls, 1)
        ],
        "path_segments": [[part, start, until] for (part, until), start in zip(steps, starts, strict=False)],
    }


def some_test(nodeid: str, calls: int = 3, limits: dict[str, Any] | None = None, **facts: Any) -> TestResult:
    """A test of overlapping calls."""
    made = [
        some_call(
            sent=1.0 * number,
            ttft=0.412 + 0.1 * number,
            ttfa=0.6 + 0.2 * number,
            total=2.2 + 0.3 * number,
            longest_gap=0.3,
            model="claude-haiku-4-5" if number % 2 else "claude-sonnet-4-6",
            location=f"app/llm.py:{50 + number} in classify",
        )
        for number in range(calls)
    ]
    known = {
        "breakdown": breakdown(made),
        "recording": f"tests/cassettes/test_triage/{nodeid.rpartition('::')[2]}_as_the_customer_sees_it.1.jsonl",
    }
    return some_result(nodeid, made, limits or {"ttft": "2s"}, **{**known, **facts})


def report_with_everything(tests: int = 12, calls: int = 3, limits: dict[str, Any] = LIMITS) -> dict[str, Any]:
    """The data of a report with a broken test, samples, a baseline, a fault, simulation, what-ifs and variants.

    `limits` are those of the test that breaks some.
    """
    fault: dict[str, Any] = {"fault": "overloaded", "original_nodeid": SAMPLED, "injected": 1}
    simulation = Simulation(worlds=1000, seed=1, spreads={"elapsed": {"p50": 2.4e9, "p95": 3.1e9, "p99": 4.0e9}})
    answers = (WouldBe(question="call 1 in no time", elapsed=SECOND, first_token=SECOND // 2, ending="passed"),)
    what_if = WhatIf(now=WouldBe(question="", elapsed=2 * SECOND, first_token=SECOND), answers=answers)
    results = [
        some_test(
            LATE,
            limits=limits,
            findings=(some_finding(fact="call 2 of 3 waited 512ms for its first token", made_at=("app/llm.py:51",)),),
            blocks=(BLOCK,),
            watched=(Watched(items=3, ttft=1.2, longest_gap=0.1, total=3.9, start=0.5, budgets=(SLOW_OUTPUT,)),),
            simulation=simulation,
            what_if=what_if,
        ),
        *(
            some_test(SAMPLED, 1, {"elapsed": "4s"}, sample=number, sample_count=9, elapsed=2 + number * 0.1)
            for number in range(1, 10)
        ),
        some_test(
            f"{SAMPLED}~model=claude-haiku-4-5",
            1,
            variant="~model=claude-haiku-4-5",
            original_nodeid=SAMPLED,
            elapsed=1.5,
        ),
        some_test(f"{SAMPLED}[overloaded]", 1, **fault),
        *(some_test(f"tests/test_triage.py::test_label[{number}]", calls) for number in range(tests)),
    ]
    before = {"elapsed": [1.8 + number * 0.1 for number in range(9)], "ttft": [0.35] * 9, "total": [2.2] * 9}
    before["output_tokens"] = [90.0] * 9
    now = {"elapsed": 2.5, "ttft": 0.412, "total": 2.2, "output_tokens": 96}
    baselines = [
        RunVerdict(
            nodeid=SAMPLED,
            about=f"{metric} against main",
            kind="comparison",
            verdict="unchanged" if metric == "total" else "regression",
            headline=f"{metric} against main",
            facts={"kind": "comparison", "baseline": "main", "metric": metric, "before": old[4], "after": now[metric]}
            | {"readings_before": old, "readings_after": [now[metric]] * 9},
        )
        for metric, old in before.items()
    ]
    return report_of(*results, verdicts=(P95, *baselines))

"""Run verdicts: verdicts that need all samples of a test, so they are known only when the last test is done.

A verdict that fails the run is reported as a failure of its own, named after its test:
`tests/test_x.py::test_y::latency[ttft p95]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Literal

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.limit import Limit
from pytest_claude_latency.budgets.percentile_judgement import PercentileJudgement, judge
from pytest_claude_latency.metrics.sample import NEVER, Sample
from pytest_claude_latency.results.result import TestResult


@dataclass(frozen=True, kw_only=True)
class RunVerdict:
    """One verdict on a test, from the whole run."""

    nodeid: str
    """The test, without a sample."""
    about: str
    """What was judged: `"ttft p95"`."""
    kind: Literal["percentile", "comparison"] = "percentile"
    verdict: str
    headline: str
    """The verdict in one line."""
    message: str = ""
    """What it fails with."""
    notes: tuple[str, ...] = ()
    """What is shown below it: what else changed."""
    fails: bool = False
    warns: bool = False
    shown: bool = True
    """Whether a table shows it below its test: what did not change is only counted."""
    value: float | None = None
    """What was measured, as a number for programs: a duration in seconds."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the JSON report says of it beside test and verdict."""

    @property
    def name(self) -> str:
        """The node id it fails under."""
        return f"{self.nodeid}::latency[{self.about}]"

    def not_judged(self, reason: str) -> RunVerdict:
        """Return the verdict that stands where there is a reason not to judge: it neither fails nor warns."""
        return replace(
            self,
            verdict="not judged",
            headline=f"{self.about} was not judged: {reason}",
            message="",
            notes=(),
            fails=False,
            warns=False,
            value=None,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the verdict in JSON types."""
        return {"nodeid": self.nodeid, "name": self.name} | dict(self.facts) | {"verdict": self.verdict}


def on_percentiles(results: Iterable[TestResult], *, judged: bool, strict: bool) -> list[RunVerdict]:
    """What all samples together say of each percentile a test promises, in the order of the tests' ids.

    Under `strict` what the samples cannot settle fails too.
    """
    ordered = sorted(results, key=lambda result: (result.nodeid, result.sample))
    found: list[RunVerdict] = []
    for nodeid, group in groupby(ordered, key=lambda result: result.nodeid):
        samples = list(group)
        limits = {limit.text(): limit for sample in samples for limit in sample.percentiles}
        found += [_concluded(nodeid, limit, samples, judged, strict) for limit in limits.values()]
    return found


def _concluded(nodeid: str, limit: Limit, samples: Sequence[TestResult], judged: bool, strict: bool) -> RunVerdict:
    ran = [sample for sample in samples if sample.outcome != "skipped"]
    judgement = judge(limit, [_sample(sample) for sample in ran if not sample.incomplete])
    run_verdict = _of(nodeid, judgement, strict)
    incomplete = sum(sample.incomplete for sample in ran)
    if not judged:
        return run_verdict.not_judged("the run judges no budgets")
    if incomplete:
        return run_verdict.not_judged(f"{incomplete} of {len(ran)} samples ended before they were done")
    return run_verdict if ran else run_verdict.not_judged("no sample ran")


def _of(nodeid: str, judgement: PercentileJudgement, strict: bool) -> RunVerdict:
    unsettled = judgement.verdict in ("inconclusive", "not measured")
    measured = judgement.measured
    known = measured is not None and measured < NEVER
    return RunVerdict(
        nodeid=nodeid,
        about=judgement.name,
        verdict=judgement.verdict,
        headline=judgement.headline(),
        message=judgement.message() + ("\n  (--latency-strict)" if unsettled else ""),
        fails=judgement.broken or (strict and unsettled),
        warns=unsettled,
        value=round(duration.seconds(int(measured)), 6) if measured is not None and known else None,
        facts={"kind": "percentile"} | judgement.as_json(),
    )


def _sample(result: TestResult) -> Sample:
    elapsed = None if result.elapsed is None else duration.nanoseconds(result.elapsed)
    return Sample(number=result.sample, elapsed=elapsed, calls=result.calls)

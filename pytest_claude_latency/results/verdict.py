"""Run verdicts: verdicts that need all samples of a test, so they are known only when the last test is done.

A verdict that fails the run is reported as a failure of its own, named after its test:
`tests/test_x.py::test_y::latency[ttft p95]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from pytest_claude_latency.budgets.limit import Limit
from pytest_claude_latency.budgets.percentile_judgement import judge
from pytest_claude_latency.metrics.metric import METRICS, json_number
from pytest_claude_latency.metrics.series import by_test, sample_of
from pytest_claude_latency.results.result import TestResult

NOT_JUDGED: Final = "{about} was not judged: {reason}"
NO_BUDGETS: Final = "the run judges no budgets"
NO_SAMPLE: Final = "no sample ran"
NO_API: Final = "its answers are made up, and have no percentiles"
INCOMPLETE: Final = "{incomplete} of {ran} samples ended before they were done"
STRICTLY: Final = "\n  (--latency-strict)"


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
    """Whether a table shows it below its test. What did not change is only counted."""
    value: float | None = None
    """What was measured, as a number for programs: a duration in seconds. None where there was nothing to measure."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else the JSON report says about it."""

    @property
    def name(self) -> str:
        """The node id it fails under."""
        return f"{self.nodeid}::latency[{self.about}]"

    def not_judged(self, reason: str) -> RunVerdict:
        """Return the verdict that stands where there is a reason not to judge: it neither fails nor warns."""
        # the facts stay: a JSON report has what was measured, whether or not it counts
        return replace(
            self,
            verdict="not judged",
            headline=NOT_JUDGED.format(about=self.about, reason=reason),
            message="",
            notes=(),
            fails=False,
            warns=False,
            value=None,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the verdict in JSON types."""
        return {"nodeid": self.nodeid, "name": self.name} | dict(self.facts) | {"verdict": self.verdict}


def on_percentiles(
    results: Iterable[TestResult], *, judged: bool, strict: bool, most: int | None = None
) -> list[RunVerdict]:
    """Return the verdict of all samples on each percentile that a test promises, in the order of the tests' ids.

    `judged` says whether the run judges budgets. A percentile for which there are too few samples warns; under
    `strict` it fails. `most` is how many samples there can be, where each may be the last.
    """
    return [
        _on_percentile(nodeid, limit, samples, judged=judged, strict=strict, most=most)
        for nodeid, samples in by_test(results).items()
        # each sample carries the same limits: by their texts they are one
        for limit in {limit.text(): limit for sample in samples for limit in sample.percentiles}.values()
    ]


def _on_percentile(
    nodeid: str, limit: Limit, samples: Sequence[TestResult], *, judged: bool, strict: bool, most: int | None
) -> RunVerdict:
    # a skipped sample ran no code of the test, so it says nothing about its speed
    ran = [sample for sample in samples if sample.outcome != "skipped"]
    complete = [sample for sample in ran if not sample.incomplete]
    measured = [sample_of(sample) for sample in complete]
    # streams of sessions are no prompt calls, so a result has them apart; conditions tell of prompt calls
    if limit.endpoint == "session":
        measured = [
            replace(sample, calls=result.session_calls, conditions=())
            for sample, result in zip(measured, complete, strict=True)
        ]
    judgement = judge(limit, measured, most)
    # neither kept nor broken: more samples, or another limit, are needed
    unsettled = judgement.verdict in ("inconclusive", "not measured")
    verdict = RunVerdict(
        nodeid=nodeid,
        about=judgement.name,
        verdict=judgement.verdict,
        headline=judgement.headline(),
        message=judgement.message() + (STRICTLY if unsettled else ""),
        fails=judgement.broken or (strict and unsettled),
        warns=unsettled,
        value=json_number(METRICS[limit.metric], judgement.measured),
        facts={"kind": "percentile"} | judgement.as_json(),
    )
    if not judged:
        return verdict.not_judged(NO_BUDGETS)
    if not ran:
        return verdict.not_judged(NO_SAMPLE)
    if any(sample.simulated for sample in ran):
        return verdict.not_judged(NO_API)
    # a percentile of the samples that succeeded would look better than the test is
    if len(complete) < len(ran):
        return verdict.not_judged(INCOMPLETE.format(incomplete=len(ran) - len(complete), ran=len(ran)))
    return verdict

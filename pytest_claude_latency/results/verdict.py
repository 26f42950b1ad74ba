"""Run verdicts: verdicts that need all samples of a test, so they are known only when the last test is done.

A verdict that fails the run is reported as a failure of its own, named after its test:
`tests/test_x.py::test_y::latency[ttft p95]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from pytest_claude_latency.budgets.limit import Limit
from pytest_claude_latency.budgets.percentile_judgement import PercentileJudgement, judge
from pytest_claude_latency.metrics.metric import METRICS, json_number
from pytest_claude_latency.metrics.prompt_cache import Cache, kept_apart
from pytest_claude_latency.metrics.sample import Sample
from pytest_claude_latency.metrics.series import by_test, sample_of
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.results.result import TestResult

NOT_JUDGED: Final = "{about} was not judged: {reason}"
NO_BUDGETS: Final = "the run judges no budgets"
NO_SAMPLE: Final = "no sample ran"
NO_API: Final = "its answers are made up, and have no percentiles"
INCOMPLETE: Final = "{incomplete} of {ran} samples ended before they were done"
SMALL_GROUP: Final = "{count} with {cache}: {headline}"
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
    limit: Limit | None = None
    """The limit that was judged, of a percentile."""

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


def settled(samples: Sequence[TestResult], *, most: int | None) -> str | None:
    """Return why a test needs no more samples, where it ends at its verdict; `None` if it needs one."""
    number = len(samples)
    if any(sample.incomplete for sample in samples):
        # Its percentiles are not judged, however many more there are.
        return f"not judged any more: a sample among the first {number} ended before it was done"
    verdicts = on_percentiles(samples, judged=True, strict=False, most=most)
    is_open = any(percentile.verdict not in ("kept", "broken") for percentile in verdicts)
    # A limit on every sample is settled only by one that breaks it.
    if is_open or not (verdicts or any(sample.outcome == "failed" for sample in samples)):
        return None
    return f"settled after {number_of(number, 'sample')}"


def on_percentiles(
    results: Iterable[TestResult], *, judged: bool, strict: bool, most: int | None = None
) -> list[RunVerdict]:
    """Return the verdict of all samples on each percentile that a test promises, in the order of the tests' ids.

    Samples with a cold and with a warm prompt cache are judged apart. `judged` says whether the run judges budgets. A
    percentile for which there are too few samples warns; under `strict` it fails. `most` is how many samples there can
    be, where each may be the last.
    """
    return [
        verdict
        for nodeid, samples in by_test(results).items()
        # each sample carries the same limits: by their texts they are one
        for limit in {limit.text(): limit for sample in samples for limit in sample.percentiles}.values()
        for verdict in _on_percentile(nodeid, limit, samples, judged=judged, strict=strict, most=most)
    ]


def _on_percentile(
    nodeid: str, limit: Limit, samples: Sequence[TestResult], *, judged: bool, strict: bool, most: int | None
) -> list[RunVerdict]:
    """Return the verdict on one percentile; several where samples met the prompt cache in different states."""
    # a skipped sample ran no code of the test, so it says nothing about its speed
    ran = [sample for sample in samples if sample.outcome != "skipped"]
    complete = [sample for sample in ran if not sample.incomplete]
    # without a complete sample there is one verdict all the same: it says why nothing was judged
    groups = kept_apart(complete, lambda sample: sample.calls) or {"no cache": []}
    judgements = {cache: judge(limit, measured_by(limit, group), most) for cache, group in groups.items()}
    largest, *others = judgements
    is_mixed = bool(others)
    verdicts = [_verdict_of(nodeid, judgements[largest], largest if is_mixed else None, strict=strict)]
    for cache in others:
        judgement = judgements[cache]
        if judgement.verdict in ("kept", "broken"):
            verdicts.append(_verdict_of(nodeid, judgement, cache, strict=strict))
        else:  # the largest group says whether more samples are needed; a first, cold one stays alone for ever
            count = number_of(len(groups[cache]), "sample")
            note = SMALL_GROUP.format(count=count, cache=cache, headline=judgement.headline())
            verdicts[0] = replace(verdicts[0], notes=(*verdicts[0].notes, note))
    reason = None
    if not judged:
        reason = NO_BUDGETS
    elif not ran:
        reason = NO_SAMPLE
    elif any(sample.simulated for sample in ran):
        reason = NO_API
    # a percentile of the samples that succeeded would look better than the test is
    elif len(complete) < len(ran):
        reason = INCOMPLETE.format(incomplete=len(ran) - len(complete), ran=len(ran))
    return verdicts if reason is None else [verdict.not_judged(reason) for verdict in verdicts]


def measured_by(limit: Limit, results: Sequence[TestResult]) -> list[Sample]:
    """Return what the results measured of the calls that a limit is about, each as a sample."""
    measured = [sample_of(result) for result in results]
    # streams of sessions are no prompt calls, so a result has them apart; conditions tell of prompt calls
    if limit.endpoint != "session":
        return measured
    return [
        replace(sample, calls=result.session_calls, conditions=())
        for sample, result in zip(measured, results, strict=True)
    ]


def _verdict_of(nodeid: str, judgement: PercentileJudgement, cache: Cache | None, *, strict: bool) -> RunVerdict:
    """Return a judgement as a verdict. `cache` names the group of samples, where there is more than one."""
    # neither kept nor broken: more samples, or another limit, are needed
    unsettled = judgement.verdict in ("inconclusive", "not measured")
    group = "" if cache is None else f"{cache}: "
    return RunVerdict(
        nodeid=nodeid,
        about=judgement.name if cache is None else f"{judgement.name}, {cache}",
        verdict=judgement.verdict,
        headline=group + judgement.headline(),
        message=group + judgement.message() + (STRICTLY if unsettled else ""),
        fails=judgement.broken or (strict and unsettled),
        warns=unsettled,
        value=json_number(METRICS[judgement.limit.metric], judgement.measured),
        limit=judgement.limit,
        facts={"kind": "percentile"} | judgement.as_json() | ({} if cache is None else {"prompt_cache": cache}),
    )

"""A trial: a test as it is written and its variants side by side, and the fastest that does what the test asks for.

The test's own assertions are the measure of quality: what fails one of them is never recommended. What ranks is
`elapsed`, which is all the time a test took however many calls it made. A replay repeats its numbers exactly, but the
recordings of two variants are two sets of live measurements, so differences are judged by ranks in every mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby
from typing import Any

from pytest_claude_latency import duration
from pytest_claude_latency.comparison.comparison import Comparison
from pytest_claude_latency.comparison.exact import reading
from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.comparison.statistical import Pair, judge_all
from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.metrics.percentiles import percentile
from pytest_claude_latency.metrics.sample import NEVER, Sample
from pytest_claude_latency.results.result import TestResult

RANKED_BY = "elapsed"
MEASURED = ("ttft", "ttfa", "total", "elapsed", "prompt_tokens", "output_tokens")

_WORDS = {
    "improvement": "faster",
    "regression": "slower",
    "unchanged": "inside the noise",
    "too few runs": "too few samples",
}


@dataclass(frozen=True, kw_only=True)
class Contender:
    """The test as it is written, or one variant of it: all its samples."""

    nodeid: str
    variant: str
    """Its name, empty for the test as it is written."""
    samples: int
    """How many ran; those that were skipped did not."""
    passed: int
    """In how many the test's own assertions held."""
    stopped: int
    """In how many something other than the test's code failed: there was no recording, say."""
    cut_off: int
    """In how many an answer ended at `max_tokens`."""
    readings: Mapping[str, tuple[float, ...]]
    """For each of `MEASURED` what the samples read, the passed ones where there are any: nanoseconds and counts."""
    comparison: Comparison | None = None
    """Against the test as it is written; None for that itself, and where one of the two has nothing to compare."""

    @property
    def name(self) -> str:
        """What reports call it."""
        return self.variant or "as written"

    @property
    def passes(self) -> bool:
        """Whether it ran, every sample passed, and there is something to rank."""
        return 0 < self.samples == self.passed and self.typical(RANKED_BY) not in (None, NEVER)

    def typical(self, metric: str) -> float | None:
        """The median of one of `MEASURED`: None where nothing was measured, `NEVER` where the awaited did not come."""
        found = self.readings.get(metric, ())
        return percentile(found, Fraction(1, 2)) if found else None

    @property
    def verdict(self) -> str | None:
        """What its comparison says, in the words of a trial."""
        return None if self.comparison is None else _WORDS[self.comparison.verdict]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One test and its variants; the test as it is written stands first, if it ran."""

    nodeid: str
    contenders: tuple[Contender, ...]
    level: tuple[str, ...] = ()
    """Other variants that pass, and whose distance from the fastest is inside the noise."""

    @property
    def fastest(self) -> Contender | None:
        """The fastest of those that pass; of two that are equally fast the one that stands first."""
        passing = [each for each in self.contenders if each.passes]
        return min(passing, key=lambda each: each.typical(RANKED_BY) or 0, default=None)

    def recommendation(self) -> str:
        """Which is the fastest that passes, and how far that can be trusted."""
        best = self.fastest
        if best is None:
            return "none passed in all its samples, so none is recommended"
        took = duration.show(int(best.typical(RANKED_BY) or 0))
        parts = [f"fastest that passes: {best.name}, {took}{_beside(best)}"]
        if best.cut_off:
            of = f"{best.cut_off} of {best.samples} samples" if best.samples > 1 else "its sample"
            parts.append(f"cut off at max_tokens in {of}: what was measured is not the whole answer")
        if self.level:
            parts.append(f"inside the noise of it: {', '.join(self.level)}")
        return "; ".join(parts)

    def as_json(self) -> dict[str, Any]:
        """The trial in JSON types, durations in seconds."""
        best = self.fastest
        return {
            "nodeid": self.nodeid,
            "ranked_by": RANKED_BY,
            "fastest": None if best is None else best.nodeid,
            "recommendation": self.recommendation(),
            "tried": [_as_json(each) for each in self.contenders],
        }


def trials(results: Iterable[TestResult], rules: Rules | None = None) -> tuple[Trial, ...]:
    """The tests of a run that were tried in variants, in the order of their ids."""
    results = list(results)
    tried = {result.written for result in results if result.variant}
    ordered = sorted(
        (result for result in results if (result.written or result.nodeid) in tried),
        key=lambda result: (result.written or result.nodeid, result.variant, result.sample),
    )
    found = [
        Trial(
            nodeid=nodeid,
            contenders=tuple(
                _contender(list(samples)) for _, samples in groupby(of_test, key=lambda result: result.variant)
            ),
        )
        for nodeid, of_test in groupby(ordered, key=lambda result: result.written or result.nodeid)
    ]
    return tuple(_levelled(_compared(found, rules), rules))


def _contender(results: Sequence[TestResult]) -> Contender:
    ran = [result for result in results if result.succeeded is not None]
    passed = [result for result in ran if result.succeeded]
    used = [_sample(result) for result in passed or ran]
    read = {metric: [reading(sample, metric) for sample in used] for metric in MEASURED}
    return Contender(
        nodeid=results[0].nodeid,
        variant=results[0].variant,
        samples=len(ran),
        passed=len(passed),
        stopped=sum(bool(result.variant) and result.outcome in ("failed", "error") for result in ran),
        cut_off=sum(any(call.stop_reason == "max_tokens" for call in result.calls) for result in ran),
        readings={metric: tuple(each for each in found if each is not None) for metric, found in read.items()},
    )


def _sample(result: TestResult) -> Sample:
    elapsed = None if result.elapsed is None else duration.nanoseconds(result.elapsed)
    return Sample(number=result.sample, elapsed=elapsed, calls=result.calls)


def _compared(found: Sequence[Trial], rules: Rules | None) -> list[Trial]:
    """The trials with each variant held against the test as it is written; all at once, since each counts."""
    pairs = [
        Pair(each.nodeid, RANKED_BY, trial.contenders[0].readings[RANKED_BY], each.readings[RANKED_BY])
        for trial in found
        for each in trial.contenders[1:]
        if not trial.contenders[0].variant and trial.contenders[0].passes and each.passes
    ]
    verdicts = {comparison.nodeid: comparison for comparison in judge_all(pairs, rules)}
    return [
        replace(
            trial,
            contenders=tuple(replace(each, comparison=verdicts.get(each.nodeid)) for each in trial.contenders),
        )
        for trial in found
    ]


def _levelled(found: Sequence[Trial], rules: Rules | None) -> list[Trial]:
    """The trials with those named that chance alone may have put behind the fastest."""
    pairs = [
        Pair(each.nodeid, RANKED_BY, best.readings[RANKED_BY], each.readings[RANKED_BY])
        for trial in found
        if (best := trial.fastest) is not None
        for each in trial.contenders
        if each is not best and each.variant and best.variant and each.passes
    ]
    level = {each.nodeid for each in judge_all(pairs, rules) if each.verdict == "unchanged"}
    return [
        replace(trial, level=tuple(each.variant for each in trial.contenders if each.nodeid in level))
        for trial in found
    ]


def _beside(best: Contender) -> str:
    """How the fastest compares with the test as it is written."""
    comparison = best.comparison
    if not best.variant:
        return ""
    if comparison is None:
        return ", with nothing to compare it with: as written the test did not pass or did not run"
    was = f", was {comparison.shown[0]} as written"
    if comparison.verdict == "too few runs":
        sides = f"{len(comparison.before)} as written, {len(comparison.after)} of it; {comparison.needs} each would do"
        return f"{was}; too few samples to tell that from chance ({sides})"
    if comparison.verdict == "unchanged":
        return f"{was}; the difference is inside the noise"
    return f"{was} ({comparison.grounds()})"


def _as_json(contender: Contender) -> dict[str, Any]:
    comparison = contender.comparison
    return {
        "nodeid": contender.nodeid,
        "variant": contender.variant or None,
        "samples": contender.samples,
        "passed": contender.passed,
        "failed": contender.samples - contender.passed,
        "cut_off": contender.cut_off,
        **{metric: _plain(metric, contender.typical(metric)) for metric in MEASURED},
        "against_as_written": None if comparison is None else comparison.as_json() | {"verdict": contender.verdict},
    }


def _plain(metric: str, value: float | None) -> float | None:
    if value is None or value == NEVER:
        return None
    return round(duration.seconds(round(value)), 6) if METRICS[metric].kind == "duration" else value

"""Variant rankings: a test as it is written next to its variants, and the fastest that does what the test asks for.

The test's own assertions are the measure of quality: a variant that fails one of them is never recommended. One that
the API refused was not tried: that says nothing of its quality. Variants
are ranked by `elapsed`, all the time a test took however many calls it made. A replay repeats its numbers exactly, but
the recordings of two variants are two sets of live measurements. So differences are judged by ranks in every mode.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from pytest_claude_latency import duration
from pytest_claude_latency.comparison.comparison import Comparison
from pytest_claude_latency.comparison.exact import reading
from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.comparison.statistical import Pair, judge_all
from pytest_claude_latency.metrics.metric import METRICS, json_number
from pytest_claude_latency.metrics.percentiles import percentile
from pytest_claude_latency.metrics.sample import NEVER
from pytest_claude_latency.metrics.series import by_test, sample_of
from pytest_claude_latency.results.result import TestResult

# What a user waits for. A variant may have the fastest first token and make one call more.
RANKED_BY = "elapsed"
MEASURED = ("ttft", "ttfa", "total", "elapsed", "prompt_tokens", "output_tokens")

_CUT_OFF = frozenset({"max_tokens", "length", "model_context_window_exceeded"})
"""Why an answer ended before it was whole, in the words of each form of the API."""
_WORDS = {
    "improvement": "faster",
    "regression": "slower",
    "unchanged": "inside the noise",
    "too few runs": "too few samples",
}
"""What a ranking calls the verdict of a comparison."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """The test as it is written, or one variant of it: all its samples."""

    nodeid: str
    variant: str
    """Its name, empty for the test as it is written."""
    samples: int
    """How many ran; skipped samples did not."""
    passed: int
    """In how many the test's own assertions held."""
    stopped: int
    """In how many something other than the test's code failed, for example because there was no recording."""
    cut_off: int
    """In how many an answer ended at `max_tokens`, or at the end of the context, before it was whole."""
    refused: int
    """In how many the API did not take a request, so that the variant was not tried. 0 if it does so as written too."""
    refusal: str
    """Why not, in the API's words; of several the first."""
    readings: Mapping[str, tuple[float, ...]]
    """The values of each of `MEASURED` in nanoseconds or counts: of the samples that passed, or of all if none did."""
    comparison: Comparison | None = None
    """With the test as it is written. None for that test itself, and where one of the two has nothing to compare."""

    @property
    def name(self) -> str:
        """What reports call it."""
        return self.variant or "as written"

    @property
    def passes(self) -> bool:
        """Whether it ran, every sample passed, and there is something to rank."""
        # a test that made no call has no time, and one whose answer never ended has none that can be ranked
        return 0 < self.samples == self.passed and self.typical(RANKED_BY) not in (None, NEVER)

    @property
    def is_eligible(self) -> bool:
        """Whether it may be recommended: it passes, the API took it, and each answer is whole.

        One cut short is fast for that reason.
        """
        return self.passes and not self.cut_off and not self.refused

    def typical(self, metric: str) -> float | None:
        """Return the median of one of `MEASURED`: nanoseconds or a count.

        None where nothing was measured, `NEVER` where the awaited moment did not come.
        """
        readings = self.readings.get(metric, ())
        return percentile(readings, Fraction(1, 2)) if readings else None

    @property
    def verdict(self) -> str | None:
        """What its comparison says, in the words of a ranking; None without a comparison."""
        return None if self.comparison is None else _WORDS[self.comparison.verdict]

    def as_json(self) -> dict[str, Any]:
        """Return the candidate in JSON types, durations in seconds."""
        against = None if self.comparison is None else self.comparison.as_json() | {"verdict": self.verdict}
        return {
            "nodeid": self.nodeid,
            "variant": self.variant or None,
            "samples": self.samples,
            "passed": self.passed,
            "failed": self.samples - self.passed,
            "cut_off": self.cut_off,
            "refused": self.refused,
            "refusal": self.refusal or None,
            **{metric: json_number(METRICS[metric], self.typical(metric)) for metric in MEASURED},
            "against_as_written": against,
        }


@dataclass(frozen=True, kw_only=True)
class VariantRanking:
    """One test and its variants: the test as written first, if it ran, then those that pass, the fastest first."""

    nodeid: str
    candidates: tuple[Candidate, ...]
    ties: tuple[str, ...] = ()
    """The other variants that may be recommended, and whose distance from the fastest is inside the noise."""

    @property
    def fastest(self) -> Candidate | None:
        """The fastest candidate that may be recommended; of two equally fast ones the first. None if none may."""
        eligible = [candidate for candidate in self.candidates if candidate.is_eligible]
        return min(eligible, key=lambda candidate: candidate.typical(RANKED_BY) or 0, default=None)

    def recommendation(self) -> str:
        """Return one line that says which candidate is the fastest that passes, and how far to trust that."""
        best = self.fastest
        cut = [candidate.name for candidate in self.candidates if candidate.passes and candidate.cut_off]
        refusals = [_refused(candidate) for candidate in self.candidates if candidate.refused]
        if best is None and cut:
            parts = [f"none is recommended: answers of {', '.join(cut)} were cut off at max_tokens; raise it"]
            return "; ".join([*parts, *refusals])
        if best is None:
            return "; ".join(["none passed in all its samples, so none is recommended", *refusals])
        took = duration.show(int(best.typical(RANKED_BY) or 0))
        parts = [f"fastest that passes: {best.name}, {took}{_against_as_written(best)}"]
        if cut:
            parts.append(f"cut off at max_tokens, so not recommended: {', '.join(cut)}")
        if self.ties:
            parts.append(f"inside the noise of it: {', '.join(self.ties)}")
        return "; ".join([*parts, *refusals])

    def as_json(self) -> dict[str, Any]:
        """Return the ranking in JSON types, durations in seconds."""
        best = self.fastest
        return {
            "nodeid": self.nodeid,
            "ranked_by": RANKED_BY,
            "fastest": None if best is None else best.nodeid,
            "recommendation": self.recommendation(),
            "tried": [candidate.as_json() for candidate in self.candidates],
        }


def rank_variants(results: Iterable[TestResult], rules: Rules | None = None) -> tuple[VariantRanking, ...]:
    """Return a ranking for each test of a run that was tried in variants, in the order of the tests' ids."""
    tests: dict[str, list[list[TestResult]]] = {}
    for nodeid, samples in by_test(results).items():
        # a variant is a test of its own in all other results: here it joins the test it is a variant of
        tests.setdefault(samples[0].original_nodeid or nodeid, []).append(samples)
    rankings = [
        VariantRanking(nodeid=nodeid, candidates=_in_order(map(_candidate, forms)))
        for nodeid, forms in sorted(tests.items())
        if any(samples[0].variant for samples in forms)
    ]
    return tuple(_with_ties(_with_comparisons(rankings, rules), rules))


def _in_order(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Return the test as it is written, then those that may be recommended, then the others, each by their speed."""

    def place(candidate: Candidate) -> tuple[bool, bool, float, str]:
        took = candidate.typical(RANKED_BY)
        return bool(candidate.variant), not candidate.is_eligible, NEVER if took is None else took, candidate.variant

    tried = list(candidates)
    if any(candidate.refused for candidate in tried if not candidate.variant):
        # What the test itself makes the API refuse is no answer to a variant.
        tried = [replace(candidate, refused=0, refusal="") for candidate in tried]
    return tuple(sorted(tried, key=place))


def _candidate(results: Sequence[TestResult]) -> Candidate:
    ran = [result for result in results if result.succeeded is not None]
    passed = [result for result in ran if result.succeeded]
    # what failed may have ended too early, so it counts only where nothing passed
    samples = [sample_of(result) for result in passed or ran]
    readings = {metric: [reading(sample, metric) for sample in samples] for metric in MEASURED}
    return Candidate(
        nodeid=results[0].nodeid,
        variant=results[0].variant,
        samples=len(ran),
        passed=len(passed),
        # of the test as it is written, other reports say so
        stopped=sum(bool(result.variant) and result.fails for result in ran),
        cut_off=sum(any(call.stop_reason in _CUT_OFF for call in result.calls) for result in ran),
        refused=sum(bool(result.refusal) for result in ran),
        refusal=next((result.refusal for result in ran if result.refusal), ""),
        readings={metric: tuple(value for value in values if value is not None) for metric, values in readings.items()},
    )


def _with_comparisons(rankings: Sequence[VariantRanking], rules: Rules | None) -> list[VariantRanking]:
    """Compare each variant that passes with the test as it is written; all at once, since each counts."""
    pairs = [
        _pair(ranking.candidates[0], candidate)
        for ranking in rankings
        for candidate in ranking.candidates[1:]
        if not ranking.candidates[0].variant and ranking.candidates[0].passes and candidate.passes
    ]
    # all tests at once: with each further comparison, chance makes a false alarm more likely
    comparisons = {comparison.nodeid: comparison for comparison in judge_all(pairs, rules)}
    return [
        replace(
            ranking,
            candidates=tuple(
                replace(candidate, comparison=comparisons.get(candidate.nodeid)) for candidate in ranking.candidates
            ),
        )
        for ranking in rankings
    ]


def _with_ties(rankings: Sequence[VariantRanking], rules: Rules | None) -> list[VariantRanking]:
    """Name the variants that chance alone may have put behind the fastest variant."""
    pairs = [
        _pair(best, candidate)
        for ranking in rankings
        if (best := ranking.fastest) is not None
        for candidate in ranking.candidates
        if candidate is not best and candidate.variant and best.variant and candidate.is_eligible
    ]
    # "too few runs" is no tie: nothing is known about such a variant
    tied = {comparison.nodeid for comparison in judge_all(pairs, rules) if comparison.verdict == "unchanged"}
    return [
        replace(ranking, ties=tuple(candidate.variant for candidate in ranking.candidates if candidate.nodeid in tied))
        for ranking in rankings
    ]


def _pair(before: Candidate, after: Candidate) -> Pair:
    return Pair(after.nodeid, RANKED_BY, before.readings[RANKED_BY], after.readings[RANKED_BY])


def _refused(candidate: Candidate) -> str:
    """Return the message about a candidate that the API refused: the field it names, where the variant has it."""
    # a variant is called "~" and its fields: "~model=claude-haiku-4-5,temperature=0.2"
    names = [name for name, _, _ in (part.partition("=") for part in candidate.variant[1:].split(","))]
    # "this model" is where a field is not known, and no field that is refused
    message = re.sub(r"\b(this|the|your) model\b", "", candidate.refusal)
    # the API may name a field inside another one without the fields around it
    named = [name for name in names if re.search(rf"\b{re.escape(name.split('.')[-1])}\b", message)]
    of_field = f" for {', '.join(named)}" if named else ""
    return f"{candidate.name} was refused{of_field}, which says nothing of its quality ({candidate.refusal})"


def _against_as_written(best: Candidate) -> str:
    comparison = best.comparison
    if not best.variant:
        return ""
    if comparison is None:
        return ", with nothing to compare it with: as written the test did not pass or did not run"
    was = f", was {comparison.shown[0]} as written"
    if comparison.verdict == "too few runs":
        before, after = len(comparison.before), len(comparison.after)
        samples = f"{before} as written, {after} of it; {comparison.needs} each are needed"
        return f"{was}; too few samples to tell that from chance ({samples})"
    if comparison.verdict == "unchanged":
        return f"{was}; the difference is inside the noise"
    return f"{was} ({comparison.grounds()})"

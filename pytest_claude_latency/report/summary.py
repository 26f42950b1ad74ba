"""The summary of a run: a row per test, counts and warnings, as values that every report writes its own way.

A test with several samples is one row and shows its worst sample, since a limit holds for each of them. Rows stand in
the order of their ids: a run spread over workers finishes in another order every time.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.judgement import DECIDED_ELSEWHERE, NO_CALL, Judgement
from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.metrics.given_up import times_that_count
from pytest_claude_latency.metrics.series import by_test
from pytest_claude_latency.results.also_failed import AlsoFailed
from pytest_claude_latency.results.inner_limits import InnerLimit, inner_limits
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.results.simulation import Simulation
from pytest_claude_latency.results.variant_ranking import VariantRanking, rank_variants
from pytest_claude_latency.results.verdict import RunVerdict
from pytest_claude_latency.results.what_if import WhatIf

# A limit that one sample measured and another did not counts as measured, so "kept" stands before "not measured".
_WORST_FIRST: Sequence[str] = ("broken", "inconclusive", "no calls", "kept", "not measured", "not judged")

_CALM: Sequence[str] = ("not measured", "kept", "unchanged", "not judged", "no budget", "skipped")
"""Verdicts of tests that nobody needs to look at. All others stand before them."""

_CHANGED_FIRST: Sequence[str] = (
    "regression",
    "improvement",
    "too few runs",
    "not compared",
    "new",
    "not judged",
    "unchanged",
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What holds for all tests of a run."""

    mode: str = "replay"
    clock: str = "virtual"
    judged: bool = True
    """Whether budgets were judged."""
    explained: bool = False
    """Whether findings are listed for every test."""
    verdicts: tuple[RunVerdict, ...] = ()
    """What is known only at the end of a run."""
    warnings: tuple[str, ...] = ()
    """What makes the numbers of the whole run misleading."""
    rules: Rules | None = None
    """How much variants must differ to count; None where the defaults do."""
    faults: tuple[str, ...] = ()
    """How many tests survived each fault of the option, and which faults did not run."""
    also_failed: tuple[AlsoFailed, ...] = ()
    """What made the run fail and is no result of a latency test."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A test's worst measurement of one duration, and the limit on it where there is one."""

    measured: Nanoseconds | None
    limit: Nanoseconds | None
    broken: bool = False
    streamed: bool = True
    """Whether the measured call was streamed. If not, its first token came with its last."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One test: its samples, and what follows from them. Where they differ, the worst of them counts."""

    nodeid: str
    samples: tuple[TestResult, ...]
    run_verdicts: tuple[RunVerdict, ...] = ()
    """What is decided of it only at the end of the run."""

    @property
    def calls(self) -> int:
        """The number of calls; the largest where samples differ."""
        return max(len(sample.calls) for sample in self.samples)

    @property
    def simulated(self) -> bool:
        """Whether its answers were made up."""
        return any(sample.simulated for sample in self.samples)

    @property
    def output_tokens(self) -> int | None:
        """Tokens that the calls of one sample generated together; the most of any sample. `None` if no answer tells."""
        tokens = [
            [call.output_tokens for call in sample.calls if call.output_tokens is not None] for sample in self.samples
        ]
        return max(map(sum, filter(None, tokens)), default=None)

    @cached_property
    def judgements(self) -> tuple[Judgement, ...]:
        """For each limit, the judgement of the sample that did worst.

        A limit that one sample could measure counts as measured.
        """
        # samples may have measured different limits, so each limit is looked for in all of them
        worst: dict[str, Judgement] = {}
        for sample in self.samples:
            for judgement in sample.judgements:
                judged = judgement if sample.judged else Judgement(judgement.limit, None, None, 0, "not judged")
                key = judged.limit.text()
                worst[key] = min(worst.get(key, judged), judged, key=_goodness)
        return tuple(worst.values())

    @cached_property
    def inner(self) -> tuple[InnerLimit, ...]:
        """The limits of its blocks and watched outputs, each as it came out worst."""
        worst: dict[tuple[str, str], InnerLimit] = {}
        for inner in inner_limits(self.samples):
            key = inner.place, inner.judgement.limit.text()
            worst[key] = min(worst.get(key, inner), inner, key=lambda found: _goodness(found.judgement))
        return tuple(worst.values())

    @property
    def broken(self) -> tuple[Judgement, ...]:
        """The limits that were not kept."""
        return tuple(judgement for judgement in self.judgements if judgement.broken)

    @cached_property
    def figures(self) -> Mapping[str, Figure]:
        """The worst `ttft`, `total` and `elapsed`."""
        calls = [call for sample in self.samples for call in times_that_count(sample.calls)]
        return {
            "ttft": self._figure("ttft", [(call.ttft, call.streamed) for call in calls]),
            "total": self._figure("total", [(call.total, call.streamed) for call in calls]),
            "elapsed": self._figure("elapsed", [(sample.elapsed, True) for sample in self.samples]),
        }

    def _figure(self, metric: str, readings: Iterable[tuple[float | None, bool]]) -> Figure:
        """Return the worst of these readings: each in seconds, with whether the call was streamed."""
        of_calls = (judgement for judgement in self.judgements if judgement.limit.is_general)
        judgement = next((judgement for judgement in of_calls if judgement.metric == metric), None)
        # a limit that decides for no call stands in a warning, and next to a time it would look as if it judged that
        decides = judgement is not None and judgement.reason != DECIDED_ELSEWHERE
        limit = int(judgement.limit.value) if judgement is not None and decides else None
        broken = judgement is not None and judgement.broken
        measured = [(seconds, streamed) for seconds, streamed in readings if seconds is not None]
        # what never came has no reading, and is worse than any reading of another call
        never_came = judgement is not None and judgement.broken and judgement.measured is None
        if never_came or not measured:
            return Figure(None, limit, broken)
        # of calls for which other limits decide, none stands next to this one
        judged = [
            reading for reading in measured if judgement and duration.nanoseconds(reading[0]) == judgement.measured
        ]
        seconds, streamed = max(judged or measured)
        return Figure(duration.nanoseconds(seconds), limit, broken, streamed=streamed)

    @property
    def limit_verdicts(self) -> list[str]:
        """The verdict on each limit, percentiles and those of blocks and watched outputs included."""
        plain = [judgement.verdict for judgement in (*self.judgements, *(inner.judgement for inner in self.inner))]
        return plain + [verdict.verdict for verdict in self.run_verdicts if verdict.kind == "percentile"]

    @property
    def fails(self) -> bool:
        """Whether it makes the run fail: by a budget, by itself, or against a baseline."""
        return any(sample.fails for sample in self.samples) or any(verdict.fails for verdict in self.run_verdicts)

    @property
    def verdict(self) -> str:
        """One word for the row.

        A test that failed by itself shows its outcome, since its limits were judged on only some of its calls.
        """
        # a broken budget comes first: it is the reason why the test failed, and also makes its outcome "failed"
        verdicts = set(self.limit_verdicts)
        if "broken" in verdicts and self.fails:
            return "broken"
        verdicts.discard("broken")  # the test expects it: with xfail, or around a block
        outcome = next((sample.outcome for sample in self.samples if sample.outcome != "passed"), None)
        if outcome is not None:
            return outcome
        compared = [verdict for verdict in self.run_verdicts if verdict.kind == "comparison"]
        # behind the limits, since a comparison fails a test of its own in the report of pytest
        if failed := [verdict.verdict for verdict in compared if verdict.fails]:
            return failed[0]
        if not verdicts:
            return min((verdict.verdict for verdict in compared), key=_CHANGED_FIRST.index, default="no budget")
        # an open question is shown even if other limits are kept
        for question in ("inconclusive", "not judged"):
            if question in verdicts:
                return question
        return "kept" if "kept" in verdicts else min(verdicts, key=_WORST_FIRST.index)

    @property
    def urgency(self) -> tuple[int, float, str]:
        """A key that sorts the worst test first: by its verdict, then by how much of its tightest limit was used."""
        verdict = self.verdict
        rank = 3 + _CALM.index(verdict) if verdict in _CALM else 0 if verdict == "broken" else 1 if self.fails else 2
        limited = [*self.judgements, *(inner.judgement for inner in self.inner)]
        share = max((judgement.share for judgement in limited), default=0.0)
        # percentiles are broken at the end of the run, with all other facts about them in numbers for programs
        for facts in (verdict.facts for verdict in self.run_verdicts if verdict.kind == "percentile"):
            if facts.get("measured") is not None and facts["limit"]:
                share = max(share, facts["measured"] / facts["limit"])
        return rank, -share, self.nodeid

    @property
    def warnings(self) -> list[str]:
        """What may mislead about this test: its samples' own warnings, and limits that measured nothing."""
        texts = [text for sample in self.samples for text in sample.warnings]
        of_calls = [judgement for judgement in self.judgements if judgement.limit.is_general]
        if of_calls and all(judgement.verdict == "no calls" for judgement in of_calls):
            limits = " ".join(judgement.limit.text() for judgement in of_calls)
            texts.append(f"{limits} promises nothing: {NO_CALL} ({of_calls[0].limit.origin})")
        texts += [
            f"{judgement.limit.text()} promises nothing: {judgement.reason} ({judgement.limit.origin})"
            for judgement in self.judgements
            if judgement.verdict == "not measured"
            or (judgement.verdict == "no calls" and not judgement.limit.is_general)
        ]
        texts += [verdict.headline for verdict in self.run_verdicts if verdict.warns]
        return texts

    @property
    def notes(self) -> list[str]:
        """How long connections took that were opened before the calls, which no time shown contains."""
        # the shortest and the longest: a number for each sample would fill the line
        spans = [sample.connecting for sample in self.samples]
        spent = [duration.nanoseconds(span) for span in spans if span is not None]
        if not spent:
            return []
        least, most = duration.show(min(spent)), duration.show(max(spent))
        took = least if least == most else f"{least} to {most}"
        return [f"connections were opened ahead of the calls, {took} a sample, not counted in any time"]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Everything a report shows."""

    run: Run
    results: tuple[TestResult, ...]
    """By node id and sample."""
    rows: tuple[Row, ...]
    """Of tests as they are written."""
    warnings: tuple[str, ...] = ()
    warnings_once: tuple[str, ...] = ()
    """The same for a terminal: what several parameters of one test share is said once."""
    notes: tuple[str, ...] = ()
    variant_rankings: tuple[VariantRanking, ...] = ()
    """Tests that were tried in variants."""

    @property
    def calls(self) -> int:
        """The number of calls of all samples."""
        return sum(len(sample.calls) for row in self.rows for sample in row.samples)

    @property
    def simulations(self) -> dict[str, Simulation]:
        """What tests measured in their simulated worlds, by node id."""
        return {result.nodeid: result.simulation for result in self.results if result.simulation is not None}

    @property
    def what_if(self) -> dict[str, WhatIf]:
        """What tests would have taken, had the API answered otherwise, by node id."""
        return {result.nodeid: result.what_if for result in self.results if result.what_if is not None}

    @property
    def setup_calls(self) -> int:
        """The number of calls that fixtures made."""
        return sum(len(sample.setup_calls) for row in self.rows for sample in row.samples)

    @property
    def also_failed(self) -> tuple[AlsoFailed, ...]:
        """What made the run fail and has no row."""
        variants = dict.fromkeys(result.nodeid for result in self.results if result.variant and result.fails)
        return (*(AlsoFailed("variant", nodeid) for nodeid in variants), *self.run.also_failed)

    @property
    def fails(self) -> bool:
        """Whether the run failed."""
        return bool(self.also_failed) or any(row.fails for row in self.rows)

    @property
    def verdicts(self) -> Counter[str]:
        """How many limits got each verdict. A limit counts once for all samples of its test."""
        return Counter(verdict for row in self.rows for verdict in row.limit_verdicts)

    @property
    def comparisons(self) -> Counter[str]:
        """How many comparisons with a baseline came to each verdict."""
        verdicts = (verdict for row in self.rows for verdict in row.run_verdicts)
        return Counter(verdict.verdict for verdict in verdicts if verdict.kind == "comparison")

    @property
    def budgets(self) -> int:
        """The number of limits."""
        return self.verdicts.total()


def _goodness(judgement: Judgement) -> tuple[int, float]:
    """Return a key that sorts the judgements of one limit, the worst first."""
    # among samples with the same verdict, the one closest to the limit, or furthest beyond it, is shown
    rank, measured = _WORST_FIRST.index(judgement.verdict), judgement.measured
    if measured is None:
        return rank, -math.inf
    return rank, judgement.limit.value - measured if judgement.at_most else measured


def summarize(results: Iterable[TestResult], run: Run) -> Summary:
    """Return the summary of results that came in any order."""
    ordered = tuple(result for samples in by_test(results).values() for result in samples)
    variants = [result for result in ordered if result.variant]
    rows = tuple(
        Row(
            nodeid=nodeid,
            samples=tuple(samples),
            run_verdicts=tuple(verdict for verdict in run.verdicts if verdict.nodeid == nodeid),
        )
        for nodeid, samples in by_test(result for result in ordered if not result.variant).items()
    )
    # dictionaries keep the order and leave out what is said twice, since all samples of a test may say the same
    warnings = dict.fromkeys((row.nodeid, text) for row in rows for text in row.warnings)
    warnings |= dict.fromkeys((result.nodeid, text) for result in variants for text in result.warnings)
    sharing: dict[tuple[str, str], list[str]] = {}
    for nodeid, text in warnings:
        sharing.setdefault((nodeid.partition("[")[0], text), []).append(nodeid)
    once = (
        f"{first} and {len(others)} more: {text}" if others else f"{first}: {text}"
        for (_, text), (first, *others) in sharing.items()
    )
    notes = dict.fromkeys(f"{result.nodeid}: {text}" for result in ordered for text in result.notes)
    notes |= dict.fromkeys(f"{row.nodeid}: {text}" for row in rows for text in row.notes)
    return Summary(
        run=run,
        results=ordered,
        rows=rows,
        warnings=(*run.warnings, *(f"{nodeid}: {text}" for nodeid, text in warnings)),
        warnings_once=(*run.warnings, *once),
        notes=tuple(notes),
        # What a test takes with a fault in it says nothing about its variants.
        variant_rankings=rank_variants((result for result in ordered if not result.fault), run.rules),
    )

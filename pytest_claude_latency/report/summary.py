"""The summary of a run: a row per test, counts and warnings, as values that every report writes its own way.

A test with several samples is one row and shows its worst sample, since a
limit holds for each of them. Rows stand in the order of their ids: a run
spread over workers finishes in another order every time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.judgement import NO_CALL, Judgement
from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.metrics.series import by_test
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.results.variant_ranking import VariantRanking, rank_variants
from pytest_claude_latency.results.verdict import RunVerdict


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


@dataclass(frozen=True, slots=True)
class Figure:
    """A test's worst measurement of one duration, and the limit on it where there is one."""

    measured: Nanoseconds | None
    limit: Nanoseconds | None
    broken: bool = False
    streamed: bool = True
    """Whether the call measured was; where not, its first token came with its last."""

    @property
    def tightness(self) -> float:
        """The share of the limit that was used, infinite where what never came breaks it; -1 without a limit."""
        if self.limit is None:
            return -1.0
        if self.measured is None:
            return float("inf") if self.broken else 0.0
        return self.measured / self.limit if self.limit else float("inf")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One test: the worst of its samples."""

    nodeid: str
    samples: tuple[TestResult, ...]
    figures: Mapping[str, Figure]
    """`ttft`, `total` and `elapsed`."""
    judgements: tuple[Judgement, ...]
    """For each limit, the judgement of the sample that did worst."""
    verdict: str
    run_verdicts: tuple[RunVerdict, ...] = ()
    """What is known of it only at the end of the run."""

    @property
    def calls(self) -> int:
        """The number of calls; the largest where samples differ."""
        return max(len(sample.calls) for sample in self.samples)

    @property
    def output_tokens(self) -> int:
        """Tokens that the calls of one sample generated together; the most of any sample."""
        return max(sum(call.output_tokens or 0 for call in sample.calls) for sample in self.samples)

    @property
    def broken(self) -> tuple[Judgement, ...]:
        """The limits that were not kept."""
        return tuple(each for each in self.judgements if each.broken)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Everything a report shows."""

    run: Run
    results: tuple[TestResult, ...]
    """By node id and sample."""
    rows: tuple[Row, ...]
    """Of tests as they are written."""
    calls: int
    setup_calls: int
    verdicts: Mapping[str, int] = field(default_factory=dict)
    """How many limits got each verdict, a limit counted once for all samples of its test."""
    comparisons: Counter[str] = field(default_factory=Counter)
    """How many comparisons with a baseline came to each verdict."""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    variant_rankings: tuple[VariantRanking, ...] = ()
    """Tests that were tried in variants."""

    @property
    def budgets(self) -> int:
        """The number of limits."""
        return sum(self.verdicts.values())


def summarize(results: Iterable[TestResult], run: Run) -> Summary:
    """The summary of `results`, in whatever order they came in."""
    ordered = tuple(result for samples in by_test(results).values() for result in samples)
    written = tuple(result for result in ordered if not result.variant)
    rows = tuple(
        _row(nodeid, tuple(samples), tuple(each for each in run.verdicts if each.nodeid == nodeid))
        for nodeid, samples in by_test(written).items()
    )
    return Summary(
        run=run,
        results=ordered,
        rows=rows,
        calls=sum(len(result.calls) for result in written),
        setup_calls=sum(len(result.setup_calls) for result in written),
        verdicts=Counter(verdict for row in rows for verdict in _verdicts(row.judgements, row.run_verdicts)),
        comparisons=Counter(each.verdict for row in rows for each in row.run_verdicts if each.kind == "comparison"),
        warnings=(
            *run.warnings,
            *(text for row in rows for text in _warnings(row)),
            *_said((result for result in ordered if result.variant), "warnings"),
        ),
        notes=(*_said(ordered, "notes"), *(note for row in rows for note in _connecting(row))),
        variant_rankings=rank_variants(ordered, run.rules),
    )


def _row(nodeid: str, samples: tuple[TestResult, ...], run_verdicts: tuple[RunVerdict, ...]) -> Row:
    judgements = _worst_judgements(samples)
    calls = [call for sample in samples for call in sample.calls]
    return Row(
        nodeid=nodeid,
        samples=samples,
        figures={
            "ttft": _figure("ttft", [(call.ttft, call.streamed) for call in calls], judgements),
            "total": _figure("total", [(call.total, call.streamed) for call in calls], judgements),
            "elapsed": _figure("elapsed", [(sample.elapsed, True) for sample in samples], judgements),
        },
        judgements=judgements,
        verdict=_verdict(samples, judgements, run_verdicts),
        run_verdicts=run_verdicts,
    )


_WORST_FIRST: Sequence[str] = ("broken", "inconclusive", "no calls", "kept", "not measured", "not judged")

_CHANGED_FIRST: Sequence[str] = (
    "regression",
    "improvement",
    "too few runs",
    "not compared",
    "new",
    "not judged",
    "unchanged",
)


def _worst_judgements(samples: Sequence[TestResult]) -> tuple[Judgement, ...]:
    """For each limit the worst judgement; a limit that one sample could measure counts as measured."""
    worst: dict[str, Judgement] = {}
    for sample in samples:
        for judgement in sample.judgements if sample.judged else map(_unjudged, sample.judgements):
            key = judgement.limit.text()
            worst[key] = min(worst.get(key, judgement), judgement, key=_badness)
    return tuple(worst.values())


def _unjudged(judgement: Judgement) -> Judgement:
    return Judgement(judgement.limit, None, None, 0, "not judged")


def _badness(judgement: Judgement) -> tuple[int, float]:
    """Smallest for the worst."""
    measured = judgement.measured
    if measured is None:
        return _WORST_FIRST.index(judgement.verdict), float("-inf")
    return _WORST_FIRST.index(judgement.verdict), judgement.limit.value - measured if judgement.at_most else measured


def _figure(metric: str, found: Iterable[tuple[float | None, bool]], judgements: Iterable[Judgement]) -> Figure:
    """The worst of `found`: seconds, and whether it was streamed."""
    judged = next((each for each in judgements if each.metric == metric), None)
    limit = None if judged is None else int(judged.limit.value)
    if judged is not None and judged.broken and judged.measured is None:
        return Figure(None, limit, broken=True)
    broken = judged is not None and judged.broken
    worst = max(((seconds, streamed) for seconds, streamed in found if seconds is not None), default=None)
    if worst is None:
        return Figure(None, limit, broken)
    return Figure(duration.nanoseconds(worst[0]), limit, broken, streamed=worst[1])


def _verdicts(judgements: Sequence[Judgement], run_verdicts: Sequence[RunVerdict]) -> list[str]:
    """What became of each limit on a test."""
    return [each.verdict for each in judgements] + [each.verdict for each in run_verdicts if each.kind == "percentile"]


def _verdict(samples: Sequence[TestResult], judgements: Sequence[Judgement], run_verdicts: Sequence[RunVerdict]) -> str:
    """One word for the row: a test that failed by itself says so, since its limits saw only part of its calls."""
    verdicts = set(_verdicts(judgements, run_verdicts))
    if "broken" in verdicts:
        return "broken"
    outcome = next((sample.outcome for sample in samples if sample.outcome != "passed"), None)
    if outcome is not None:
        return outcome
    compared = [run_verdict for run_verdict in run_verdicts if run_verdict.kind == "comparison"]
    if failed := [run_verdict.verdict for run_verdict in compared if run_verdict.fails]:
        return failed[0]
    if not verdicts:
        return min((each.verdict for each in compared), key=_CHANGED_FIRST.index, default="no budget")
    if "inconclusive" in verdicts:
        return "inconclusive"
    return "kept" if "kept" in verdicts else min(verdicts, key=_WORST_FIRST.index)


def _warnings(row: Row) -> list[str]:
    said = list(_said(row.samples, "warnings"))
    if row.judgements and all(judgement.verdict == "no calls" for judgement in row.judgements):
        limits = " ".join(judgement.limit.text() for judgement in row.judgements)
        said.append(f"{row.nodeid}: {limits} promises nothing: {NO_CALL} ({row.judgements[0].origin})")
    said += [
        f"{row.nodeid}: {judgement.limit.text()} promises nothing: {judgement.reason} ({judgement.origin})"
        for judgement in row.judgements
        if judgement.verdict == "not measured"
    ]
    said += [f"{row.nodeid}: {each.headline}" for each in row.run_verdicts if each.warns]
    return said


def _connecting(row: Row) -> list[str]:
    """What it took to open connections ahead of the calls, which is in none of the times shown."""
    spent = [sample.connecting for sample in row.samples if sample.connecting is not None]
    if not spent:
        return []
    least, most = (duration.show(duration.nanoseconds(each)) for each in (min(spent), max(spent)))
    took = least if least == most else f"{least} to {most}"
    return [f"{row.nodeid}: connections were opened ahead of the calls, {took} a sample, not counted in any time"]


def _said(results: Iterable[TestResult], name: str) -> tuple[str, ...]:
    """What results carry under `name`, each with its test, once for all samples."""
    return tuple(dict.fromkeys(f"{result.nodeid}: {text}" for result in results for text in getattr(result, name)))

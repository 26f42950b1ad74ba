"""What a run concludes from requests that were measured side by side.

Both were sent in one session, alternately, so a call whose recorded request was faster became slower by what is asked
now, and the run fails. All comparisons are judged together, since each counts against the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from pytest_claude_latency import duration
from pytest_claude_latency.ab.pairs import Arm, Arms, NotCompared
from pytest_claude_latency.comparison import condition_changes
from pytest_claude_latency.comparison.comparison import Comparison, Pair, Rules, judge
from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.metrics.sample import NEVER, Sample
from pytest_claude_latency.metrics.series import Series
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.results.verdict import RunVerdict

_COMPARED = ("ttft", "total")
_STRICTLY = "  (--latency-strict)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One call of a test, or (`number` None) all of them, over all samples."""

    nodeid: str
    number: int | None
    alone: bool
    """Whether the test makes no other."""
    recording: str
    pairs: tuple[Arms, ...]
    obstacles: tuple[NotCompared, ...]

    @property
    def name(self) -> str:
        return "ab" if self.alone or self.number is None else f"ab call {self.number}"

    @property
    def compared(self) -> list[Arms]:
        return [pair for pair in self.pairs if pair.failure is None]

    @property
    def left_out(self) -> list[str]:
        """What became of the samples that the verdict does not rest on, in words."""
        of = len(self.pairs) + len(self.obstacles)
        reasons = [why for pair in self.pairs if (why := pair.failure)] + [each.reason for each in self.obstacles]
        return [f"{reasons.count(reason)} of {of} pairs left out: {reason}" for reason in dict.fromkeys(reasons)]


def on_pairs(results: Iterable[TestResult], rules: Rules | None = None, *, strict: bool) -> list[RunVerdict]:
    """The verdicts on each call that was measured side by side, and what was not compared, by the tests' ids.

    Too few samples for a verdict, and a call that has no recorded one yet, warn, and fail under `strict`.
    """
    calls = list(_calls(results))
    pairs = [(call, place == 0, pair) for call in calls for place, pair in enumerate(_comparable(call))]
    judged = judge([pair for *_, pair in pairs], rules)
    found = [_judged(call, first, each, strict) for (call, first, _), each in zip(pairs, judged, strict=True)]
    compared = {(call.nodeid, call.number) for call, *_ in pairs}
    found += [_not_compared(call, strict) for call in calls if (call.nodeid, call.number) not in compared]
    return sorted(found, key=lambda each: (each.nodeid, each.facts["call"] or 0))


def _calls(results: Iterable[TestResult]) -> Iterator[_Call]:
    ordered = sorted(results, key=lambda result: (result.nodeid, result.sample))
    for nodeid, samples in groupby(ordered, key=lambda result: result.nodeid):
        found = [sample.side_by_side for sample in samples if sample.side_by_side is not None]
        alone = all(each.calls == 1 for each in found)
        pairs = [pair for each in found for pair in each.pairs]
        obstacles = [obstacle for each in found for obstacle in each.not_compared]
        numbers = {pair.number for pair in pairs} | {obstacle.number for obstacle in obstacles}
        for number in sorted(numbers, key=lambda number: number or 0):
            yield _Call(
                nodeid=nodeid,
                number=number,
                alone=alone,
                recording=found[0].recording,
                pairs=tuple(pair for pair in pairs if pair.number == number),
                obstacles=tuple(obstacle for obstacle in obstacles if obstacle.number == number),
            )


def _comparable(call: _Call) -> Iterator[Pair]:
    before = _series(call, [pair.recorded for pair in call.compared])
    after = _series(call, [pair.current for pair in call.compared])
    notes = condition_changes.differences(before, after)
    for metric in _COMPARED:
        old, new = _readings(before, metric), _readings(after, metric)
        if old and new and {*old, *new} != {NEVER}:
            yield Pair(call.nodeid, metric, old, new, notes)


def _series(call: _Call, arms: Sequence[Arm]) -> Series:
    samples = (
        Sample(number=number, calls=(arm.call,), conditions=(arm.conditions,)) for number, arm in enumerate(arms, 1)
    )
    return Series(nodeid=call.nodeid, mode="live", clock="real", samples=tuple(samples))


def _readings(series: Series, metric: str) -> tuple[float, ...]:
    found = (sample.reading(METRICS[metric]) for sample in series.samples)
    return tuple(value for value in found if value is not None)


def _judged(call: _Call, first: bool, comparison: Comparison, strict: bool) -> RunVerdict:
    """The verdict on one metric; `first` of its call's: what all of them lack is warned of once."""
    open_ = comparison.verdict == "too few runs"
    headline = "; ".join([f"{call.name}: {comparison.headline()}", *call.left_out])
    _, after = comparison.typical
    return RunVerdict(
        nodeid=call.nodeid,
        about=f"{call.name} {comparison.metric}",
        kind="comparison",
        verdict=comparison.verdict,
        headline=headline,
        message="\n".join([comparison.message(), *_facts(call), *([_STRICTLY] if open_ else [])]),
        notes=comparison.notes if first else (),
        fails=comparison.verdict == "regression" or (strict and open_),
        warns=open_ and first,
        shown=first or not open_,
        value=None if after == NEVER else round(duration.seconds(int(after)), 6),
        facts={"kind": "ab", "call": call.number} | comparison.as_json() | {"left_out": call.left_out},
    )


def _facts(call: _Call) -> Iterator[str]:
    yield f"  {'compared':<10}the recorded request with the one made now, sent alternately (--latency-ab)"
    yield f"  {'recording':<10}{call.recording}"
    for place, text in enumerate(call.left_out):
        yield f"  {'' if place else 'left out':<10}{text}"


def _not_compared(call: _Call, strict: bool) -> RunVerdict:
    reasons = dict.fromkeys([each.reason for each in call.obstacles] + [pair.failure for pair in call.pairs])
    reason = "; ".join(each for each in reasons if each)
    which = "nothing" if call.number is None else "its call" if call.alone else f"call {call.number}"
    headline = f"{which} is {'' if call.number is None else 'not '}compared: {reason}"
    missing = bool(call.pairs) or any(each.mendable for each in call.obstacles)
    return RunVerdict(
        nodeid=call.nodeid,
        about=call.name,
        kind="comparison",
        verdict="not compared",
        headline=headline,
        message=f"{headline}\n  {'recording':<10}{call.recording}\n{_STRICTLY}",
        fails=strict and missing,
        warns=missing,
        facts={"kind": "ab", "call": call.number, "reason": reason},
    )

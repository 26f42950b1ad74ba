"""A/B verdicts: what a run concludes from pairs of a recorded request and a current one.

Both requests of a pair were sent in one session, alternately. A call whose recorded request was faster therefore became
slower because of what it asks now, and the run fails. All comparisons are judged together, since each one raises the
chance that some comparison looks like a change when nothing changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from pytest_claude_latency.comparison.comparison import Comparison
from pytest_claude_latency.comparison.condition_changes import condition_changes
from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.comparison.statistical import Pair, judge_all
from pytest_claude_latency.metrics.metric import METRICS, json_number
from pytest_claude_latency.metrics.prompt_cache import Cache, cache_of
from pytest_claude_latency.metrics.sample import NEVER, Sample
from pytest_claude_latency.metrics.series import Series, by_test
from pytest_claude_latency.results.ab_pairs import ABPair, MeasuredRequest, NotCompared
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.results.verdict import RunVerdict

# What a user waits for: the first token, and the whole answer.
_COMPARED = ("ttft", "total")
_FEWEST_PAIRS: Final = 4
"""A smaller group with fewer pairs than this, or than half of the largest one, is only counted."""
_OTHER_CACHE: Final = "{recorded} for the recorded request, {current} for the current one"
_STRICT: Final = "  (--latency-strict)"
_HOW: Final = "the recorded request with the one made now, sent alternately (--latency-ab)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One call of a test over all its samples; with `number` None, all calls of the test."""

    nodeid: str
    number: int | None
    is_only_call: bool
    recording: str
    pairs: tuple[ABPair, ...]
    obstacles: tuple[NotCompared, ...]
    cache: Cache | None = None
    """The state of the prompt cache in these pairs, where other pairs of the call met another."""

    @property
    def name(self) -> str:
        name = "ab" if self.is_only_call or self.number is None else f"ab call {self.number}"
        return name if self.cache is None else f"{name} ({self.cache})"

    @property
    def left_out(self) -> list[str]:
        """How many pairs the verdict does not rest on, a line for each reason."""
        # A dictionary keeps the reasons in the order they came up.
        total = len(self.pairs) + len(self.obstacles)
        reasons = [failure for pair in self.pairs if (failure := pair.failure)]
        reasons += [obstacle.reason for obstacle in self.obstacles]
        return [f"{reasons.count(reason)} of {total} pairs left out: {reason}" for reason in dict.fromkeys(reasons)]

    def comparable(self) -> Iterator[Pair]:
        """Yield the readings of each compared metric, before and after, from the pairs without an error."""
        pairs = [pair for pair in self.pairs if pair.failure is None]
        before = self._series(pair.recorded for pair in pairs)
        after = self._series(pair.current for pair in pairs)
        notes = condition_changes(before, after)
        for metric in _COMPARED:
            old, new = _readings(before, metric), _readings(after, metric)
            # where no request of either side got a token there is no such time to compare
            if old and new and {*old, *new} != {NEVER}:
                yield Pair(self.nodeid, metric, old, new, notes)

    def kept_apart(self) -> Iterator[_Call]:
        """Yield the call once for each state of the prompt cache in which both requests of enough pairs were answered.

        Pairs with a cold cache are another comparison than pairs with a warm one. A pair in which the two differ
        compares nothing, unless all do: then the difference belongs to what is asked.
        """
        answered = [pair for pair in self.pairs if pair.failure is None]
        states: dict[tuple[Cache, Cache], list[ABPair]] = {}
        for pair in answered:
            states.setdefault((cache_of([pair.recorded.call]), cache_of([pair.current.call])), []).append(pair)
        if len(states) < 2:
            yield self
            return
        # Both cached or both cold; where one side does not use the cache at all, that is the change itself.
        fair = {state: pairs for state, pairs in states.items() if state[0] == state[1] or "no cache" in state}
        largest = max(fair.values(), key=len, default=[])
        fewest = max(_FEWEST_PAIRS, len(largest) / 2)
        judged = {state: pairs for state, pairs in fair.items() if pairs is largest or len(pairs) >= fewest}
        left_out = tuple(
            NotCompared(self.number, _OTHER_CACHE.format(recorded=state[0], current=state[1]))
            for state, pairs in states.items()
            if state not in judged
            for _ in pairs
        )
        failed = tuple(pair for pair in self.pairs if pair.failure is not None)
        for state, pairs in judged.items():
            # What is left out is told once, with the largest group.
            rest, obstacles = (failed, self.obstacles + left_out) if pairs is largest else ((), ())
            cache = state[0] if state[0] == state[1] else next(cache for cache in state if cache != "no cache")
            yield replace(self, pairs=(*pairs, *rest), obstacles=obstacles, cache=cache)
        if not judged:
            yield replace(self, pairs=failed, obstacles=self.obstacles + left_out)

    def _series(self, requests: Iterable[MeasuredRequest]) -> Series:
        samples = (
            Sample(number=number, calls=(request.call,), conditions=(request.conditions,))
            for number, request in enumerate(requests, 1)
        )
        return Series(nodeid=self.nodeid, mode="live", clock="real", samples=tuple(samples))


def on_pairs(results: Iterable[TestResult], rules: Rules | None = None, *, strict: bool) -> list[RunVerdict]:
    """Return the verdicts on each call that was measured in pairs, and on each that was not compared, by test id.

    A call with too few samples for a verdict, or with no recorded request yet, warns; under `strict` it fails.
    """
    calls = []
    for nodeid, results_of_test in by_test(results).items():
        samples = [result.ab_sample for result in results_of_test if result.ab_sample is not None]
        measured = [pair for sample in samples for pair in sample.pairs]
        obstacles = [obstacle for sample in samples for obstacle in sample.not_compared]
        # over all samples: a call that one sample compared, another may have left out
        numbers = {pair.number for pair in measured} | {obstacle.number for obstacle in obstacles}
        calls += [
            _Call(
                nodeid=nodeid,
                number=number,
                is_only_call=all(sample.calls == 1 for sample in samples),
                recording=samples[0].recording,
                pairs=tuple(pair for pair in measured if pair.number == number),
                obstacles=tuple(obstacle for obstacle in obstacles if obstacle.number == number),
            )
            for number in sorted(numbers, key=lambda number: number or 0)
        ]
    calls = [group for call in calls for group in call.kept_apart()]
    # all at once, since the more comparisons there are, the stronger each must be
    pairs = [(call, place == 0, pair) for call in calls for place, pair in enumerate(call.comparable())]
    comparisons = judge_all([pair for *_, pair in pairs], rules)
    verdicts = [
        _judged(call, comparison, strict=strict, is_first=is_first)
        for (call, is_first, _), comparison in zip(pairs, comparisons, strict=True)
    ]
    compared = {(call.nodeid, call.number) for call, *_ in pairs}
    verdicts += [_not_compared(call, strict=strict) for call in calls if (call.nodeid, call.number) not in compared]
    return sorted(verdicts, key=lambda verdict: (verdict.nodeid, verdict.facts["call"] or 0))


def _readings(series: Series, metric: str) -> tuple[float, ...]:
    readings = (sample.reading(METRICS[metric]) for sample in series.samples)
    return tuple(reading for reading in readings if reading is not None)


def _judged(call: _Call, comparison: Comparison, *, strict: bool, is_first: bool) -> RunVerdict:
    """Return the verdict on one metric. What holds for all metrics of a call goes with the first of them."""
    undecided = comparison.verdict == "too few runs"  # more samples decide it, so it warns and does not fail
    left_out, cache = call.left_out, {} if call.cache is None else {"prompt_cache": call.cache}
    lines = [comparison.message(), f"  {'compared':<10}{_HOW}", f"  {'recording':<10}{call.recording}"]
    lines += [f"  {'' if place else 'left out':<10}{text}" for place, text in enumerate(left_out)]
    return RunVerdict(
        nodeid=call.nodeid,
        about=f"{call.name} {comparison.metric}",
        kind="comparison",
        verdict=comparison.verdict,
        headline="; ".join([f"{call.name}: {comparison.headline()}", *left_out]),
        message="\n".join([*lines, _STRICT] if undecided else lines),
        notes=comparison.notes if is_first else (),
        fails=comparison.verdict == "regression" or (strict and undecided),
        warns=undecided and is_first,
        shown=is_first or not undecided,  # one line tells of a call that more samples are needed
        value=json_number(METRICS[comparison.metric], comparison.typical[1]),
        facts={"kind": "ab", "call": call.number} | comparison.as_json() | {"left_out": left_out} | cache,
    )


def _not_compared(call: _Call, *, strict: bool) -> RunVerdict:
    reasons = [obstacle.reason for obstacle in call.obstacles]
    reasons += [failure for pair in call.pairs if (failure := pair.failure)]
    reason = "; ".join(dict.fromkeys(reasons))
    if call.number is None:
        headline = f"nothing is compared: {reason}"
    else:
        headline = f"{'its call' if call.is_only_call else f'call {call.number}'} is not compared: {reason}"
    # What recording the test again would mend is like a missing baseline. Pairs that broke off can be measured again.
    missing = bool(call.pairs) or any(obstacle.mendable for obstacle in call.obstacles)
    return RunVerdict(
        nodeid=call.nodeid,
        about=call.name,
        kind="comparison",
        verdict="not compared",
        headline=headline,
        message=f"{headline}\n  {'recording':<10}{call.recording}\n{_STRICT}",
        fails=strict and missing,
        warns=missing,
        facts={"kind": "ab", "call": call.number, "reason": reason},
    )

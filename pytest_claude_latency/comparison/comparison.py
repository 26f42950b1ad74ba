"""Comparisons: one test measured before and now, and whether it became slower.

Two replays in virtual time differ only if the program or its recordings do, so any change there is
real. Everything else is noisy: a verdict then takes evidence that holds up among all comparisons of
the run, and a change large enough to matter; with too few samples for that, there is none. A mean is
never compared: one stalled answer would decide it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from pytest_claude_latency import duration
from pytest_claude_latency.comparison import condition_changes, mann_whitney
from pytest_claude_latency.comparison.call_changes import beyond, call_changes
from pytest_claude_latency.duration import MILLISECOND, Nanoseconds
from pytest_claude_latency.errors import LatencyError, LimitError
from pytest_claude_latency.metrics.metric import METRICS, Metric, show
from pytest_claude_latency.metrics.percentiles import LEVEL, percentile
from pytest_claude_latency.metrics.sample import NEVER, Sample
from pytest_claude_latency.metrics.series import Series, refuse_other_kind
from pytest_claude_latency.plurals import number_of

Verdict: TypeAlias = Literal["regression", "improvement", "unchanged", "too few runs"]

MEASURED = ("ttft", "total", "elapsed")
"""What is compared where it was measured."""
EXACT = (*MEASURED, "calls", "prompt_tokens", "output_tokens")
"""What is compared where it is exact; tokens are those of all calls of a test together."""
_EXAMPLES = {"tolerance": "0.05 for 5 %", "min_ratio": "1.2 for a fifth"}
_ROUNDING = 1e-9  # a ratio of 1.1 counts as one, though it went through logarithms


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How much must change to count.

    `tolerance` is a share of what was, for exact comparisons. `min_ratio` and `min_shift` (nanoseconds) are for
    statistical ones, both ways: with a ratio of 1.10, an improvement is a tenth faster.

    Raises:
        LimitError: a value is negative, infinite or NaN, or the ratio is below 1.
    """

    tolerance: float = 0
    min_ratio: float = 1.10
    min_shift: Nanoseconds = 25 * MILLISECOND

    def __post_init__(self) -> None:
        for name, value, least in (
            ("tolerance", self.tolerance, 0),
            ("smallest ratio", self.min_ratio, 1),
            ("smallest shift", self.min_shift, 0),
        ):
            if not least <= value < math.inf:  # false for NaN too
                raise LimitError(f"{value!r} is no {name}; accepted: a number of at least {least}")

    def replaced(self, name: str, text: str) -> Rules:
        """These rules with one of them as a user wrote it: `("min_shift", "50ms")`, `("min_ratio", "1.2")`.

        Raises:
            LimitError: the text is not understood.
        """
        if name == "min_shift":
            return replace(self, min_shift=duration.parse(text))
        try:
            value = float(text)
        except ValueError:
            raise LimitError(f"{text!r} is not understood; accepted: a number, for example {_EXAMPLES[name]}") from None
        return replace(self, tolerance=value) if name == "tolerance" else replace(self, min_ratio=value)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the ranks of two sets of samples say.

    `ratio` and `shift` (nanoseconds) are how much larger the later ones are; `interval` holds the ratios that are not
    excluded at 95 %. `p` is how often chance alone gives as much in that direction, `adjusted` the same for one among
    all comparisons of the run.
    """

    ratio: float
    interval: mann_whitney.Interval
    shift: float
    p: float
    adjusted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One metric of one test, before and now.

    Readings are in the order of the samples, in nanoseconds or counts; where the comparison is exact, those of the
    same sample stand at the same place. `evidence` is None there. `needs` is how many samples a side would allow a
    verdict; None where there is one. `notes` say what else changed: what happened to the calls, other conditions.
    """

    nodeid: str
    metric: str
    verdict: Verdict
    before: tuple[float, ...]
    after: tuple[float, ...]
    evidence: Evidence | None = None
    needs: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether any change is real."""
        return self.evidence is None

    @property
    def typical(self) -> tuple[float, float]:
        """The readings that stand for the two sides: medians that were measured; exactly, the two that decided."""
        if self.exact:
            pairs = list(zip(self.before, self.after, strict=True))
            worse = [(old, new) for old, new in pairs if METRICS[self.metric].worse(new, old)]
            return max(worse if self.verdict == "regression" else pairs, key=lambda pair: _change(*pair))
        half = Fraction(1, 2)
        return percentile(self.before, half), percentile(self.after, half)

    @property
    def shown(self) -> tuple[str, str]:
        """`typical` for people: `("410ms", "520ms")`."""
        return _shown(METRICS[self.metric], *self.typical)

    def grounds(self) -> str:
        """What the verdict rests on: `"exact"`, or the ranks and how many samples they are of."""
        if self.evidence is None:
            return "exact"
        if self.verdict == "too few runs":
            return f"{self._sides()}; {self.needs} would do"
        return f"{_told(self.evidence)}, {self._sides()}"

    def headline(self) -> str:
        """The verdict in one line: `"ttft slowed from 410ms to 520ms: ratio 1.27 (95 %: 1.15 to 1.40), …"`."""
        before, after = self.shown
        if self.verdict == "too few runs":
            return f"{self.metric}: too few runs ({self._sides()}); {self.needs} would do"
        if self.verdict == "unchanged":
            text = f"{self.metric} is unchanged: {after}, was {before}"
        else:
            text = f"{self.metric} {self._verb()} from {before} to {after}"
        return text if self.exact else f"{text}: {self.grounds()}"

    def message(self) -> str:
        """What a regression fails with: the headline, and what else changed."""
        notes = [f"  {'' if place else 'changed':<10}{note}" for place, note in enumerate(self.notes)]
        return "\n".join([self.headline(), *notes])

    def as_json(self) -> dict[str, Any]:
        """The comparison as JSON values, durations in seconds to the microsecond, what never came null."""
        before, after = (_plain(METRICS[self.metric], value) for value in self.typical)
        facts: dict[str, Any] = {
            "metric": self.metric,
            "verdict": self.verdict,
            "exact": self.exact,
            "before": before,
            "after": after,
            "samples_before": len(self.before),
            "samples_after": len(self.after),
            "needs": self.needs,
            "notes": list(self.notes),
        }
        if (found := self.evidence) is not None:
            facts |= {"ratio": _finite(found.ratio), "interval": [_finite(bound) for bound in found.interval]}
            facts |= {"shift": _plain(METRICS["total"], found.shift), "p": found.p, "adjusted_p": found.adjusted}
        return facts

    def _sides(self) -> str:
        return f"{number_of(len(self.before), 'sample')} before, {len(self.after)} now"

    def _verb(self) -> str:
        worse = self.verdict == "regression"
        if METRICS[self.metric].kind == "duration":
            return "slowed" if worse else "sped up"
        return "rose" if worse else "fell"


def compare(
    before: Mapping[str, Series], after: Mapping[str, Series], rules: Rules | None = None
) -> tuple[Comparison, ...]:
    """Compare every test that both sides hold, by node id; exactly where it was replayed in virtual time.

    Raises:
        LatencyError: a test was measured in another way before: a replay and a live run are never compared.
    """
    rules = rules or Rules()
    exact: list[Comparison] = []
    measured: list[Pair] = []
    for nodeid in sorted(before.keys() & after.keys()):
        old, new = before[nodeid], after[nodeid]
        refuse_other_kind(old, new)
        if new.exact:
            exact.extend(_exact(old, new, rules))
        else:
            measured.extend(_pairs(old, new))
    return tuple(sorted([*exact, *judge(measured, rules)], key=lambda each: (each.nodeid, EXACT.index(each.metric))))


# ── exact ──


def _exact(before: Series, after: Series, rules: Rules) -> Iterator[Comparison]:
    tolerance = Decimal(repr(rules.tolerance))
    earlier = {sample.number: sample for sample in before.samples}
    pairs = [(earlier[sample.number], sample) for sample in after.samples if sample.number in earlier]
    notes = [(old, change.text) for old, new in pairs for change in call_changes(old, new, tolerance)]
    said = tuple(text if len(pairs) == 1 else f"sample {old.number}: {text}" for old, text in notes)
    for metric in EXACT:
        found = [(reading(old, metric), reading(new, metric)) for old, new in pairs]
        known = [(old, new) for old, new in found if old is not None and new is not None]
        if known:
            old, new = zip(*known, strict=True)
            verdict = _exact_verdict(METRICS[metric], known, tolerance)
            yield Comparison(nodeid=after.nodeid, metric=metric, verdict=verdict, before=old, after=new, notes=said)


def _exact_verdict(metric: Metric, pairs: Iterable[tuple[float, float]], tolerance: Decimal) -> Verdict:
    changed = [(old, new) for old, new in pairs if beyond(old, new, tolerance)]
    if any(metric.worse(new, old) for old, new in changed):
        return "regression"
    return "improvement" if changed else "unchanged"


def reading(sample: Sample, metric: str) -> float | None:
    """What a sample says of one of `EXACT`: nanoseconds or a count, `NEVER` where what was awaited did not come.

    None where there was nothing to measure. Calls that the program itself gave up, a hedge say, promise no moment.
    """
    if metric == "calls":
        return len(sample.calls)
    if metric == "elapsed":
        return sample.elapsed
    values = [getattr(call, metric) for call in sample.calls]
    if METRICS[metric].kind == "count":
        known = [value for value in values if value is not None]
        return sum(known) if known else None
    kept = [call for call, value in zip(sample.calls, values, strict=True) if value is not None or call.closed is None]
    return replace(sample, calls=tuple(kept)).reading(METRICS[metric])


# ── statistical ──


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sets of readings of one metric, to be compared.

    Raises:
        LatencyError: a side is empty, or holds NaN.
    """

    nodeid: str
    metric: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.before or not self.after:
            raise LatencyError(f"{self.nodeid}: {self.metric} needs at least one sample a side to be compared")
        if any(math.isnan(value) for value in (*self.before, *self.after)):
            raise LatencyError(f"{self.nodeid}: NaN is no measurement of {self.metric}, it cannot be compared")


def judge(pairs: Sequence[Pair], rules: Rules | None = None) -> tuple[Comparison, ...]:
    """The verdicts on all statistical comparisons of a run at once, since each counts against the others."""
    slower = [mann_whitney.larger(pair.before, pair.after) for pair in pairs]
    faster = [mann_whitney.larger(pair.after, pair.before) for pair in pairs]
    sides = zip(pairs, slower, faster, mann_whitney.adjusted(slower), mann_whitney.adjusted(faster), strict=True)
    return tuple(_judged(*side, many=len(pairs), rules=rules or Rules()) for side in sides)


def _judged(
    pair: Pair, slower: float, faster: float, slower_of_all: float, faster_of_all: float, *, many: int, rules: Rules
) -> Comparison:
    before, after = pair.before, pair.after
    shift, ratio = mann_whitney.shift(before, after), mann_whitney.ratio(before, after)
    least = rules.min_ratio * (1 - _ROUNDING)
    verdict: Verdict = "unchanged"
    if not _enough(len(before), len(after), many):
        verdict = "too few runs"
    elif slower_of_all < LEVEL and ratio >= least and shift >= rules.min_shift:
        verdict = "regression"
    elif faster_of_all < LEVEL and ratio <= 1 / least and -shift >= rules.min_shift:
        verdict = "improvement"
    chance = (slower, slower_of_all) if shift >= 0 else (faster, faster_of_all)
    return Comparison(
        nodeid=pair.nodeid,
        metric=pair.metric,
        verdict=verdict,
        before=before,
        after=after,
        evidence=Evidence(ratio, mann_whitney.ratio_interval(before, after), shift, *chance),
        needs=needed(many, len(before), len(after)) if verdict == "too few runs" else None,
        notes=pair.notes,
    )


def _pairs(before: Series, after: Series) -> Iterator[Pair]:
    notes = condition_changes.differences(before, after)
    for metric in MEASURED:
        old, new = _readings(before, metric), _readings(after, metric)
        if old and new:
            yield Pair(after.nodeid, metric, old, new, notes)


def _readings(series: Series, metric: str) -> tuple[float, ...]:
    return tuple(value for sample in series.samples if (value := reading(sample, metric)) is not None)


def needed(comparisons: int, before: int = 0, after: int = 0) -> int:
    """How many samples a side allow verdicts in a run of so many comparisons, where some are there already."""
    enough = 1
    while not _enough(max(enough, before), max(enough, after), comparisons):
        enough += 1
    return enough


def _enough(before: int, after: int, comparisons: int) -> bool:
    """Whether the clearest evidence that so many samples can give would hold up among all comparisons of the run."""
    return mann_whitney.rarest(before, after) * comparisons < LEVEL


# ── showing ──


def _change(before: float, after: float) -> float:
    """The size of a change as a factor, either way."""
    if before == after:
        return 1.0
    low, high = sorted((before, after))
    return high / low if 0 < low < NEVER else math.inf


def _shown(metric: Metric, before: float, after: float) -> tuple[str, str]:
    """Two values for people, with all their digits where rounding would make them look the same."""
    texts = _show(metric, before), _show(metric, after)
    if before == after or texts[0] != texts[1] or metric.kind != "duration":
        return texts
    return duration.exact(int(before)), duration.exact(int(after))


def _show(metric: Metric, value: float) -> str:
    return f"never ({metric.absent})" if value == NEVER else show(metric, value)


def _told(evidence: Evidence) -> str:
    low, high = evidence.interval
    bounds = f"{low:.2f} to {high:.2f}" if low > 0 and high < math.inf else "no bounds"
    return f"ratio {evidence.ratio:.2f} (95 %: {bounds}), adjusted p {evidence.adjusted:.2g}"


def _plain(metric: Metric, value: float) -> float | None:
    if abs(value) == math.inf:
        return None
    return round(duration.seconds(round(value)), 6) if metric.kind == "duration" else value


def _finite(value: float) -> float | None:
    return None if value == math.inf else value

"""A comparison: one metric of one test before and now, and whether the test became slower."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from pytest_claude_latency import duration
from pytest_claude_latency.comparison.mann_whitney import Interval
from pytest_claude_latency.metrics.metric import METRICS, Metric, json_number, show
from pytest_claude_latency.metrics.percentiles import percentile
from pytest_claude_latency.metrics.sample import NEVER
from pytest_claude_latency.plurals import number_of

Verdict: TypeAlias = Literal["regression", "improvement", "unchanged", "too few runs"]

_VERBS = {
    ("regression", True): "slowed",
    ("improvement", True): "sped up",
    ("regression", False): "rose",
    ("improvement", False): "fell",
}
"""What became of a metric, by verdict and by whether it is a duration."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the ranks of two sets of samples show.

    `ratio` and `shift` (nanoseconds) are how much larger the later ones are; `interval` holds the ratios that are not
    excluded at 95 %. `p` is how often chance alone gives as much in that direction; `adjusted` is the same for one
    among all comparisons of the run.
    """

    ratio: float
    interval: Interval
    shift: float
    p: float
    adjusted: float

    def text(self) -> str:
        """Return one line: `ratio 1.27 (95 %: 1.15 to 1.40), adjusted p 0.0012`."""
        low, high = self.interval
        bounds = f"{low:.2f} to {high:.2f}" if low > 0 and high < math.inf else "no bounds"
        return f"ratio {self.ratio:.2f} (95 %: {bounds}), adjusted p {self.adjusted:.2g}"

    def as_json(self) -> dict[str, Any]:
        """Return the evidence in JSON types, `shift` in seconds, null for what is infinite."""
        return {
            "ratio": _finite(self.ratio),
            "interval": [_finite(bound) for bound in self.interval],
            "shift": json_number(METRICS["total"], self.shift),
            "p": self.p,
            "adjusted_p": self.adjusted,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One metric of one test, before and now.

    Readings are in the order of the samples, in nanoseconds or counts. In an exact comparison, readings at the same
    place are of the same sample, and `evidence` is None. `needs` is how many samples a side would allow a verdict;
    None where there is one. `notes` name what else changed: the calls, or the conditions they were made under.
    """

    nodeid: str
    metric: str
    verdict: Verdict
    before: tuple[float, ...]
    after: tuple[float, ...]
    evidence: Evidence | None = None
    needs: int | None = None
    notes: tuple[str, ...] = ()
    unit: str = "sample"
    """What each reading is of."""

    @property
    def exact(self) -> bool:
        """Whether any change is real."""
        return self.evidence is None

    @property
    def typical(self) -> tuple[float, float]:
        """The readings that stand for the two sides.

        In a statistical comparison the medians, as values that were measured. In an exact one the pair of readings
        with the largest change; in a regression, the largest one for the worse.
        """
        if not self.exact:
            # nearest rank: a median that was measured, never the mean of two
            half = Fraction(1, 2)
            return percentile(self.before, half), percentile(self.after, half)
        pairs = list(zip(self.before, self.after, strict=True))
        if self.verdict == "regression":
            pairs = [(old, new) for old, new in pairs if METRICS[self.metric].worse(new, old)]
        return max(pairs, key=lambda pair: _factor(*pair))

    @property
    def shown(self) -> tuple[str, str]:
        """`typical` as text: `("410ms", "520ms")`; with more digits where rounding would make the two look the same."""
        metric, (before, after) = METRICS[self.metric], self.typical
        if metric.kind == "duration" and NEVER not in (before, after):
            return duration.told_apart(int(before), int(after))
        return _show(metric, before), _show(metric, after)

    def grounds(self) -> str:
        """Return what the verdict rests on: `"exact"`, or the evidence and the numbers of samples."""
        samples = f"{number_of(len(self.before), self.unit)} before, {len(self.after)} now"
        if self.evidence is None:
            return "exact"
        if self.verdict == "too few runs":
            return f"{samples}; {self.needs} a side are needed"
        return f"{self.evidence.text()}, {samples}"

    def headline(self) -> str:
        """Return the verdict in one line: `"ttft slowed from 410ms to 520ms: ratio 1.27 (95 %: 1.15 to 1.40), …"`."""
        before, after = self.shown
        if self.verdict == "too few runs":
            return f"{self.metric}: too few runs ({self.grounds()})"
        if self.verdict == "unchanged":
            text = f"{self.metric} is unchanged: {after}, was {before}"
        else:
            verb = _VERBS[self.verdict, METRICS[self.metric].kind == "duration"]
            text = f"{self.metric} {verb} from {before} to {after}"
        return text if self.exact else f"{text}: {self.grounds()}"

    def message(self) -> str:
        """Return what a regression fails with: the headline, and what else changed."""
        notes = [f"  {'' if place else 'changed':<10}{note}" for place, note in enumerate(self.notes)]
        return "\n".join([self.headline(), *notes])

    def as_json(self) -> dict[str, Any]:
        """Return the comparison in JSON types: durations in seconds to the microsecond, null for what never came."""
        metric = METRICS[self.metric]
        before, after = (json_number(metric, value) for value in self.typical)
        values = {
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
        # All readings, where they say more than those that stand for them.
        if max(len(self.before), len(self.after)) > 1:
            values["readings_before"] = [json_number(metric, value) for value in self.before]
            values["readings_after"] = [json_number(metric, value) for value in self.after]
        return values | ({} if self.evidence is None else self.evidence.as_json())


def _factor(before: float, after: float) -> float:
    """Return the size of a change as a factor, in either direction."""
    if before == after:
        return 1.0
    # from nothing to something, or to never, no number is large enough
    low, high = sorted((before, after))
    return high / low if 0 < low < NEVER else math.inf


def _show(metric: Metric, value: float) -> str:
    return f"never ({metric.absent})" if value == NEVER else show(metric, value)


def _finite(value: float) -> float | None:
    return None if value == math.inf else value

"""Simulations: what a test measured in its redrawn worlds, counted, and what that shows about its percentiles.

A verdict rests on the number of donors, never on that of worlds: a thousand worlds of ten recordings know no more than
these ten. So a share of worlds counts as that share of the donors, and the exact binomial test judges it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.judgement import Judgement
from pytest_claude_latency.budgets.limit import Limit
from pytest_claude_latency.budgets.percentile_judgement import judge
from pytest_claude_latency.metrics.metric import METRICS, json_number
from pytest_claude_latency.metrics.percentiles import Standing, percentile, rank_interval, share_of, standing
from pytest_claude_latency.metrics.sample import NEVER, Sample
from pytest_claude_latency.plurals import number_of

MOST_FAILED: Final = Fraction(1, 20)
"""The share of worlds that may fail: above it the others say too little."""
ASSUMPTIONS: Final = (
    "simulated: answers are those that were recorded, and only their times are redrawn; calls are drawn independently "
    "of each other, given what makes them alike"
)
_SPREADS: Final = ("ttft", "total", "elapsed")
_SHARES: Final = (50, 95, 99)


@dataclass(frozen=True, kw_only=True)
class Lenders:
    """What lent its times to one call of the test. `count` is None where a profile stands for recordings."""

    call: int
    model: str
    source: str
    count: int | None

    def text(self) -> str:
        """Return the call and what lent its times."""
        lent = f"the {self.source} of the model" if self.count is None else f"{self.source} ({self.count})"
        return f"call {self.call} ({self.model}) from {lent}"


@dataclass(frozen=True, kw_only=True)
class Exceeded:
    """A plain limit in the worlds: in how many it was broken, and by the tail of which call most often."""

    limit: str
    worlds: int
    call: int | None = None
    call_worlds: int = 0

    def text(self, worlds: int) -> str:
        """Return in how many of all `worlds` the limit is broken."""
        whose = ""
        if self.call is not None:
            whose = f", by the tail of call {self.call} in {_share(self.call_worlds, self.worlds)} of these"
        return f"{self.limit} is broken in {_share(self.worlds, worlds)} of the worlds{whose}"


@dataclass(frozen=True, kw_only=True)
class SimulatedPercentile:
    """A percentile limit in the worlds. `low` and `high` are its 95 % interval in nanoseconds; None: unbounded."""

    limit: Limit
    measured: float | None
    over: int
    donors: int
    verdict: Standing
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """A test in its worlds. `spreads` has, for each metric, the percentiles of its worlds in nanoseconds."""

    worlds: int
    seed: int
    endings: Mapping[str, int] = field(default_factory=dict)
    """How many worlds ended otherwise than the test itself, by kind."""
    lenders: tuple[Lenders, ...] = ()
    spreads: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    exceeded: tuple[Exceeded, ...] = ()
    percentiles: tuple[SimulatedPercentile, ...] = ()

    @property
    def is_conclusive(self) -> bool:
        """Whether so few worlds failed that the others may be judged."""
        return sum(self.endings.values()) <= MOST_FAILED * self.worlds

    def lines(self) -> list[str]:
        """Return what reports say of it."""
        failed = [f"{count} {ending}" for ending, count in sorted(self.endings.items())]
        heads = [
            " ".join([name, *(f"{share} {duration.show(int(value))}" for share, value in shares.items())])
            for name, shares in self.spreads.items()
        ]
        lines = [f"simulated in {self.worlds:,} worlds (seed {self.seed}): {'; '.join(heads) or 'nothing measured'}"]
        lines += [f"simulated: {', '.join(failed)} of {self.worlds:,} worlds"] if failed else []
        lines += [f"simulated: {limit.text(self.worlds)}" for limit in self.exceeded]
        lines += [self.percentile_line(simulated) for simulated in self.percentiles]
        named = "; ".join(lender.text() for lender in self.lenders)
        return [*lines, f"simulated: times of {named}"] if named else lines

    def percentile_line(self, simulated: SimulatedPercentile) -> str:
        """Return what is said of one percentile."""
        value = "never" if simulated.measured is None else duration.show(int(simulated.measured))
        low = "0ms" if simulated.low is None else duration.show(int(simulated.low))
        high = "no bound" if simulated.high is None else duration.show(int(simulated.high))
        rests = number_of(simulated.donors, "donor") if simulated.donors else "no recorded donors"
        verdict = simulated.verdict if self.is_conclusive else "inconclusive, since too many worlds failed"
        return (
            f"simulated: {simulated.limit.name} {simulated.limit.statistic} {value}, 95 % interval {low} to {high} by "
            f"{rests}: {verdict}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON types, durations in seconds to the microsecond."""
        return {
            "simulated": True,
            "worlds": self.worlds,
            "seed": self.seed,
            "endings": dict(sorted(self.endings.items())),
            "donors": [
                {"call": lender.call, "model": lender.model, "source": lender.source, "count": lender.count}
                for lender in self.lenders
            ],
            "metrics": {
                name: {share: _seconds(value) for share, value in shares.items()}
                for name, shares in self.spreads.items()
            },
            "exceeded": [
                {"limit": limit.limit, "worlds": limit.worlds, "call": limit.call, "call_worlds": limit.call_worlds}
                for limit in self.exceeded
            ],
            "percentiles": [
                {
                    "limit": simulated.limit.text(),
                    "measured": _seconds(simulated.measured),
                    "over": simulated.over,
                    "donors": simulated.donors,
                    "interval": [_seconds(simulated.low), _seconds(simulated.high)],
                    "verdict": simulated.verdict if self.is_conclusive else "inconclusive",
                }
                for simulated in self.percentiles
            ],
            "assumptions": ASSUMPTIONS,
        }


def simulate(
    samples: Sequence[Sample],
    judgements: Iterable[Sequence[Judgement]],
    limits: Iterable[Limit],
    lenders: Sequence[Lenders],
    *,
    endings: Mapping[str, int],
    worlds: int,
    seed: int,
) -> Simulation:
    """Return what the worlds show that ended well: a sample and its judgements for each, in their order.

    `limits` are the percentiles that the test promises.
    """
    spreads: dict[str, dict[str, float]] = {}
    for name in _SPREADS:
        readings = [reading for sample in samples if (reading := sample.reading(METRICS[name])) is not None]
        # where one world never came to it, percentiles of the other worlds would look better than the test is
        if readings and NEVER not in readings:
            spreads[name] = {f"p{share}": percentile(readings, Fraction(share, 100)) for share in _SHARES}
    counts = [lender.count for lender in lenders]
    # a profile is no evidence, and the call with the fewest donors is the one that is known least
    donors = 0 if not counts or None in counts else min(count for count in counts if count is not None)
    return Simulation(
        worlds=worlds,
        seed=seed,
        endings=dict(endings),
        lenders=tuple(lenders),
        spreads=spreads,
        exceeded=_exceeded(samples, judgements),
        percentiles=tuple(_percentile(limit, samples, donors) for limit in limits),
    )


def _percentile(limit: Limit, samples: Sequence[Sample], donors: int) -> SimulatedPercentile:
    judged, share = judge(limit, samples), share_of(limit.statistic or "")
    measured = None if judged.measured is None or judged.measured == NEVER else judged.measured
    if not donors or not judged.samples:
        return SimulatedPercentile(
            limit=limit, measured=measured, over=judged.over, donors=donors, verdict="inconclusive"
        )
    # Rounded against the promise each way: up where it is to be kept, down where it is to be broken.
    exact = Fraction(judged.over * donors, judged.samples)
    most, least = math.ceil(exact), math.floor(exact)
    verdict: Standing = "inconclusive"
    if standing(most, donors, share) == "kept":
        verdict = "kept"
    elif standing(least, donors, share) == "broken":
        verdict = "broken"
    readings = sorted(
        reading
        for sample in samples
        if (
            reading := sample.noted(limit.name)
            if limit.name in sample.test_readings
            else sample.reading(METRICS[limit.metric])
        )
        is not None
    )
    low, high = (None if bound is None else percentile(readings, bound) for bound in rank_interval(donors, share))
    return SimulatedPercentile(
        limit=limit,
        measured=measured,
        over=judged.over,
        donors=donors,
        verdict=verdict,
        low=None if low == NEVER else low,
        high=None if high == NEVER else high,
    )


def _exceeded(samples: Sequence[Sample], judgements: Iterable[Sequence[Judgement]]) -> tuple[Exceeded, ...]:
    """Return the plain limits that some worlds broke, each with the call whose tail it was most often."""
    totals: dict[int, list[float]] = {}
    for sample in samples:
        for number, call in enumerate(sample.calls, 1):
            totals.setdefault(number, []).append(call.total or 0.0)
    # against its own median, or the call that is always the longest would be named for every world
    usual = {number: percentile(values, Fraction(1, 2)) for number, values in totals.items()}
    worlds: Counter[str] = Counter()
    calls: dict[str, Counter[int]] = {}
    for sample, judged in zip(samples, judgements, strict=True):
        for judgement in judged:
            if not judgement.broken:
                continue
            text = judgement.limit.text()
            decisive = judgement.call
            worlds[text] += 1
            if decisive is None and sample.calls:
                # A limit on the whole test: the call that took longest beyond what it usually takes.
                beyond = [(call.total or 0.0) - usual[place] for place, call in enumerate(sample.calls, 1)]
                decisive = beyond.index(max(beyond)) + 1
            if decisive is not None:
                calls.setdefault(text, Counter())[decisive] += 1
    return tuple(
        Exceeded(
            limit=text,
            worlds=count,
            call=(most := calls[text].most_common(1)[0])[0] if text in calls else None,
            call_worlds=most[1] if text in calls else 0,
        )
        for text, count in sorted(worlds.items())
    )


def _share(worlds: int, of: int) -> str:
    return f"{round(100 * worlds / of, 1):g} %"


def _seconds(span: float | None) -> float | None:
    return json_number(METRICS["elapsed"], span)

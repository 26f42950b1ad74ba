"""Suggestions: budgets to start from, made of what was measured.

The rule is short enough to stand beside every number it makes: the worst sample and a quarter more, at least 50 ms
more, rounded up to two digits. A limit that a test has already is never loosened.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Final

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.limit import Limit
from pytest_claude_latency.duration import MILLISECOND, Nanoseconds
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.metrics.percentiles import can_keep, share_of, standing
from pytest_claude_latency.metrics.series import Series, series_of
from pytest_claude_latency.results.result import TestResult

MARGIN: Final = Fraction(1, 4)
LEAST: Final[Nanoseconds] = 50 * MILLISECOND
STATISTIC: Final = "p95"
ORIGIN: Final = "suggested"
_SHARE: Final = share_of(STATISTIC)
_ENDED: Final = ("passed", "xpassed")
_NOT_STREAMED: Final = "not streamed: the first token came with the last, so total says it"
_LINE: Final = 100
"""A longer marker is written over several lines."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is proposed for one metric of a test.

    `measured` is what the proposal is made of, in nanoseconds or as a count: the worst sample, or what the samples show
    the percentile to keep. Where it is None, `reason` says why there is nothing to propose.
    """

    metric: str
    measured: int | None
    limits: tuple[Limit, ...]
    """What the test would promise."""
    existing: tuple[Limit, ...] = ()
    """What it promises now."""
    reason: str | None = None

    @property
    def statistic(self) -> str | None:
        """The percentile that `measured` bounds; None where it is the worst sample."""
        return next((each.statistic for each in self.limits if each.origin == ORIGIN), None)

    @property
    def changes(self) -> bool:
        """Whether it is another promise than the test makes now."""
        return any(limit.origin == ORIGIN for limit in self.limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A budget for one test, to start from."""

    nodeid: str
    samples: int
    kind: str
    """How it was measured, in words."""
    exact: bool
    """Whether another replay would measure the same, so that the margin is room for the next recording alone."""
    proposals: tuple[Proposal, ...]
    others: tuple[Limit, ...] = ()
    """What else the test's own marker promises."""

    @property
    def changes(self) -> bool:
        """Whether the test does not promise all of it by now."""
        return any(each.changes for each in self.proposals)

    @property
    def marker(self) -> str:
        """The marker to write in the place of the test's own.

        It holds what is proposed and what that marker says already, but not what is inherited: that holds without it.
        For one set of parameters it is an argument of `pytest.param`.
        """
        own = _origin(self.nodeid)
        limits = [each for proposal in self.proposals for each in proposal.limits if each.origin in (own, ORIGIN)]
        text = as_marker([*limits, *self.others])
        return f"marks={text}" if self.nodeid.endswith("]") else f"@{text}"


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Budgets for the tests of a run; `left_out` are tests that none is made for, with the reason."""

    found: tuple[Suggestion, ...]
    left_out: Mapping[str, str]

    @property
    def exact(self) -> bool:
        """Whether any of them comes from a replay in virtual time."""
        return any(each.exact for each in self.found)

    @property
    def percentiles(self) -> bool:
        """Whether any of them proposes a percentile."""
        return any(proposal.statistic for each in self.found for proposal in each.proposals)


# ── from what was measured ──


def suggest(
    measured: Mapping[str, Series], limits: Mapping[str, Sequence[Limit]], left_out: Mapping[str, str]
) -> Suggestions:
    """Budgets for the tests that were `measured`, in the order of their ids; `limits` are what they promise now."""
    found, without = [], dict(left_out)
    for nodeid in sorted(measured):
        series = measured[nodeid]
        if any(sample.calls for sample in series.samples):
            found.append(_suggestion(series, limits.get(nodeid, ())))
        else:
            without[nodeid] = "no prompt call was made"
    return Suggestions(tuple(found), dict(sorted(without.items())))


def of_results(results: Iterable[TestResult]) -> Suggestions:
    """Budgets for the tests of a run. A test of which a sample failed is left out: it may have been cut short."""
    measured: dict[str, Series] = {}
    limits: dict[str, list[Limit]] = {}
    left_out: dict[str, str] = {}
    ordered = sorted(results, key=lambda result: (result.nodeid, result.sample))
    for nodeid, group in groupby(ordered, key=lambda result: result.nodeid):
        samples = list(group)
        limits[nodeid] = [limit for each in samples for limit in _limits(each)]
        if spoilt := [each.outcome for each in samples if each.outcome not in _ENDED]:
            left_out[nodeid] = spoilt[0]
            continue
        try:
            measured |= series_of(samples)
        except LatencyError:
            left_out[nodeid] = "some of its samples were replayed and some were not"
    return suggest(measured, limits, left_out)


def _limits(result: TestResult) -> list[Limit]:
    return [*(judgement.limit for judgement in result.judgements), *result.percentiles]


def _suggestion(series: Series, existing: Sequence[Limit]) -> Suggestion:
    distinct = tuple({limit.text(): limit for limit in existing}.values())
    names = ("ttft", "total") if all(len(sample.calls) == 1 for sample in series.samples) else ("elapsed", "calls")
    own = _origin(series.nodeid)
    return Suggestion(
        nodeid=series.nodeid,
        samples=len(series.samples),
        kind=series.kind,
        exact=series.exact,
        proposals=tuple(_proposal(series, name, [each for each in distinct if each.metric == name]) for name in names),
        others=tuple(each for each in distinct if each.metric not in names and each.origin == own),
    )


def _origin(nodeid: str) -> str:
    """Where a limit comes from that stands on the test itself."""
    return f"@latency_budget on {nodeid}"


def _proposal(series: Series, name: str, existing: Sequence[Limit]) -> Proposal:
    kept = tuple(existing)
    if name == "calls":
        most = max(len(sample.calls) for sample in series.samples)
        return Proposal(name, most, _tighter(Limit(name, None, most, ORIGIN), kept), kept)
    if name == "ttft" and not all(call.streamed for sample in series.samples for call in sample.calls):
        return Proposal(name, None, kept, kept, _NOT_STREAMED)
    found = [sample.reading(METRICS[name]) for sample in series.samples]
    readings = sorted((each for each in found if each is not None), reverse=True)
    plain = any(limit.statistic is None for limit in kept)
    usual = can_keep(len(readings), _SHARE) and not plain
    worst = readings[_allowed(len(readings)) if usual else 0] if readings else math.inf
    if worst == math.inf:
        return Proposal(name, None, kept, kept, METRICS[name].absent)
    limit = Limit(name, STATISTIC if usual else None, with_margin(int(worst)), ORIGIN)
    return Proposal(name, int(worst), _tighter(limit, kept), kept)


def _allowed(samples: int) -> int:
    """How many samples may lie over a limit that the samples show the percentile to keep."""
    over = 0
    while standing(over + 1, samples, _SHARE) == "kept":
        over += 1
    return over


def _tighter(proposed: Limit, existing: tuple[Limit, ...]) -> tuple[Limit, ...]:
    """What holds when nothing that stands is loosened: of the same promise the tighter, and no plain limit beside
    percentiles.
    """
    if not existing:
        return (proposed,)
    return tuple(
        proposed if limit.statistic == proposed.statistic and proposed.value < limit.value else limit
        for limit in existing
    )


def with_margin(measured: Nanoseconds) -> Nanoseconds:
    """The limit for a duration: a quarter more, at least 50 ms more, rounded up to two digits."""
    enough = measured + max(math.ceil(measured * MARGIN), LEAST)
    step: int = 10 ** (len(str(enough)) - 2)
    return -(-enough // step) * step


# ── as text ──


def as_marker(limits: Sequence[Limit]) -> str:
    """`pytest.mark.latency_budget(ttft="520ms", total="3.6s")`: limits in the words that make them."""
    arguments = [
        f"{name}={_value([each for each in limits if each.metric == name])}"
        for name in dict.fromkeys(limit.metric for limit in limits)
    ]
    line = f"pytest.mark.latency_budget({', '.join(arguments)})"
    if len(line) < _LINE:
        return line
    return "\n".join(["pytest.mark.latency_budget(", *(f"    {argument}," for argument in arguments), ")"])


def _value(limits: Sequence[Limit]) -> str:
    plain = [limit for limit in limits if limit.statistic is None]
    if plain:
        return _text(plain[0])
    return "{" + ", ".join(f'"{limit.statistic}": {_text(limit)}' for limit in limits) + "}"


def _text(limit: Limit) -> str:
    if METRICS[limit.metric].kind == "duration":
        return f'"{duration.exact(int(limit.value))}"'
    return limit.value_text()

"""Budget suggestions: budgets to start from, made of what was measured.

The rule is short enough to stand next to every number it makes: the worst sample and a quarter more, at least 50 ms
more, rounded up to two digits. A limit that a test has already is never loosened.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Final

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.judgement import NO_CALL
from pytest_claude_latency.budgets.limit import Limit
from pytest_claude_latency.duration import MILLISECOND, Nanoseconds
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.metrics.percentiles import can_keep, share_of, standing
from pytest_claude_latency.metrics.prompt_cache import Cache, kept_apart
from pytest_claude_latency.metrics.series import Series, by_test, series_of
from pytest_claude_latency.results.flaky_limits import PROPOSED, FlakyLimit, flaky_limits
from pytest_claude_latency.results.result import TestResult

# room for the next recording; for fast calls a quarter would be less than the usual noise, so there is a least
MARGIN: Final = Fraction(1, 4)
LEAST: Final[Nanoseconds] = 50 * MILLISECOND
# 59 samples can show it; p99 would take 299
STATISTIC: Final = "p95"
NOT_STREAMED: Final = "not streamed: the first token came with the last, so the limit on total covers it"
SIMULATED: Final = "its answers are made up"
MIXED: Final = "some of its samples were replayed and some were not"
_SHARE: Final = share_of(STATISTIC)
_PASSED: Final = ("passed", "xpassed")
_LONGEST_LINE: Final = 80  # a longer marker is written over several lines


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is proposed for one metric of a test.

    `measured` is what the proposal is made from, in nanoseconds or as a count: the worst sample, or the largest value
    that the samples show the percentile to keep. If it is None, `reason` says why there is nothing to propose.
    """

    metric: str
    measured: int | None
    limits: tuple[Limit, ...]
    """What the test would promise."""
    existing: tuple[Limit, ...] = ()
    """What it promises now."""
    reason: str | None = None
    groups: tuple[tuple[Cache, int, int], ...] = ()
    """Where samples met the prompt cache in different states: each, its samples, and what was measured of these."""

    @property
    def statistic(self) -> str | None:
        """The percentile that `measured` bounds; None if it is the worst sample."""
        return next((limit.statistic for limit in self.limits if limit.origin == PROPOSED), None)

    @property
    def changes(self) -> bool:
        """Whether it promises anything that the test does not promise now."""
        return any(limit.origin == PROPOSED for limit in self.limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A budget for one test, to start from."""

    nodeid: str
    samples: int
    kind: str
    """How it was measured, in words."""
    exact: bool
    """Whether another replay would measure the same, so that the margin is only room for the next recording."""
    proposals: tuple[Proposal, ...]
    others: tuple[Limit, ...] = ()
    """What else the test's own marker promises."""

    @property
    def changes(self) -> bool:
        """Whether it promises anything that the test does not promise now."""
        return any(proposal.changes for proposal in self.proposals)

    @property
    def marker(self) -> str:
        """The marker to write in place of the test's own.

        It holds what is proposed and what that marker says already. It leaves out what is inherited, which holds
        without it. For one set of parameters it is an argument of `pytest.param`.
        """
        own = _own_origin(self.nodeid)
        limits = [limit for proposal in self.proposals for limit in proposal.limits if limit.origin in (own, PROPOSED)]
        text = as_marker([*limits, *self.others])
        # the id of a parametrized test ends in brackets: a decorator would set the budget for all its parameters
        return f"marks={text}" if self.nodeid.endswith("]") else f"@{text}"


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Budgets for the tests of a run. `left_out` are tests without one, each with the reason."""

    suggestions: tuple[Suggestion, ...]
    left_out: Mapping[str, str]
    flaky: Mapping[str, tuple[FlakyLimit, ...]] = field(default_factory=dict)
    """Limits that chance may break, by test: those that it has, and those that are proposed."""

    @property
    def exact(self) -> bool:
        """Whether any of them comes from a replay in virtual time."""
        return any(suggestion.exact for suggestion in self.suggestions)

    @property
    def mixes_caches(self) -> bool:
        """Whether any of them is made of samples with a cold and with a warm prompt cache."""
        return any(proposal.groups for suggestion in self.suggestions for proposal in suggestion.proposals)

    @property
    def percentiles(self) -> bool:
        """Whether any of them proposes a percentile."""
        return any(proposal.statistic for suggestion in self.suggestions for proposal in suggestion.proposals)


# ── from what was measured ──


def suggest(
    measured: Mapping[str, Series], limits: Mapping[str, Sequence[Limit]], left_out: Mapping[str, str]
) -> Suggestions:
    """Return budgets for the tests that were `measured`, in the order of their ids; `limits` are their limits now."""
    suggestions, without, flaky = [], dict(left_out), {}
    for nodeid in sorted(measured):
        series = measured[nodeid]
        if not any(sample.calls for sample in series.samples):
            without[nodeid] = NO_CALL
            continue
        # each sample carries the limits of its test
        existing = tuple({limit.text(): limit for limit in limits.get(nodeid, ())}.values())
        one_call = all(len(sample.calls) == 1 for sample in series.samples)
        # one limit would have to fit the slowest of several calls: there the whole test is what can be promised
        metrics = ("ttft", "total") if one_call else ("elapsed", "calls")
        # a marker replaces the test's own, so it must repeat what that one promises besides
        own = _own_origin(nodeid)
        suggestions.append(
            Suggestion(
                nodeid=nodeid,
                samples=len(series.samples),
                kind=series.kind,
                exact=series.exact,
                proposals=tuple(
                    _proposal(series, metric, tuple(limit for limit in existing if limit.metric == metric))
                    for metric in metrics
                ),
                others=tuple(limit for limit in existing if limit.metric not in metrics and limit.origin == own),
            )
        )
        proposed = [limit for proposal in suggestions[-1].proposals for limit in proposal.limits]
        if found := flaky_limits(series, [*existing, *proposed]):
            flaky[nodeid] = found
    return Suggestions(tuple(suggestions), dict(sorted(without.items())), flaky)


def of_results(results: Iterable[TestResult]) -> Suggestions:
    """Return budgets for the tests of a run. A test with a failed sample is left out: it may have ended too early."""
    measured: dict[str, Series] = {}
    limits: dict[str, list[Limit]] = {}
    left_out: dict[str, str] = {}
    flaky: dict[str, tuple[FlakyLimit, ...]] = {}
    for nodeid, samples in by_test(results).items():
        # from the results, not from the markers: under workers the controller has no items
        limits[nodeid] = [
            limit
            for sample in samples
            for limit in (*(judgement.limit for judgement in sample.judgements), *sample.percentiles)
            # limits on sessions stand in a marker of their own, which stays
            if limit.is_general
        ]
        # it may have ended early, and its short time would become a limit that a whole run cannot keep
        if failed := [sample.outcome for sample in samples if sample.outcome not in _PASSED]:
            left_out[nodeid] = failed[0]
            # Where only a budget broke, what was measured was measured: it may have been chance.
            if all(sample.succeeded for sample in samples):
                with suppress(LatencyError):
                    unfailed = series_of(replace(sample, outcome="passed") for sample in samples)
                    flaky[nodeid] = flaky_limits(unfailed[nodeid], limits[nodeid])
            continue
        if any(sample.simulated for sample in samples):
            left_out[nodeid] = SIMULATED
            continue
        try:
            measured |= series_of(samples)
        except LatencyError:
            left_out[nodeid] = MIXED
    suggestions = suggest(measured, limits, left_out)
    return replace(
        suggestions, flaky={**suggestions.flaky, **{nodeid: found for nodeid, found in flaky.items() if found}}
    )


def _own_origin(nodeid: str) -> str:
    """Return the origin of a limit that is set on the test itself."""
    return f"@latency_budget on {nodeid}"


def _proposal(series: Series, metric: str, existing: tuple[Limit, ...]) -> Proposal:
    if metric == "calls":
        # a number of calls does not vary like a time: it needs no margin
        most = max(len(sample.calls) for sample in series.samples)
        return Proposal(metric, most, _not_looser(Limit(metric, None, most, PROPOSED), existing), existing)
    # without streaming ttft is total: two limits on one number
    if metric == "ttft" and not all(call.streamed for sample in series.samples for call in sample.calls):
        return Proposal(metric, None, existing, existing, NOT_STREAMED)
    # a test that has a plain limit keeps its kind of promise
    may_be_percentile = all(limit.statistic is not None for limit in existing)
    statistic, bounds = None, []
    # The largest group first: it decides whether there are enough samples for a percentile.
    for cache, samples in kept_apart(series.samples, lambda sample: sample.calls).items():
        all_readings = [sample.reading(METRICS[metric]) for sample in samples]
        readings = sorted((reading for reading in all_readings if reading is not None), reverse=True)
        over = 0  # how many samples may be over the limit
        if may_be_percentile and can_keep(len(readings), _SHARE):
            statistic = STATISTIC
            # as far down as the samples still prove it: their largest value would be looser than need be
            while standing(over + 1, len(readings), _SHARE) == "kept":
                over += 1
        bounds.append((cache, len(samples), readings[over] if readings else math.inf))
    # One limit has to fit all of them: each group is judged by itself.
    worst = max((bound for *_, bound in bounds), default=math.inf)
    # infinite is what never came, for example the text of an answer without any
    if worst == math.inf:
        return Proposal(metric, None, existing, existing, METRICS[metric].absent)
    limit = Limit(metric, statistic, with_margin(int(worst)), PROPOSED)
    groups = tuple((cache, count, int(bound)) for cache, count, bound in bounds) if len(bounds) > 1 else ()
    return Proposal(metric, int(worst), _not_looser(limit, existing), existing, groups=groups)


def _not_looser(proposed: Limit, existing: tuple[Limit, ...]) -> tuple[Limit, ...]:
    """Return the limits that hold if no existing one is loosened.

    Of the same promise that is the tighter limit. A plain limit is not added to percentiles.
    """
    if not existing:
        return (proposed,)
    return tuple(
        proposed if limit.statistic == proposed.statistic and proposed.value < limit.value else limit
        for limit in existing
    )


def with_margin(measured: Nanoseconds) -> Nanoseconds:
    """Return the limit for a duration: a quarter more, at least 50 ms more, rounded up to two digits."""
    enough = measured + max(math.ceil(measured * MARGIN), LEAST)
    # rounded up, since rounding down would take from the margin
    step: int = 10 ** (len(str(enough)) - 2)
    return -(-enough // step) * step


# ── as text ──


def as_marker(limits: Sequence[Limit]) -> str:
    """Return the code that sets these limits: `pytest.mark.latency_budget(ttft="520ms", total="3.6s")`."""
    arguments = []
    for metric in dict.fromkeys(limit.metric for limit in limits):
        is_span = METRICS[metric].kind == "duration"
        values = {
            limit.statistic: f'"{duration.exact(int(limit.value))}"' if is_span else limit.value_text()
            for limit in limits
            if limit.metric == metric
        }
        mapping = "{" + ", ".join(f'"{statistic}": {value}' for statistic, value in values.items()) + "}"
        arguments.append(f"{metric}={values.get(None, mapping)}")
    line = f"pytest.mark.latency_budget({', '.join(arguments)})"
    if len(line) < _LONGEST_LINE:
        return line
    return "\n".join(["pytest.mark.latency_budget(", *(f"    {argument}," for argument in arguments), ")"])

"""Budgets: what a test promises about its calls, and whether it kept the promise.

A limit on a call's metric is judged on each call, and the worst one decides. A limit on the whole test is judged once.
Durations are compared as whole nanoseconds, and a measurement equal to its limit keeps it.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import NamedTuple, TypeAlias

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.judgement import (
    DECIDED_ELSEWHERE,
    NO_CALL,
    NO_SESSION,
    NO_SUCH_CALL,
    NO_VALUE,
    Judgement,
    Verdict,
)
from pytest_claude_latency.budgets.limit import PARTS, Endpoint, Limit, NoLimit, SomeCalls
from pytest_claude_latency.messages_api.exchange import Request
from pytest_claude_latency.messages_api.request_pattern import misspelt_field
from pytest_claude_latency.metrics.given_up import given_up
from pytest_claude_latency.metrics.metric import METRICS, Reading, measurement
from pytest_claude_latency.metrics.timeline import Call

Layer: TypeAlias = "Sequence[Limit | NoLimit]"
"""What one place sets: a function, a class, a module, an option."""


_KNOWN = frozenset({"elapsed", "calls"})
_PLACES = {metric: place for place, metric in enumerate(METRICS)}
_WITHOUT_CALL = frozenset({"elapsed", *PARTS})  # what can be measured of a test that waits for batches only


class _Sent(NamedTuple):
    """Calls, the numbers of those that were given up, and what each of them asks."""

    calls: Sequence[Call]
    lost: Container[int]
    requests: Sequence[Request]

    def fitting(self, some: SomeCalls) -> set[int]:
        """Return the numbers of the calls that a limit on some calls is for."""
        asked = zip_longest(self.requests, self.calls)
        return {number for number, (request, _) in enumerate(asked, 1) if some.fit(number, request)}


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits that hold for one test, in the order of `METRICS`."""

    limits: tuple[Limit, ...] = ()
    precedence: tuple[tuple[str, SomeCalls], ...] = ()
    """The metrics that are limited for some calls only, each with those calls: the first that fits a call decides."""

    @property
    def plain_limits(self) -> tuple[Limit, ...]:
        """The limits that every sample must keep."""
        return tuple(limit for limit in self.limits if limit.statistic is None)

    @property
    def percentiles(self) -> tuple[Limit, ...]:
        """The limits that are judged over all samples of the test, when the last one is done."""
        return tuple(limit for limit in self.limits if limit.statistic is not None)

    def judge(
        self,
        calls: Sequence[Call],
        elapsed: float | None,
        *,
        direct: bool,
        sessions: Sequence[Call] = (),
        is_over: bool = True,
        test_readings: dict[str, Reading] | None = None,
        requests: Sequence[Request] = (),
    ) -> tuple[Judgement, ...]:
        """Judge each plain limit on `calls`, in the order they were sent, and on `elapsed` seconds for all of them.

        Limits on sessions are judged on the event streams of `sessions` instead, and no other limit is.

        `direct` says that the test itself carries the budget. Then a test without a call breaks its promise, unless
        `calls=0` promises just that. An inherited budget of a test without a call gets the verdict `"no calls"`.
        `elapsed` is judged as soon as any request was sent: a test may wait for batches and sessions only. `is_over`
        says whether the program has ended: until then, a call under way may be one that it still waits for.
        `test_readings` has what was measured for the other limits on the whole test. `requests` are those of `calls`,
        for limits that are for some calls only.
        """
        sent = _Sent(calls, given_up(calls, is_over=is_over), requests)
        known = {
            "calls": Reading(len(calls)),
            "elapsed": Reading(None if elapsed is None else duration.nanoseconds(elapsed)),
        }
        # `calls=0` is the one promise that a test without a call keeps
        promises_no_call = any(
            limit.metric == "calls" and limit.value == 0 and limit.is_general for limit in self.limits
        )
        verdict: Verdict = "broken" if direct else "no calls"
        judgements = []
        for limit in self.plain_limits:
            if limit.endpoint == "session":
                has_value = bool(sessions) or limit.metric == "calls"
                judged = _judge(limit, sessions, (), {"calls": Reading(len(sessions)), "elapsed": Reading(None)})
            elif limit.some is not None and calls:
                has_value, judged = True, self._judge_some(limit, limit.some, sent, verdict)
            else:
                has_value = bool(calls) or (limit.metric in _WITHOUT_CALL and elapsed is not None)
                has_value |= promises_no_call or (limit.metric == "calls" and limit.value == 0)
                others = self._decided_elsewhere(limit, sent)
                judged = _judge(limit, calls, sent.lost, known | (test_readings or {}), others)
            reason = NO_CALL if limit.endpoint is None else NO_SESSION
            judgements.append(judged if has_value else Judgement(limit, None, None, 0, verdict, reason))
        return tuple(judgements)

    def _judge_some(self, limit: Limit, some: SomeCalls, sent: _Sent, verdict: Verdict) -> Judgement:
        """Judge a limit on the calls that it is for; without such a call return `verdict`."""
        fitting, count = sent.fitting(some), len(sent.calls)
        if limit.metric == "calls":
            return _judgement(limit, len(fitting), None, count)
        if not fitting:
            reason = NO_SUCH_CALL.format(calls=some.text()) + misspelt_field(some.when, sent.requests)
            return Judgement(limit, None, None, count, verdict, reason)
        others = self._decided_elsewhere(limit, sent) | set(range(1, count + 1)) - fitting
        return _judge(limit, sent.calls, sent.lost, {}, others)

    def _decided_elsewhere(self, limit: Limit, sent: _Sent) -> set[int]:
        """Return the numbers of the calls for which another limit on the same metric comes first."""
        found: set[int] = set()
        for metric, some in self.precedence:
            if (metric, some) == (limit.metric, limit.some):
                break
            found |= sent.fitting(some) if metric == limit.metric else set()
        return found

    def readings_of_some(self, calls: Sequence[Call], requests: Sequence[Request]) -> dict[str, float | None]:
        """Return what this sample measured for each percentile that is not about all calls, by the limit's name.

        None where what was awaited did not come; a limit for which nothing was measured is left out.
        """
        found: dict[str, float | None] = {}
        if not self.percentiles:
            return found
        sent, split = _Sent(calls, given_up(calls), requests), {metric for metric, _ in self.precedence}
        for limit in self.percentiles:
            if limit.some is not None:
                judged = self._judge_some(limit, limit.some, sent, "no calls")
            elif calls and limit.is_general and limit.metric in split:
                judged = _judge(limit, calls, sent.lost, {}, self._decided_elsewhere(limit, sent))
            else:
                continue
            if judged.verdict in ("kept", "broken"):
                found[limit.name] = judged.measured
        return found

    def of_whole_test(self, *, percentiles: bool = False) -> tuple[str, ...]:
        """Return the metrics of the whole test that need more than the calls and the time that they took."""
        limits = self.percentiles if percentiles else self.plain_limits
        metrics = (METRICS[limit.metric] for limit in limits)
        return tuple(metric.name for metric in metrics if metric.scope == "test" and metric.name not in _KNOWN)

    def unjudged(self) -> tuple[Judgement, ...]:
        """Return the plain limits as a run that does not judge budgets shows them."""
        return tuple(Judgement(limit, None, None, 0, "not judged") for limit in self.plain_limits)


def combine(layers: Sequence[Layer]) -> Budget:
    """Return the budget of a test for which several places set limits, the closest place first.

    For each metric, and each kind of calls, the closest place that names it decides, also by setting it to None.
    """
    decided: dict[tuple[Endpoint | SomeCalls | None, str], list[Limit]] = {}
    for layer in layers:
        # a place decides a metric as a whole: its plain limit also replaces percentiles from further out
        for key in dict.fromkeys((item.endpoint or item.some, item.metric) for item in layer):
            limits = [item for item in layer if isinstance(item, Limit)]
            decided.setdefault(key, [limit for limit in limits if (limit.endpoint or limit.some, limit.metric) == key])
    some = [(metric, kind) for kind, metric in decided if isinstance(kind, SomeCalls)]
    some.sort(key=lambda item: item[1].call is None)  # a number comes before a pattern, whoever set it
    # one order, whichever place set a limit, so that reports of two runs can be compared
    kinds: list[Endpoint | SomeCalls | None] = [None, *dict.fromkeys(kind for _, kind in some), "session"]
    keys = sorted(decided, key=lambda key: (kinds.index(key[0]), _PLACES[key[1]]))
    limits = [limit for key in keys for limit in decided[key]]
    return Budget(tuple(limits), tuple(some))


def _judge(
    limit: Limit,
    calls: Sequence[Call],
    lost: Container[int],
    test_readings: Mapping[str, Reading],
    others: Container[int] = (),
) -> Judgement:
    """Judge a limit on the calls but `others`, which other limits decide; `lost` are those that were given up."""
    metric = METRICS[limit.metric]
    # next to calls=0 the other limits of the test have nothing to judge
    if not calls and (metric.scope == "call" or test_readings["elapsed"].value is None) and metric.name != "calls":
        return Judgement(limit, None, None, 0, "no calls", NO_CALL)
    if metric.scope == "test":
        reading = test_readings.get(limit.metric, Reading(None, metric.absent))
        judgement = _judgement(limit, reading.value, None, len(calls))
        return replace(judgement, reason=reading.reason or judgement.reason, source=reading.source)
    worst: tuple[int, int | float] | None = None
    for number, call in enumerate(calls, start=1):
        # Of a call that was given up only what is known counts: its attempts, and tokens that were reported. It has no
        # times, and that its answer reported nothing is no news.
        if number in others:
            continue
        if number in lost and (metric.kind != "count" or getattr(call, metric.name) is None):
            continue
        measured = measurement(metric, call)
        # a moment that never came is worse than any late one
        if measured is None and metric.absent is not None:
            return _judgement(limit, None, number, len(calls))
        if measured is not None and (worst is None or metric.worse(measured, worst[1])):
            worst = (number, measured)
    if worst is None and all(number in others for number in range(1, len(calls) + 1)):
        return Judgement(limit, None, None, len(calls), "not measured", DECIDED_ELSEWHERE)
    if worst is None:
        return Judgement(limit, None, None, len(calls), "not measured", NO_VALUE.format(metric=metric.name))
    return _judgement(limit, worst[1], worst[0], len(calls))


def _judgement(limit: Limit, measured: int | float | None, call: int | None, call_count: int) -> Judgement:
    metric = METRICS[limit.metric]
    if measured is None:
        return Judgement(limit, None, call, call_count, "broken", metric.absent)
    return Judgement(limit, measured, call, call_count, "broken" if metric.worse(measured, limit.value) else "kept")

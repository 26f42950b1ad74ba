"""Budgets: what a test promises about its calls, and whether it kept the promise.

A limit on a call's metric is judged on each call, and the worst one decides. A limit on the whole test is judged once.
Durations are compared as whole nanoseconds, and a measurement equal to its limit keeps it.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.judgement import NO_CALL, NO_SESSION, NO_VALUE, Judgement, Verdict
from pytest_claude_latency.budgets.limit import PARTS, Endpoint, Limit, NoLimit
from pytest_claude_latency.metrics.given_up import given_up
from pytest_claude_latency.metrics.metric import METRICS, Reading, measurement
from pytest_claude_latency.metrics.timeline import Call

Layer: TypeAlias = "Sequence[Limit | NoLimit]"
"""What one place sets: a function, a class, a module, an option."""


_KNOWN = frozenset({"elapsed", "calls"})
_WITHOUT_CALL = frozenset({"elapsed", *PARTS})  # what can be measured of a test that waits for batches only


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits that hold for one test, in the order of `METRICS`."""

    limits: tuple[Limit, ...] = ()

    @property
    def plain(self) -> tuple[Limit, ...]:
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
        whole: dict[str, Reading] | None = None,
    ) -> tuple[Judgement, ...]:
        """Judge each plain limit on `calls`, in the order they were sent, and on `elapsed` seconds for all of them.

        Limits on sessions are judged on the event streams of `sessions` instead, and no other limit is.

        `direct` says that the test itself carries the budget. Then a test without a call breaks its promise, unless
        `calls=0` promises just that. An inherited budget of a test without a call gets the verdict `"no calls"`.
        `elapsed` is judged as soon as any request was sent: a test may wait for batches and sessions only. `is_over`
        says whether the program has ended: until then, a call under way may be one that it still waits for.
        `whole` has what was measured for the other limits on the whole test.
        """
        lost = given_up(calls, is_over=is_over)
        known = {
            "calls": Reading(len(calls)),
            "elapsed": Reading(None if elapsed is None else duration.nanoseconds(elapsed)),
        }
        # `calls=0` is the one promise that a test without a call keeps
        promises_no_call = any(
            limit.metric == "calls" and limit.value == 0 and limit.endpoint is None for limit in self.limits
        )
        verdict: Verdict = "broken" if direct else "no calls"
        judgements = []
        for limit in self.plain:
            if limit.endpoint == "session":
                has_value = bool(sessions) or limit.metric == "calls"
                judged = _judge(limit, sessions, (), {"calls": Reading(len(sessions)), "elapsed": Reading(None)})
            else:
                has_value = bool(calls) or promises_no_call or (limit.metric in _WITHOUT_CALL and elapsed is not None)
                judged = _judge(limit, calls, lost, known | (whole or {}))
            reason = NO_CALL if limit.endpoint is None else NO_SESSION
            judgements.append(judged if has_value else Judgement(limit, None, None, 0, verdict, reason))
        return tuple(judgements)

    def of_whole_test(self, *, percentiles: bool = False) -> tuple[str, ...]:
        """Return the metrics of the whole test that need more than the calls and the time that they took."""
        limits = self.percentiles if percentiles else self.plain
        metrics = (METRICS[limit.metric] for limit in limits)
        return tuple(metric.name for metric in metrics if metric.scope == "test" and metric.name not in _KNOWN)

    def unjudged(self) -> tuple[Judgement, ...]:
        """Return the plain limits as a run that does not judge budgets shows them."""
        return tuple(Judgement(limit, None, None, 0, "not judged") for limit in self.plain)


def combine(layers: Sequence[Layer]) -> Budget:
    """Return the budget of a test for which several places set limits, the closest place first.

    For each metric, and each kind of calls, the closest place that names it decides, also by setting it to None.
    """
    decided: dict[tuple[Endpoint | None, str], list[Limit]] = {}
    for layer in layers:
        # a place decides a metric as a whole: its plain limit also replaces percentiles from further out
        for key in {(item.endpoint, item.metric) for item in layer} - decided.keys():
            limits = [item for item in layer if isinstance(item, Limit)]
            decided[key] = [limit for limit in limits if (limit.endpoint, limit.metric) == key]
    # one order, whichever place set a limit, so that reports of two runs can be compared
    kinds: tuple[Endpoint | None, ...] = (None, "session")
    return Budget(tuple(limit for kind in kinds for metric in METRICS for limit in decided.get((kind, metric), ())))


def _judge(limit: Limit, calls: Sequence[Call], lost: Container[int], whole: Mapping[str, Reading]) -> Judgement:
    metric = METRICS[limit.metric]
    # next to calls=0 the other limits of the test have nothing to judge
    if not calls and (metric.scope == "call" or whole["elapsed"].value is None) and metric.name != "calls":
        return Judgement(limit, None, None, 0, "no calls", NO_CALL)
    if metric.scope == "test":
        reading = whole.get(limit.metric, Reading(None, metric.absent))
        judgement = _judgement(limit, reading.value, None, len(calls))
        return replace(judgement, reason=reading.reason or judgement.reason, source=reading.source)
    worst: tuple[int, int | float] | None = None
    for number, call in enumerate(calls, start=1):
        # Of a call that was given up only what is known counts: its attempts, and tokens that were reported. It has no
        # times, and that its answer reported nothing is no news.
        if number in lost and (metric.kind != "count" or getattr(call, metric.name) is None):
            continue
        measured = measurement(metric, call)
        # a moment that never came is worse than any late one
        if measured is None and metric.absent is not None:
            return _judgement(limit, None, number, len(calls))
        if measured is not None and (worst is None or metric.worse(measured, worst[1])):
            worst = (number, measured)
    if worst is None:
        return Judgement(limit, None, None, len(calls), "not measured", NO_VALUE.format(metric=metric.name))
    return _judgement(limit, worst[1], worst[0], len(calls))


def _judgement(limit: Limit, measured: int | float | None, call: int | None, call_count: int) -> Judgement:
    metric = METRICS[limit.metric]
    if measured is None:
        return Judgement(limit, None, call, call_count, "broken", metric.absent)
    return Judgement(limit, measured, call, call_count, "broken" if metric.worse(measured, limit.value) else "kept")

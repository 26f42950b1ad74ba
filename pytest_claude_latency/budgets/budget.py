"""Budgets: what a test promises about its calls, and whether it kept the promise.

A limit on a call's metric is judged on each call by itself and the worst one
decides; a limit on the whole test is judged once. Durations are compared as
whole nanoseconds, and a measurement equal to its limit keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.judgement import NO_CALL, Judgement, Verdict, message
from pytest_claude_latency.budgets.limit import Limit, NoLimit, parse_expression, parse_marker
from pytest_claude_latency.metrics.metric import METRICS, Metric, measurement
from pytest_claude_latency.metrics.timeline import Call

__all__ = [
    "Budget",
    "Judgement",
    "Limit",
    "NoLimit",
    "Verdict",
    "combine",
    "message",
    "parse_expression",
    "parse_marker",
]

Layer: TypeAlias = "Sequence[Limit | NoLimit]"


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits that hold for one test, in the order of `METRICS`."""

    limits: tuple[Limit, ...] = ()

    @property
    def plain(self) -> tuple[Limit, ...]:
        """Those that every sample must keep."""
        return tuple(limit for limit in self.limits if limit.statistic is None)

    @property
    def percentiles(self) -> tuple[Limit, ...]:
        """Those that are judged over all samples of the test, when the last one is done."""
        return tuple(limit for limit in self.limits if limit.statistic is not None)

    def judge(self, calls: Sequence[Call], elapsed: float | None, *, direct: bool) -> tuple[Judgement, ...]:
        """Hold each plain limit against `calls`, in the order they were sent, and `elapsed` seconds for all of them.

        `direct` says that the test itself carries the budget: having made no call is then a broken promise, unless
        `calls=0` promises just that. An inherited budget over no call gets the verdict `"no calls"`.
        """
        if calls or self._promises_silence():
            return tuple(_judge(limit, calls, elapsed) for limit in self.plain)
        verdict: Verdict = "broken" if direct else "no calls"
        return tuple(Judgement(limit, None, None, 0, verdict, NO_CALL) for limit in self.plain)

    def unjudged(self) -> tuple[Judgement, ...]:
        """The plain limits as a run shows them that does not judge budgets."""
        return tuple(Judgement(limit, None, None, 0, "not judged") for limit in self.plain)

    def _promises_silence(self) -> bool:
        return any(limit.metric == "calls" and limit.value == 0 for limit in self.limits)


def combine(layers: Sequence[Layer]) -> Budget:
    """The budget that holds where several places set limits, the closest to the test first.

    The closest place that names a metric decides on it, also by lifting it.
    """
    decided: dict[str, list[Limit]] = {}
    for layer in layers:
        named = {item.metric for item in layer} - decided.keys()
        for metric in named:
            decided[metric] = [item for item in layer if isinstance(item, Limit) and item.metric == metric]
    return Budget(tuple(limit for metric in METRICS for limit in decided.get(metric, ())))


def _judge(limit: Limit, calls: Sequence[Call], elapsed: float | None) -> Judgement:
    metric = METRICS[limit.metric]
    if metric.name == "calls":
        return _verdict(limit, len(calls), None, len(calls))
    if not calls and (metric.scope == "call" or elapsed is None):
        return Judgement(limit, None, None, 0, "no calls", NO_CALL)
    if metric.name == "elapsed":
        return _verdict(limit, None if elapsed is None else duration.nanoseconds(elapsed), None, len(calls))
    return _judge_calls(limit, metric, calls)


def _judge_calls(limit: Limit, metric: Metric, calls: Sequence[Call]) -> Judgement:
    """The verdict on the worst call; one whose awaited moment never came is worse than any late one."""
    worst: tuple[int, int | float] | None = None
    for number, call in enumerate(calls, start=1):
        measured = measurement(metric, call)
        if measured is None and metric.absent is not None:
            return _verdict(limit, None, number, len(calls))
        if measured is not None and (worst is None or metric.worse(measured, worst[1])):
            worst = (number, measured)
    if worst is None:
        return Judgement(limit, None, None, len(calls), "not measured", f"no call has a value for {metric.name}")
    return _verdict(limit, worst[1], worst[0], len(calls))


def _verdict(limit: Limit, measured: int | float | None, call: int | None, call_count: int) -> Judgement:
    metric = METRICS[limit.metric]
    if measured is None:
        return Judgement(limit, None, call, call_count, "broken", metric.absent)
    return Judgement(limit, measured, call, call_count, "broken" if metric.worse(measured, limit.value) else "kept")

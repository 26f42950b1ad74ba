"""Limits: one number a measurement must not pass, as users write it and as messages show it.

Everything that can be limited is a row of `METRICS`; how it is read, compared
and shown follows from the row. What is misspelt is refused, never ignored.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pytest_claude_latency import duration
from pytest_claude_latency.errors import LimitError
from pytest_claude_latency.metrics.metric import METRICS, Metric


@dataclass(frozen=True, slots=True)
class Limit:
    """One promise: a metric, the value it must not pass, and where that was written.

    `value` is whole nanoseconds for a duration, else a count or a number of tokens per second.
    `statistic` is a percentile over samples (`"p95"`), or None where every sample must keep the limit.
    """

    metric: str
    statistic: str | None
    value: int | float
    origin: str

    def text(self) -> str:
        """The textual form, which `parse_expression` reads back: `ttft<800ms`, `ttft.p95<1.2s`."""
        name = self.metric if self.statistic is None else f"{self.metric}.{self.statistic}"
        return f"{name}{METRICS[self.metric].sign}{self.value_text()}"

    def value_text(self) -> str:
        """The value with its unit, exact: `800ms`, `40`."""
        if METRICS[self.metric].kind == "duration":
            return duration.exact(int(self.value))
        return f"{Decimal(repr(self.value)):f}"


@dataclass(frozen=True, slots=True)
class NoLimit:
    """A metric written as None: limits on it from further out do not hold."""

    metric: str
    origin: str


# ── reading what users write ──


def parse_marker(kwargs: Mapping[str, object], origin: str, args: Sequence[object] = ()) -> tuple[Limit | NoLimit, ...]:
    """The limits of one `latency_budget(**kwargs)`; `args` are what was given without a name.

    Raises:
        LimitError: an unknown metric, a positional argument, or a value that does not fit its metric.
    """
    if args:
        forms = 'limits by name, such as latency_budget(ttft="800ms")'
        raise LimitError(f"{origin}: {args[0]!r} says no metric; accepted: {forms}")
    return tuple(limit for name, value in kwargs.items() for limit in _limits_of(_metric(name, origin), value, origin))


_PIECE = re.compile(r"(?P<metric>[^<>=.]+)(?:\.(?P<statistic>[^<>=]+))?(?P<sign>[<>])=?(?P<value>[^<>=]+)")
_FORMS = (
    "metric<limit or metric.p95<limit, separated by spaces; "
    "metric>limit for output_tokens_per_second and cache_read_tokens (ttft<800ms total<3s)"
)


def parse_expression(text: str, origin: str) -> tuple[Limit, ...]:
    """The limits of a textual form: `"ttft<800ms ttft.p95<1.2s output_tokens_per_second>40"`.

    Raises:
        LimitError: a piece that is not understood, or a metric limited twice.
    """
    pieces = re.sub(r"\s*([<>]=?)\s*", r"\1", text).split()
    limits = [_limit_of_piece(piece, origin) for piece in pieces]
    seen = [(limit.metric, limit.statistic) for limit in limits]
    for limit, key in zip(limits, seen, strict=True):
        if seen.count(key) > 1:
            raise LimitError(f"{origin}: {limit.text()!r}: {limit.metric} is limited more than once in {text!r}")
    return tuple(limits)


def _limit_of_piece(piece: str, origin: str) -> Limit:
    match = _PIECE.fullmatch(piece)
    if match is None:
        raise LimitError(f"{origin}: {piece!r} is not a limit; accepted: {_FORMS}")
    metric = _metric(match["metric"], origin)
    if match["sign"] != metric.sign:
        raise LimitError(
            f"{origin}: {piece!r}: {metric.name} is limited to {metric.direction} a value; "
            f"accepted: {metric.name}{metric.sign}{match['value']}"
        )
    value = _value_of_text(metric, match["value"], f"{origin}: {piece!r}")
    statistic = match["statistic"]
    return Limit(metric.name, None if statistic is None else _statistic(metric, statistic, origin), value, origin)


def _value_of_text(metric: Metric, text: str, place: str) -> int | float:
    """A value without quotes: a duration keeps its unit, since `ttft<800` could be read as 800 ms."""
    forms = "a number and its unit, such as 800ms, 1.5s or 2m" if metric.kind == "duration" else metric.accepted
    try:
        return duration.parse(text) if metric.kind == "duration" else _amount(metric, _number(text))
    except LimitError:
        raise LimitError(f"{place}: {text!r} does not fit {metric.name}; accepted: {forms}") from None


def _number(text: str) -> object:
    """A count or rate written as text; text that is no number stays text, for the refusal to quote."""
    if re.fullmatch(r"[0-9]+", text):
        return int(text)
    return float(text) if re.fullmatch(r"[0-9]+\.[0-9]*|\.[0-9]+", text) else text


def _metric(name: str, origin: str) -> Metric:
    if name in METRICS:
        return METRICS[name]
    near = difflib.get_close_matches(name.lower(), METRICS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise LimitError(f"{origin}: unknown metric {name!r}{hint} (metrics: {', '.join(METRICS)})")


def _limits_of(metric: Metric, value: object, origin: str) -> tuple[Limit | NoLimit, ...]:
    if value is None:
        return (NoLimit(metric.name, origin),)
    if not isinstance(value, Mapping):
        return (Limit(metric.name, None, _value(metric, value, origin), origin),)
    limits = [
        Limit(metric.name, _statistic(metric, statistic, origin), _value(metric, each, origin), origin)
        for statistic, each in value.items()
    ]
    if len({limit.statistic for limit in limits}) != len(limits) or not limits:
        raise LimitError(f"{origin}: {metric.name}={value!r} is no set of percentiles; accepted: {metric.accepted}")
    return tuple(limits)


def _statistic(metric: Metric, statistic: object, origin: str) -> str:
    """The one name of a percentile: `"p50.0"` and `"p50"` are the same."""
    if metric.kind != "duration":
        raise LimitError(f"{origin}: {metric.name} takes no percentile, got {statistic!r}; accepted: {metric.accepted}")
    share = statistic.removeprefix("p") if isinstance(statistic, str) and statistic.startswith("p") else ""
    if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]+)?", share) or not Decimal(share):
        raise LimitError(
            f"{origin}: {metric.name}: {statistic!r} is not a percentile; accepted: p50, p95, p99.9 and the like, "
            "above p0 and below p100"
        )
    whole, _, part = share.partition(".")
    return f"p{int(whole)}.{part.rstrip('0')}".removesuffix(".")


def _value(metric: Metric, value: object, origin: str) -> int | float:
    try:
        return duration.parse(value) if metric.kind == "duration" else _amount(metric, value)
    except LimitError as error:
        raise LimitError(f"{origin}: {metric.name}: {error}") from None


def _amount(metric: Metric, value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LimitError(f"{value!r} does not fit, it is a {metric.kind}; accepted: {metric.accepted}")
    if not 0 <= value < float("inf"):  # false for NaN too
        raise LimitError(f"{value!r} is negative or not finite; accepted: {metric.accepted}")
    if metric.kind == "count" and value != int(value):
        raise LimitError(f"{value!r} is not whole; accepted: {metric.accepted}")
    return int(value) if value == int(value) else float(value)

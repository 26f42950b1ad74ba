"""Limits: one number that a measurement must not pass, as users write it and as messages show it.

Everything that can be limited is a row of `METRICS`; how it is read, compared and shown follows from the row. What is
misspelt is refused, never ignored: a limit that is not there is a limit that always holds.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from pytest_claude_latency import duration
from pytest_claude_latency.errors import LimitError
from pytest_claude_latency.messages_api.exchange import Request
from pytest_claude_latency.messages_api.request_pattern import Expected, fits
from pytest_claude_latency.metrics.metric import METRICS, Metric
from pytest_claude_latency.metrics.percentiles import PERCENTILES
from pytest_claude_latency.near_names import did_you_mean

PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "retries": ("refused", "back_off"),
    "thinking": ("thinking",),
    "tools": ("tools",),
    "application": ("application",),
    "connection": ("connection",),
}
"""The metrics that limit a part of a test's breakdown, and the parts that each of them adds up."""

BY_NAME: Final = 'limits by name, such as latency_budget(ttft="800ms")'
IN_TEXT: Final = (
    "metric<limit or metric.p95<limit, separated by spaces; "
    "metric>limit for output_tokens_per_second and cache_read_tokens (ttft<800ms total<3s)"
)
Endpoint: TypeAlias = Literal["session"]
"""Calls of a kind of their own, which only limits that name it judge."""
SESSIONS: Final = 'when={"endpoint": "session"}'
_REST: Final = "  batches and other requests that make no message have limits on elapsed only, without when="
WHEN: Final = 'fields of the request and patterns or values, such as when={"model": "claude-opus-*", "stream": True}'
_SELECTORS = ("call", "when")
_KINDS = {"count": "a count", "rate": "a rate", "money": "a number of dollars"}
_WITH_UNIT = "a number and its unit, such as 800ms, 1.5s or 2min"
# `<=` is read as `<`: a measurement that equals its limit keeps it, so both mean the same
_PIECE = re.compile(r"(?P<metric>[^<>=.]+)(?:\.(?P<statistic>[^<>=]+))?(?P<sign>[<>])=?(?P<value>[^<>=]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SomeCalls:
    """Which of a test's calls a limit is for: the one of this number, from 1, or those whose requests fit `when`."""

    call: int | None = None
    when: tuple[tuple[str, Expected], ...] = ()

    def fit(self, number: int, request: Request | None) -> bool:
        """Return whether the call of this number, with this request, is one of them."""
        if self.call is not None:
            return number == self.call
        return request is not None and fits(request, self.when)

    def text(self) -> str:
        """Return it in words: `call=2`, `when model=claude-opus-*`."""
        if self.call is not None:
            return f"call={self.call}"
        # a text as it is written in the marker, anything else as the JSON of a request has it: `true` and not `True`
        shown = [
            (field, expected if isinstance(expected, str) else json.dumps(expected)) for field, expected in self.when
        ]
        return "when " + " ".join(f"{field}={expected}" for field, expected in shown)


@dataclass(frozen=True, slots=True)
class Limit:
    """One promise: a metric, the value it must not pass, and where that was written.

    `value` is whole nanoseconds for a duration, otherwise a count or a number of tokens per second.
    `statistic` is a percentile over samples (`"p95"`), or None if every sample must keep the limit. `endpoint` is the
    kind of calls that it is about; None for prompt calls and for the whole test.
    """

    metric: str
    statistic: str | None
    value: int | float
    origin: str
    endpoint: Endpoint | None = None
    some: SomeCalls | None = None

    @property
    def is_general(self) -> bool:
        """Whether it holds for all calls of the test."""
        return self.endpoint is None and self.some is None

    @property
    def name(self) -> str:
        """What is limited: `ttft`, `ttft of a session` or `ttft (call=2)`."""
        if self.some is not None:
            return f"{self.metric} ({self.some.text()})"
        return self.metric if self.endpoint is None else f"{self.metric} of a {self.endpoint}"

    @property
    def selector(self) -> dict[str, object]:
        """What a report adds to a limit on some calls only; empty for other limits."""
        if self.some is not None:
            return {"selector": {"call": self.some.call} if self.some.call else {"when": dict(self.some.when)}}
        return {} if self.endpoint is None else {"selector": {"when": {"endpoint": self.endpoint}}}

    def text(self) -> str:
        """Return the textual form, which `parse_expression` reads: `ttft<800ms`, `ttft.p95<1.2s`.

        A limit on some calls only has none: it reads `ttft<5s when endpoint=session`.
        """
        name = self.metric if self.statistic is None else f"{self.metric}.{self.statistic}"
        when = "" if self.endpoint is None else f" when endpoint={self.endpoint}"
        when = when if self.some is None else f" {self.some.text()}"
        return f"{name}{METRICS[self.metric].sign}{self.value_text()}{when}"

    def value_text(self) -> str:
        """Return the value with its unit, exact: `800ms`, `40`."""
        if METRICS[self.metric].kind == "duration":
            return duration.exact(int(self.value))
        # never 1e-05, which is no form that a limit may be written in
        return f"{Decimal(repr(self.value)):f}"


@dataclass(frozen=True, slots=True)
class NoLimit:
    """A metric that was set to None: limits on it from places further out do not hold."""

    metric: str
    origin: str
    endpoint: Endpoint | None = None
    some: SomeCalls | None = None


def parse_marker(kwargs: Mapping[str, object], origin: str, args: Sequence[object] = ()) -> tuple[Limit | NoLimit, ...]:
    """Return the limits of one `latency_budget(*args, **kwargs)`.

    Raises:
        LimitError: an unknown metric, a positional argument, a value that does not fit its metric, or `call=` or
            `when=` that is not understood or stands without a limit on calls.
    """
    if args:
        raise LimitError(f"{args[0]!r} has no metric name; accepted: {BY_NAME}", origin)
    if all(name in kwargs for name in _SELECTORS):
        raise LimitError("call= and when= exclude each other; write a marker for each", origin)
    endpoint: Endpoint | None = "session" if kwargs.get("when") == {"endpoint": "session"} else None
    some = _some_calls(kwargs, origin) if endpoint is None else None
    selected = next((f"{name}=" for name in _SELECTORS if name in kwargs), "")
    kwargs = {name: value for name, value in kwargs.items() if name not in _SELECTORS}
    if selected and not kwargs:
        meant = "; did you mean calls=?" if selected == "call=" else ""
        raise LimitError(f"{selected} has no limits{meant}; accepted: {BY_NAME}", origin)
    limits: list[Limit | NoLimit] = []
    for name, value in kwargs.items():
        metric = _metric(name, origin)
        if selected and metric.scope == "test" and (metric.name != "calls" or selected == "call="):
            raise LimitError(f"{metric.name} is about the whole test; set it in a marker without {selected}", origin)
        if value is None:
            limits.append(NoLimit(metric.name, origin, endpoint, some))
        elif not isinstance(value, Mapping):
            limits.append(Limit(metric.name, None, _value(metric, value, origin), origin, endpoint, some))
        else:
            # by their one name, so that p50 and p50.0 do not both stand
            values = {
                _statistic(metric, statistic, origin): _value(metric, limit, origin)
                for statistic, limit in value.items()
            }
            if len(values) != len(value) or not values:
                raise LimitError(
                    f"{metric.name}={value!r} is not a set of percentiles; accepted: {metric.accepted}", origin
                )
            limits += [
                Limit(metric.name, statistic, limit, origin, endpoint, some) for statistic, limit in values.items()
            ]
    return tuple(limits)


def _some_calls(kwargs: Mapping[str, object], origin: str) -> SomeCalls | None:
    if not any(name in kwargs for name in _SELECTORS):
        return None
    call, when = (kwargs.get(name) for name in _SELECTORS)
    if "call" in kwargs:
        if isinstance(call, bool) or not isinstance(call, int) or call < 1:
            raise LimitError(f"call={call!r} is not the number of a call; accepted: a whole number from 1", origin)
        return SomeCalls(call=call)
    # no request has a field of this name: it is the kind of calls, and stands alone
    if isinstance(when, Mapping) and "endpoint" in when:
        raise LimitError(
            f"when={when!r} is not understood\n  accepted  {SESSIONS}, without other fields\n{_REST}", origin
        )
    if not (isinstance(when, Mapping) and when) or not all(
        isinstance(field, str) and (expected is None or isinstance(expected, str | int | float))
        for field, expected in when.items()
    ):
        raise LimitError(f"when={when!r} is not understood; accepted: {SESSIONS}, or {WHEN}", origin)
    return SomeCalls(when=tuple(when.items()))


def parse_expression(text: str, origin: str) -> tuple[Limit, ...]:
    """Return the limits of a textual form: `"ttft<800ms ttft.p95<1.2s output_tokens_per_second>40"`.

    Raises:
        LimitError: a piece that is not understood, or a metric limited twice.
    """
    limits: dict[tuple[str, str | None], Limit] = {}
    # limits are separated by spaces, so the spaces around a sign go first
    for piece in re.sub(r"\s*([<>]=?)\s*", r"\1", text).split():
        match = _PIECE.fullmatch(piece)
        if match is None:
            raise LimitError(f"{piece!r} is not a limit; accepted: {IN_TEXT}", origin)
        metric = _metric(match["metric"], origin)
        if match["sign"] != metric.sign:
            raise LimitError(
                f"{piece!r}: {metric.name} is limited to {metric.direction} a value; "
                f"accepted: {metric.name}{metric.sign}{match['value']}",
                origin,
            )
        text_value, is_span = match["value"], metric.kind == "duration"
        # what is no number stays text, so that it is refused as it was written
        number: object = text_value
        if re.fullmatch(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", text_value):
            number = float(text_value) if "." in text_value else int(text_value)
        # a duration needs its unit, since `ttft<800` could be read as 800 ms
        try:
            value = duration.parse(text_value) if is_span else _amount(metric, number)
        except LimitError as error:
            problem, accepted = error.problem.partition("; accepted: ")[0], _WITH_UNIT if is_span else metric.accepted
            raise LimitError(f"{piece!r}: {problem}; accepted: {accepted}", origin) from None
        statistic = None if match["statistic"] is None else _statistic(metric, match["statistic"], origin)
        limit = Limit(metric.name, statistic, value, origin)
        if (metric.name, statistic) in limits:
            raise LimitError(f"{limit.text()!r}: {metric.name} is limited more than once in {text!r}", origin)
        limits[metric.name, statistic] = limit
    return tuple(limits.values())


def _metric(name: str, origin: str) -> Metric:
    if name in METRICS:
        return METRICS[name]
    raise LimitError(f"unknown metric {name!r}{did_you_mean(name, METRICS)}\n  metrics   {', '.join(METRICS)}", origin)


def _statistic(metric: Metric, statistic: object, origin: str) -> str:
    """Return the one name of a percentile: `"p50.0"` and `"p50"` are the same."""
    if metric.kind != "duration":
        raise LimitError(f"{metric.name} takes no percentile, got {statistic!r}; accepted: {metric.accepted}", origin)
    share = statistic.removeprefix("p") if isinstance(statistic, str) and statistic.startswith("p") else ""
    if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]+)?", share) or not Decimal(share):
        raise LimitError(f"{metric.name}: {statistic!r} is not a percentile; accepted: {PERCENTILES}", origin)
    # the decimal places that say nothing go, so that one percentile has one name in reports and baselines
    integer, _, decimals = share.partition(".")
    return f"p{int(integer)}.{decimals.rstrip('0')}".removesuffix(".")


def _value(metric: Metric, value: object, origin: str) -> int | float:
    if metric.needs_unit and isinstance(value, int | float) and not isinstance(value, bool):
        count = f"attempts={value + 1:g} for a count, " if metric.name == "retries" else ""
        raise LimitError(f'{metric.name}={value}: write {count}{metric.name}="{value}s" for time', origin)
    try:
        return duration.parse(value) if metric.kind == "duration" else _amount(metric, value)
    except LimitError as error:
        raise LimitError(f"{metric.name}: {error}", origin) from None


def _amount(metric: Metric, value: object) -> int | float:
    # in Python True is the number 1, but calls=True is a mistake
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LimitError(f"{value!r} is not {_KINDS[metric.kind]}; accepted: {metric.accepted}")
    if not 0 <= value < math.inf:  # false for NaN too
        raise LimitError(f"{value!r} is negative or not finite; accepted: {metric.accepted}")
    if metric.kind == "count" and value != int(value):
        raise LimitError(f"{value!r} is not whole; accepted: {metric.accepted}")
    return int(value) if value == int(value) else float(value)

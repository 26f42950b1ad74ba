"""Limits on drawings: where each stands on the axis of time, and what of a bar is over it.

A limit on a moment is a line at that moment. One on a part of the test stands where the part has used it up, and one on
the longest gap where that gap should have ended. What has no place on an axis, as tokens have none, stands on the left
below the bar. A percentile is a line on each sample, and a part of a bar is over it only where it is broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.limit import PARTS, Limit, SomeCalls
from pytest_claude_latency.metrics.metric import METRICS, Metric, show

Spans: TypeAlias = list[tuple[float, float]]
Bars: TypeAlias = Iterator[tuple[int, float | None, float | None, Spans]]
"""The bars that a limit is on: the number, the measurement, where the limit is, and what is over it."""

_MOMENTS: Final = ("ttfb", "ttft", "ttfa", "total")
_NO_PLACE: Final = -1
_SESSION: Final = {"when": {"endpoint": "session"}}


def limits_of(
    test: Mapping[str, Any], place: Callable[[str], int], percentiles: Sequence[Mapping[str, Any]] = ()
) -> list[list[int]]:
    """Return each limit on each bar: the bar, the budget, a text, where it is, whether it is broken, what is over it.

    Bar 0 is the whole test, and the calls have their numbers. Below zero are first the watched outputs, then the
    blocks, then the event streams of sessions. `place` makes texts numbers. Times are whole microseconds; one that has
    no place on the axis is -1.
    """
    drawn: list[list[int]] = []
    for number, budget in enumerate(budgets_of(test, percentiles)):
        metric, statistic = METRICS[budget["metric"]], budget["statistic"]
        for bar, measured, at, spans in _bars(test, budget, metric):
            is_past = measured is not None and metric.worse(measured, budget["limit"])
            # one sample may be over a percentile that holds
            is_over = is_past and (statistic is None or budget["verdict"] == "broken")
            name = metric.name if statistic is None else f"{metric.name} {statistic}"
            if "block" in budget and bar > 0:
                name = f"block {budget['block']}: {name}"
            text = f"{name} {_shown(metric, budget['limit'])}"
            if at is None:
                reading = f" {_shown(metric, measured)}," if is_past and measured is not None else ""
                text = f"{name}{reading} {metric.direction} {_shown(metric, budget['limit'])}"
            elif is_past and measured is not None:
                text += f", +{_shown(metric, measured - budget['limit'])}"
            entry = [place(text), _NO_PLACE if at is None else _microseconds(at), int(is_over)]
            # a percentile is judged twice where samples met the prompt cache in two states
            if statistic is None or [bar, *entry] not in ([other[0], *other[2:5]] for other in drawn):
                over = [_microseconds(end) for span in spans if is_over for end in span]
                drawn.append([bar, number, *entry, *over])
    # no line crosses a text that has no place of its own
    return sorted(drawn, key=lambda limit: limit[3] == _NO_PLACE)


def budgets_of(test: Mapping[str, Any], percentiles: Sequence[Mapping[str, Any]] = ()) -> Iterator[Mapping[str, Any]]:
    """Yield the limits of the test, then those of its blocks and on watched outputs, each with the number of these.

    The verdicts on percentiles come last.
    """
    yield from test["budgets"]
    for kind, found in (("block", test.get("blocks", ())), ("output", test.get("watched", ()))):
        for number, one in enumerate(found, 1):
            for budget in one.get("budgets", ()):
                yield {**budget, kind: number}
    for verdict in percentiles:
        yield {"reason": None, **verdict}


def name_of(budget: Mapping[str, Any]) -> str:
    """Return what a limit is on: `ttft`, `ttft (call=2)`, `ttft p95`, `total (block 1)`."""
    selector, metric = budget.get("selector"), budget["metric"]
    if selector == _SESSION:
        metric = Limit(metric, None, 0, "", "session").name
    elif selector is not None:
        some = SomeCalls(call=selector.get("call"), when=tuple(selector.get("when", {}).items()))
        metric = Limit(metric, None, 0, "", None, some).name
    words = [metric, *filter(None, [budget["statistic"]])]
    for kind, word in (("block", "block"), ("output", "watched output")):
        words += [f"({word} {budget[kind]})"] if kind in budget else []
    return " ".join(words)


def _bars(test: Mapping[str, Any], budget: Mapping[str, Any], metric: Metric) -> Bars:
    limit = budget["limit"]
    if "output" in budget:
        start, measured = test["watched"][budget["output"] - 1]["start"], budget["measured"]
        at = None if metric.name == "longest_gap" else start + limit
        yield -budget["output"], measured, at, [] if at is None or measured is None else [(at, start + measured)]
    elif metric.scope == "test" and "block" in budget:
        yield _on_block(test, budget, metric)
    elif metric.scope == "test":
        yield _on_whole_test(test, budget, metric)
    elif budget["statistic"] is not None and "when" in budget.get("selector", ()):
        yield 0, None, None, []  # which calls of this sample it is for, a report does not say
    else:
        yield from _on_calls(test, budget, metric)


def _on_block(
    test: Mapping[str, Any], budget: Mapping[str, Any], metric: Metric
) -> tuple[int, float | None, float | None, Spans]:
    block, measured = test["blocks"][budget["block"] - 1], budget["measured"]
    bar = -len(test.get("watched", ())) - budget["block"]
    if metric.kind != "duration" or metric.name in PARTS:
        return bar, measured, None, []
    began = block["start"]
    if metric.name == "elapsed":
        began = min((test["calls"][number - 1]["sent"] for number in block["calls"]), default=began)
    at = began + budget["limit"]
    return bar, measured, at, [(at, began + measured)] if measured is not None else []


def _on_whole_test(
    test: Mapping[str, Any], budget: Mapping[str, Any], metric: Metric
) -> tuple[int, float | None, float | None, Spans]:
    limit = budget["limit"]
    began = test.get("began", 0.0) if metric.name == "first_token" else test.get("origin", 0.0)
    # what a percentile measured is not what this sample did
    measured = budget["measured"] if budget["statistic"] is None else None
    measured = test["elapsed"] if metric.name == "elapsed" else measured
    if metric.name in PARTS:
        segments, parts = test.get("path_segments", ()), PARTS[metric.name]
        if budget["statistic"] is not None:
            measured = sum(end - start for part, start, end in segments if part in parts)
        return 0, measured, *_used_up(segments, parts, limit, began)
    if metric.kind != "duration":
        return 0, measured, None, []
    at = began + limit
    return 0, measured, at, [(at, began + measured)] if measured is not None else []


def _on_calls(test: Mapping[str, Any], budget: Mapping[str, Any], metric: Metric) -> Bars:
    selector, limit = budget.get("selector", {}), budget["limit"]
    is_session = selector == _SESSION
    calls = test.get("session_calls", ()) if is_session else test["calls"]
    wanted = set(range(1, len(calls) + 1))
    if "call" in selector and budget["statistic"] is not None:
        wanted = {selector["call"]}
    elif (selector and not is_session) or (is_session and "block" in budget):
        wanted = {budget["call"]}
    elif "block" in budget:
        wanted = set(test["blocks"][budget["block"] - 1]["calls"])
    for number, call in enumerate(calls, 1):
        if call.get("given_up") or number not in wanted:
            continue
        measured = call.get(metric.name)
        at: float | None = None
        spans: Spans = []
        if metric.name in _MOMENTS:
            at = call["sent"] + limit
            spans = [(at, call["sent"] + measured)] if measured is not None else []
        elif metric.name == "longest_gap" and "longest_gap_span" in call:
            start, end = call["longest_gap_span"]
            at, spans = call["sent"] + start + limit, [(call["sent"] + start + limit, call["sent"] + end)]
        above = len(test.get("watched", ())) + len(test.get("blocks", ()))
        yield -above - number if is_session else number, measured, at, spans


def _used_up(
    segments: Sequence[Sequence[Any]], parts: Sequence[str], limit: float, origin: float
) -> tuple[float | None, Spans]:
    """Return where a part of the test has taken as long as it may, and all of it that comes later."""
    left, at, spans = limit, None, []
    for part, start, end in segments:
        if part not in parts:
            continue
        if end - start > left:
            at = origin + start + left if at is None else at
            spans.append((origin + start + left, origin + end))
        left = max(left - (end - start), 0.0)
    return at, spans


def _shown(metric: Metric, value: float) -> str:
    return show(metric, round(value * float(duration.SECOND)) if metric.kind == "duration" else value)


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)

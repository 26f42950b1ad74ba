"""Limits on drawings: where each stands on the axis of time, and what of a bar is over it.

A limit on a moment is a line at that moment. One on a part of the test stands where the part has used it up, and one on
the longest gap where that gap should have ended. What has no place on an axis, as tokens have none, stands in the label
of the bar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.limit import PARTS
from pytest_claude_latency.metrics.metric import METRICS, Metric, show

Spans: TypeAlias = list[tuple[float, float]]

_MOMENTS: Final = ("ttfb", "ttft", "ttfa", "total")
_NO_PLACE: Final = -1


def limits_of(test: Mapping[str, Any], place: Callable[[str], int]) -> list[list[int]]:
    """Return each limit on each bar: the bar, the budget, a text, where it is, whether it is broken, what is over it.

    Bar 0 is the whole test; the others are the calls, by their numbers, and with a minus the watched outputs. `place`
    makes texts numbers. Times are whole microseconds; one that has no place on the axis is -1.
    """
    drawn = []
    for number, budget in enumerate(budgets_of(test)):
        # a percentile is of several samples, and has a drawing of its own
        if budget["statistic"] is not None:
            continue
        metric = METRICS[budget["metric"]]
        for bar, measured, at, spans in _bars(test, budget, metric):
            is_over = measured is not None and metric.worse(measured, budget["limit"])
            text = f"{metric.name} {_shown(metric, budget['limit'])}"
            if at is None:
                reading = f" {_shown(metric, measured)}," if is_over and measured is not None else ""
                text = f"{metric.name}{reading} {metric.direction} {_shown(metric, budget['limit'])}"
            elif is_over and measured is not None:
                text += f", +{_shown(metric, measured - budget['limit'])}"
            entry = [bar, number, place(text), _NO_PLACE if at is None else _microseconds(at), int(is_over)]
            drawn.append(entry + [_microseconds(end) for span in spans if is_over for end in span])
    return drawn


def budgets_of(test: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the limits of the test, then those on watched outputs, with the number of the output."""
    yield from test["budgets"]
    for number, output in enumerate(test.get("watched", ()), 1):
        for budget in output.get("budgets", ()):
            yield {**budget, "selector": f"watched output {number}", "output": number}


def _bars(
    test: Mapping[str, Any], budget: Mapping[str, Any], metric: Metric
) -> Iterator[tuple[int, float | None, float | None, Spans]]:
    """Yield the bars that a limit is on: the number, the measurement, where the limit is, and what is over it."""
    limit = budget["limit"]
    at: float | None
    spans: Spans
    if "output" in budget:
        start, measured = test["watched"][budget["output"] - 1]["start"], budget["measured"]
        at = None if metric.name == "longest_gap" else start + limit
        yield -budget["output"], measured, at, [] if at is None or measured is None else [(at, start + measured)]
        return
    if metric.scope == "test":
        began = test.get("began", 0.0) if metric.name == "first_token" else test.get("origin", 0.0)
        measured = test["elapsed"] if metric.name == "elapsed" else budget["measured"]
        at, spans = None, []
        if metric.name in PARTS:
            at, spans = _used_up(test.get("path_segments", ()), PARTS[metric.name], limit, began)
        elif metric.kind == "duration":
            at = began + limit
            spans = [(at, began + measured)] if measured is not None else []
        yield 0, measured, at, spans
        return
    for number, call in enumerate(test["calls"], 1):
        if call.get("given_up") or ("selector" in budget and budget["call"] != number):
            continue
        measured = call.get(metric.name)
        at, spans = None, []
        if metric.name in _MOMENTS:
            at = call["sent"] + limit
            spans = [(at, call["sent"] + measured)] if measured is not None else []
        elif metric.name == "longest_gap" and "longest_gap_span" in call:
            start, end = call["longest_gap_span"]
            at, spans = call["sent"] + start + limit, [(call["sent"] + start + limit, call["sent"] + end)]
        yield number, measured, at, spans


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
    return show(metric, round(value * duration.SECOND) if metric.kind == "duration" else value)


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)

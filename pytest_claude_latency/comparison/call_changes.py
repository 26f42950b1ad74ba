"""Call changes: what two exact runs of one test did differently, call by call.

Calls are paired by what they asked, then by where they stand. A call that is sent later only because an
earlier one took longer has not moved: its place is told from the call whose end it followed.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from pytest_claude_latency import duration
from pytest_claude_latency.comparison.call_pairing import paired
from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.metrics.metric import METRICS, measurement, show
from pytest_claude_latency.metrics.sample import Sample
from pytest_claude_latency.metrics.timeline import Call

Kind: TypeAlias = Literal["appeared", "vanished", "moved", "no longer overlaps", "overlaps", "asked", "answered"]
Pairs: TypeAlias = Mapping[int, int]
"""Places of calls in the later run → places in the earlier one, both from 0."""

_ANSWERS: Mapping[str, str] = {
    "first token after": "ttft",
    "complete after": "total",
    "attempts": "attempts",
    "prompt tokens": "prompt_tokens",
    "output tokens": "output_tokens",
}


@dataclass(frozen=True, slots=True)
class CallChange:
    """One thing that is different. `call` is a number from 1: in the later run, or in the earlier if it vanished."""

    kind: Kind
    call: int
    text: str


def call_changes(before: Sample, after: Sample, tolerance: Decimal = Decimal(0)) -> tuple[CallChange, ...]:
    """What happened to the calls of a test: those that vanished first, then call by call.

    Spans are different if they changed by more than `tolerance`, a share of what they were.
    """
    pairs = _paired(before, after)
    vanished = [
        CallChange("vanished", place + 1, f"call {place + 1} of before vanished: {_what(call)}")
        for place, call in enumerate(before.calls)
        if place not in pairs.values()
    ]
    changes = (
        change for place in range(len(after.calls)) for change in _changes(place, before, after, pairs, tolerance)
    )
    return (*vanished, *changes)


def beyond(before: float | None, after: float | None, tolerance: Decimal) -> bool:
    """Whether a number changed by more than this share of what it was; none, or an infinite one, to any other did."""
    if before is None or after is None or math.inf in (before, after):
        return before != after
    return abs(Decimal(after) - Decimal(before)) > tolerance * Decimal(before)


def _changes(place: int, before: Sample, after: Sample, pairs: Pairs, tolerance: Decimal) -> Iterator[CallChange]:
    number = place + 1
    if place not in pairs:
        yield CallChange("appeared", number, f"call {number} appeared: {_what(after.calls[place])}")
        return
    if asked := _asked(before, pairs[place], after, place):
        yield CallChange("asked", number, f"call {number} asked otherwise: {', '.join(asked)}")
    if answered := _answered(before.calls[pairs[place]], after.calls[place], tolerance):
        yield CallChange("answered", number, f"call {number} was answered otherwise: {', '.join(answered)}")
    lost, won = _overlaps(place, before, after, pairs)
    if lost:
        yield CallChange("no longer overlaps", number, f"call {number} no longer overlaps {_calls(lost)}")
    if won:
        yield CallChange("overlaps", number, f"call {number} now overlaps {_calls(won)}")
    if not lost and not won:
        yield from _moved(place, before, after, pairs, tolerance)


# ── which call is which ──


def _paired(before: Sample, after: Sample) -> Pairs:
    return paired(_keys(before), _keys(after))


def _keys(sample: Sample) -> list[tuple[Hashable, Hashable]]:
    return [(_request(sample, place), _shape(sample, place)) for place in range(len(sample.calls))]


def _request(sample: Sample, place: int) -> Hashable:
    """What was asked; where that is not known, how long it was."""
    call = sample.calls[place]
    return _conditions(sample, place).get("prompt", call.prompt_tokens), call.model, call.streamed


def _shape(sample: Sample, place: int) -> Hashable:
    call = sample.calls[place]
    return call.model, call.streamed


def _conditions(sample: Sample, place: int) -> Mapping[str, str]:
    return sample.conditions[place] if place < len(sample.conditions) else {}


# ── what is different about a call ──


def _asked(before: Sample, old: int, after: Sample, new: int) -> list[str]:
    was, now = _facts(before, old), _facts(after, new)
    return [
        "another prompt" if name == "prompt" else f"{name} {now.get(name, 'not set')}, was {was.get(name, 'not set')}"
        for name in sorted(was | now)
        if was.get(name) != now.get(name)
    ]


def _facts(sample: Sample, place: int) -> dict[str, str]:
    return {"model": str(sample.calls[place].model), **_conditions(sample, place)}


def _answered(was: Call, now: Call, tolerance: Decimal) -> list[str]:
    found = []
    for name, metric in _ANSWERS.items():
        old, new = measurement(METRICS[metric], was), measurement(METRICS[metric], now)
        if beyond(old, new, tolerance):
            found.append(f"{name} {_shown(metric, new)}, was {_shown(metric, old)}")
    return found


def _shown(metric: str, value: float | None) -> str:
    return "none" if value is None else show(METRICS[metric], value)


def _what(call: Call) -> str:
    return f"{call.model or 'model unknown'}, sent at {duration.show(_sent(call))}"


# ── when it ran ──


def _sent(call: Call) -> Nanoseconds:
    return duration.nanoseconds(call.sent)


def _end(call: Call) -> Nanoseconds:
    return _sent(call) + duration.nanoseconds(call.total or 0.0)


def _overlap(one: Call, other: Call) -> bool:
    return _sent(one) < _end(other) and _sent(other) < _end(one)


def _overlaps(place: int, before: Sample, after: Sample, pairs: Pairs) -> tuple[list[int], list[int]]:
    """The earlier calls that this one overlapped and does no longer, and those it overlaps only now."""
    lost, won = [], []
    for other in range(place):
        if other in pairs:
            then = _overlap(before.calls[pairs[other]], before.calls[pairs[place]])
            now = _overlap(after.calls[other], after.calls[place])
            if then and not now:
                lost.append(other + 1)
            if now and not then:
                won.append(other + 1)
    return lost, won


def _moved(place: int, before: Sample, after: Sample, pairs: Pairs, tolerance: Decimal) -> Iterator[CallChange]:
    old_anchor, old_wait = _place(before.calls, pairs[place])
    anchor, wait = _place(after.calls, place)
    same = old_anchor is None if anchor is None else pairs.get(anchor) == old_anchor
    if same and not beyond(old_wait, wait, tolerance):
        return
    was = _where(old_anchor, old_wait, "" if same else " of before")
    yield CallChange("moved", place + 1, f"call {place + 1} moved: sent {_where(anchor, wait)}, was {was}")


def _place(calls: Sequence[Call], place: int) -> tuple[int | None, Nanoseconds]:
    """The call whose end this one followed, and how long after; None and the time since the first one was sent."""
    call = calls[place]
    ended = [other for other, each in enumerate(calls) if other != place and _end(each) <= _sent(call)]
    if not ended:
        return None, _sent(call) - min(map(_sent, calls))
    last = max(ended, key=lambda other: _end(calls[other]))
    return last, _sent(call) - _end(calls[last])


def _where(anchor: int | None, wait: Nanoseconds, run: str = "") -> str:
    moment = "the first was sent" if anchor is None else f"call {anchor + 1}{run} ended"
    return f"{duration.show(wait)} after {moment}" if wait else f"when {moment}"


def _calls(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"call {numbers[0]}"
    return f"calls {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"

"""Call changes: what two exact runs of one test did differently, call by call.

Calls are paired by what they asked, then by where they stand. A call that is sent later only because an earlier one
took longer has not moved: its place is measured from the end of the call that it followed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from pytest_claude_latency import duration
from pytest_claude_latency.comparison.call_pairing import paired
from pytest_claude_latency.comparison.condition_changes import fact_changes
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
"""The facts about an answer that are compared, and their metrics."""


@dataclass(frozen=True, slots=True)
class CallChange:
    """One thing that is different. `call` is a number from 1: in the later run, or in the earlier if it vanished."""

    kind: Kind
    call: int
    text: str


def call_changes(before: Sample, after: Sample, tolerance: Decimal = Decimal(0)) -> tuple[CallChange, ...]:
    """Return what happened to the calls of a test: first the calls that vanished, then each call of the later run.

    A time counts as changed if it changed by more than `tolerance`, a share of what it was.
    """
    # by what was asked (the prompt's length if the prompt is unknown), then by model and streaming
    earlier, later = (
        [
            (
                (_conditions(sample, place).get("prompt", call.prompt_tokens), call.model, call.streamed),
                (call.model, call.streamed),
            )
            for place, call in enumerate(sample.calls)
        ]
        for sample in (before, after)
    )
    pairs = paired(earlier, later)
    vanished = [
        CallChange(
            "vanished", place + 1, f"call {place + 1} of the earlier run{_made_at(call)} vanished: {_described(call)}"
        )
        for place, call in enumerate(before.calls)
        if place not in pairs.values()
    ]
    changes = (
        change for place in range(len(after.calls)) for change in _changes(place, before, after, pairs, tolerance)
    )
    return (*vanished, *changes)


def beyond(before: float | None, after: float | None, tolerance: Decimal) -> bool:
    """Whether a number changed by more than `tolerance`, a share of what it was.

    A number that is None or infinite on one side only always changed.
    """
    if before is None or after is None or math.inf in (before, after):
        return before != after
    # exact: in floats a change of just the tolerance might count
    return abs(Decimal(after) - Decimal(before)) > tolerance * Decimal(before)


def _changes(place: int, before: Sample, after: Sample, pairs: Pairs, tolerance: Decimal) -> Iterator[CallChange]:
    number, new = place + 1, after.calls[place]
    name = f"call {number}{_made_at(new)}"
    # without a pair there is nothing else to compare it with
    if place not in pairs:
        yield CallChange("appeared", number, f"{name} appeared: {_described(new)}")
        return
    old = before.calls[pairs[place]]
    was_asked = {"model": str(old.model), **_conditions(before, pairs[place])}
    is_asked = {"model": str(new.model), **_conditions(after, place)}
    if asked := fact_changes(was_asked, is_asked):
        yield CallChange("asked", number, f"{name} asked differently: {', '.join(asked)}")
    if answered := list(_answer_changes(old, new, tolerance)):
        yield CallChange("answered", number, f"{name} was answered differently: {', '.join(answered)}")
    lost, won = _overlap_changes(place, before, after, pairs)
    if lost:
        yield CallChange("no longer overlaps", number, f"{name} no longer overlaps {_calls(lost)}")
    if won:
        yield CallChange("overlaps", number, f"{name} now overlaps {_calls(won)}")
    if lost or won:  # that says already that it was sent at another time
        return
    old_anchor, old_wait = _anchor(before.calls, pairs[place])
    anchor, wait = _anchor(after.calls, place)
    # the same anchor is the call that is its pair, not the call with the same number
    same = old_anchor is None if anchor is None else pairs.get(anchor) == old_anchor
    if not same or beyond(old_wait, wait, tolerance):
        was = _where(old_anchor, old_wait, "" if same else " of the earlier run")
        yield CallChange("moved", number, f"{name} moved: sent {_where(anchor, wait)}, was {was}")


def _conditions(sample: Sample, place: int) -> Mapping[str, str]:
    return sample.conditions[place] if place < len(sample.conditions) else {}


def _answer_changes(old: Call, new: Call, tolerance: Decimal) -> Iterator[str]:
    for label, name in _ANSWERS.items():
        metric = METRICS[name]
        was, now = measurement(metric, old), measurement(metric, new)
        if beyond(was, now, tolerance):
            old_text, new_text = ("none" if value is None else show(metric, value) for value in (was, now))
            yield f"{label} {new_text}, was {old_text}"


def _described(call: Call) -> str:
    return f"{call.model or 'model unknown'}, sent at {duration.show(_sent(call))}"


def _made_at(call: Call) -> str:
    return f" ({call.location})" if call.location else ""


def _calls(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"call {numbers[0]}"
    return f"calls {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


# ── when a call ran ──


def _sent(call: Call) -> Nanoseconds:
    return duration.nanoseconds(call.sent)


def _end(call: Call) -> Nanoseconds:
    return _sent(call) + duration.nanoseconds(call.total or 0.0)


def _overlap(call: Call, second: Call) -> bool:
    return _sent(call) < _end(second) and _sent(second) < _end(call)


def _overlap_changes(place: int, before: Sample, after: Sample, pairs: Pairs) -> tuple[list[int], list[int]]:
    """Return the numbers of the earlier calls that this one no longer overlaps, and of those that it overlaps now."""
    lost, won = [], []
    for earlier in range(place):
        if earlier in pairs:
            then = _overlap(before.calls[pairs[earlier]], before.calls[pairs[place]])
            now = _overlap(after.calls[earlier], after.calls[place])
            if then and not now:
                lost.append(earlier + 1)
            if now and not then:
                won.append(earlier + 1)
    return lost, won


def _anchor(calls: Sequence[Call], place: int) -> tuple[int | None, Nanoseconds]:
    """Return the place of the call whose end this one followed, and how long after.

    Where it followed none: None, and the time since the first call was sent.
    """
    call = calls[place]
    # a call that is sent at the instant another ended most likely waited for it
    ended = [earlier for earlier, candidate in enumerate(calls) if earlier != place and _end(candidate) <= _sent(call)]
    if not ended:
        return None, _sent(call) - min(map(_sent, calls))
    last = max(ended, key=lambda earlier: _end(calls[earlier]))
    return last, _sent(call) - _end(calls[last])


def _where(anchor: int | None, wait: Nanoseconds, run: str = "") -> str:
    moment = "the first was sent" if anchor is None else f"call {anchor + 1}{run} ended"
    return f"{duration.show(wait)} after {moment}" if wait else f"when {moment}"

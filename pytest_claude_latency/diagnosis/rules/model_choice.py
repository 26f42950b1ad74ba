"""Rules about the model: which one answers, and how much it thinks."""

from __future__ import annotations

from statistics import median_low

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.breakdown import Part
from pytest_claude_latency.diagnosis.finding import Finding, Saving
from pytest_claude_latency.diagnosis.trace import PromptCall, Trace, numbers
from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds

_FASTER = 0.75
_LEAST_GAIN = 300 * MILLISECOND
_MOSTLY = 0.5
_LEAST_THINKING = SECOND


def slower_model(trace: Trace) -> Finding | None:
    """The recordings hold a faster model for like work.

    Silent where the faster one did other work: another system prompt, other tools, a prompt or an answer of another
    length.
    """
    pairs = [(call, _faster(trace, call)) for call in trace.calls]
    found = [(_gain(call, others), call, others) for call, others in pairs if others]
    if not found:
        return None
    gain, worst, others = max(found, key=lambda each: each[0])
    model = others[0].timeline.model
    return Finding(
        rule="slower-model",
        fact=f"{trace.name(worst)} took {duration.show(worst.breakdown.total)} with {worst.timeline.model}; for like "
        f"work {model} took {duration.show(_median(others))}",
        remedy=f"{model}, and see that its answers are still good enough",
        cost=gain,
        guide=1,
        saving=Saving(span=gain, how=f"with {model}", calls=len(others)),
        calls=numbers([worst]),
    )


def _faster(trace: Trace, call: PromptCall) -> list[PromptCall]:
    """The calls of the fastest other model for like work, if that is much faster."""
    if not call.answered:
        return []
    by_model: dict[str, list[PromptCall]] = {}
    for each in trace.like(call):
        if each.timeline.model and each.timeline.model != call.timeline.model and _is_as_much(call, each):
            by_model.setdefault(each.timeline.model, []).append(each)
    if not by_model:
        return []
    fastest = min(by_model.values(), key=_median)
    much = _median(fastest) <= _FASTER * _time(call) and _time(call) - _median(fastest) >= _LEAST_GAIN
    return fastest if much else []


def _gain(call: PromptCall, others: list[PromptCall]) -> Nanoseconds:
    return _time(call) - _median(others)


def _is_as_much(call: PromptCall, other: PromptCall) -> bool:
    """Whether the answers are of like length, and end alike."""
    one, two = call.output_tokens, other.output_tokens
    return bool(one and two) and max(one, two) <= 2 * min(one, two) and _stop(call) == _stop(other)


def _stop(call: PromptCall) -> str | None:
    return call.timeline.stop_reason


def _time(call: PromptCall) -> Nanoseconds:
    """What its answer took, without what retries and a new connection added."""
    return call.breakdown.total - call.breakdown.of(Part.REFUSED, Part.BACK_OFF, Part.CONNECTION)


def _median(calls: list[PromptCall]) -> Nanoseconds:
    return median_low(map(_time, calls))


def long_thinking(trace: Trace) -> Finding | None:
    """Thinking took most of the wait for the answer. Silent where it took little time, or was little of it."""
    found = [call for call in trace.calls if _thought_long(call)]
    if not found:
        return None
    worst = max(found, key=_thinking)
    tokens = worst.timeline.usage.thinking
    counted = f" ({tokens} tokens)" if tokens else ""
    wait = worst.timeline.ttfa or 0
    return Finding(
        rule="long-thinking",
        fact=f"thinking took {duration.show(_thinking(worst))}{counted} of the {duration.show(wait)} until the answer "
        f"of {trace.name(worst)} began" + trace.and_others(found),
        remedy="lower the effort or the budget for thinking, or take a model without",
        cost=sum(map(_thinking, found)),
        calls=numbers(found),
    )


def _thinking(call: PromptCall) -> Nanoseconds:
    """The time it thought before its answer began."""
    answered = call.timeline.ttfa or 0
    return sum(each.length for each in call.breakdown.segments if each.part is Part.THINKING and each.end <= answered)


def _thought_long(call: PromptCall) -> bool:
    wait = call.timeline.ttfa
    return wait is not None and _thinking(call) >= max(_LEAST_THINKING, _MOSTLY * wait)

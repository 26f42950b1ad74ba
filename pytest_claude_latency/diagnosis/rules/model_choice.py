"""Rules about the model: which one answers, and how much it thinks."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_low

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.breakdown import Part
from pytest_claude_latency.diagnosis.finding import Finding, Saving
from pytest_claude_latency.diagnosis.trace import PromptCall, Trace, numbers
from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds

# a small difference between two sessions may be the API's
_FASTER = 0.75
_LEAST_GAIN = 300 * MILLISECOND
# thinking that is less than half of the wait is not what a reader waits for
_MOSTLY = 0.5
_LEAST_THINKING = SECOND


def slower_model(trace: Trace) -> Finding | None:
    """Find a call for whose work the recordings hold a faster model.

    Silent where the faster model did other work: another system prompt, other tools, a prompt or an answer of another
    length.
    """
    slower = {call.number: faster for call in trace.calls if (faster := _by_faster_model(trace, call))}
    calls = [call for call in trace.calls if call.number in slower]
    if not calls:
        return None
    worst = trace.worst(calls, key=lambda call: _time(call) - _median_time(slower[call.number]))
    faster = slower[worst.number]
    model, gain = faster[0].timeline.model, _time(worst) - _median_time(faster)
    return Finding(
        rule="slower-model",
        fact=f"{trace.name(worst)} took {duration.show(worst.breakdown.total)} with {worst.timeline.model}; "
        f"{model} took {duration.show(_median_time(faster))} for similar work",
        remedy=f"{model}, and check that its answers are still good enough",
        cost=gain,
        guide=1,
        saving=Saving(span=gain, how=f"with {model}", calls=len(faster)),
        calls=numbers([worst]),
    )


def _by_faster_model(trace: Trace, call: PromptCall) -> list[PromptCall]:
    """Return the calls of the fastest other model that did similar work, if that model is much faster."""
    if not call.answered:
        return []
    calls_by_model: dict[str, list[PromptCall]] = {}
    for like in trace.like(call):
        model, tokens = like.timeline.model, sorted((call.output_tokens, like.output_tokens))
        if (
            model
            and model != call.timeline.model
            # An answer of another length takes another time, whatever the model. Zero is "unknown".
            and 0 < tokens[0] <= tokens[1] <= 2 * tokens[0]
            and like.timeline.stop_reason == call.timeline.stop_reason
        ):
            calls_by_model.setdefault(model, []).append(like)
    if not calls_by_model:
        return []
    # the median of a model's calls, since a single lucky answer is not what a user would get from it
    fastest = min(calls_by_model.values(), key=_median_time)
    median, time = _median_time(fastest), _time(call)
    return fastest if median <= _FASTER * time and time - median >= _LEAST_GAIN else []


def _time(call: PromptCall) -> Nanoseconds:
    """Return what the model took for its answer: retries and a new connection are not the model's."""
    return call.breakdown.total - call.breakdown.time_in(Part.REFUSED, Part.BACK_OFF, Part.CONNECTION)


def _median_time(calls: Sequence[PromptCall]) -> Nanoseconds:
    return median_low(map(_time, calls))


def long_thinking(trace: Trace) -> Finding | None:
    """Find calls where thinking took most of the wait for the answer.

    Silent where thinking took less than a second, or less than half of the wait.
    """
    calls = [
        call
        for call in trace.calls
        if (wait := call.timeline.ttfa) is not None and _thinking(call) >= max(_LEAST_THINKING, _MOSTLY * wait)
    ]
    if not calls:
        return None
    worst = trace.worst(calls, key=_thinking)
    tokens = worst.timeline.usage.thinking
    counted = f" ({tokens} tokens)" if tokens else ""
    return Finding(
        rule="long-thinking",
        fact=f"thinking took {duration.show(_thinking(worst))}{counted} "
        f"of the {duration.show(worst.timeline.ttfa or 0)} until the answer of {trace.name(worst)} began"
        + trace.and_others(calls),
        remedy="lower the effort or the budget for thinking, or take a model that does not think",
        cost=sum(map(_thinking, calls)),
        costs=tuple(map(_thinking, calls)),
        calls=numbers(calls),
    )


def _thinking(call: PromptCall) -> Nanoseconds:
    """Return how long it thought before its answer began."""
    answered = call.timeline.ttfa or 0
    return sum(
        segment.length
        for segment in call.breakdown.segments
        if segment.part is Part.THINKING and segment.end <= answered
    )

"""Rules about streaming."""

from __future__ import annotations

from statistics import median_low

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.breakdown import Part
from pytest_claude_latency.diagnosis.finding import Finding, Saving
from pytest_claude_latency.diagnosis.trace import PromptCall, Trace, numbers
from pytest_claude_latency.duration import MILLISECOND

_LEAST_TIME = 800 * MILLISECOND
_LEAST_TOKENS = 30
_TO_FIRST_TOKEN = frozenset({"ttft", "ttfa"})


def not_streamed(trace: Trace) -> Finding | None:
    """A reader waited for the last token to see the first.

    Silent about short or fast answers, unless a budget on the first token is broken, and about those that a program
    needs whole: the use of tools, formats.
    """
    pressing = bool(trace.broken & _TO_FIRST_TOKEN)
    found = [call for call in trace.calls if _could_stream(call) and (pressing or _is_long(call))]
    if not found:
        return None
    worst = max(found, key=lambda call: call.breakdown.of(Part.WHOLE))
    total = worst.breakdown.total
    return Finding(
        rule="not-streamed",
        fact=f"not streamed: the first token of {trace.name(worst)} came with the last, after {duration.show(total)}"
        + trace.and_others(found),
        remedy="stream the answer, and show it as it arrives",
        cost=sum(call.breakdown.of(Part.WHOLE) for call in found),
        guide=3,
        saving=_saving(trace, worst),
        calls=numbers(found),
    )


def _could_stream(call: PromptCall) -> bool:
    return call.answered and not call.timeline.streamed and call.is_prose


def _is_long(call: PromptCall) -> bool:
    return call.breakdown.of(Part.WHOLE) >= _LEAST_TIME and call.output_tokens >= _LEAST_TOKENS


def _saving(trace: Trace, worst: PromptCall) -> Saving | None:
    """By how much earlier the first token of like answers of the same model came that did stream."""
    first = [
        each.timeline.ttft - (each.attempts[-1].sent - each.sent)
        for run in (trace, *trace.related)
        for each in run.calls
        if each.timeline.streamed
        and each.timeline.ttft is not None
        and each.timeline.model == worst.timeline.model
        and each.prompt_tokens <= 2 * worst.prompt_tokens <= 4 * each.prompt_tokens
    ]
    if not first or (span := worst.breakdown.of(Part.WHOLE) - median_low(first)) <= 0:
        return None
    return Saving(span=span, how="until the first token", calls=len(first))

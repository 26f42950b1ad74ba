"""The rule about streaming."""

from __future__ import annotations

from statistics import median_low

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.breakdown import Part
from pytest_claude_latency.diagnosis.finding import Finding, Saving
from pytest_claude_latency.diagnosis.trace import Trace, numbers
from pytest_claude_latency.duration import MILLISECOND

# people begin to notice a wait at about a second
_LEAST_TIME = 800 * MILLISECOND
_LEAST_TOKENS = 30
_TO_FIRST_TOKEN = frozenset({"ttft", "ttfa"})


def not_streamed(trace: Trace) -> Finding | None:
    """Find calls whose reader had to wait for the last token to see the first.

    Silent about short or fast answers, unless a budget on the first token is broken. Silent about answers that a
    program needs complete: the use of tools, formats.
    """
    # a limit on the first token says that somebody waits for it, however short the answer
    pressing = bool(trace.broken & _TO_FIRST_TOKEN)
    calls = [
        call
        for call in trace.calls
        if (call.answered and not call.timeline.streamed and call.is_prose)
        and (pressing or (call.generating >= _LEAST_TIME and call.output_tokens >= _LEAST_TOKENS))
    ]
    if not calls:
        return None
    worst = trace.worst(calls, key=lambda call: call.breakdown.time_in(Part.WHOLE))
    # what like calls that did stream took to their first token, without what their retries took
    times_to_first_token = [
        call.timeline.ttft - (call.attempts[-1].sent - call.sent)
        for run in (trace, *trace.related)
        for call in run.calls
        if call.timeline.streamed
        and call.timeline.ttft is not None
        and call.timeline.model == worst.timeline.model
        # a prompt of another length takes another time to read, so it tells nothing about this one
        and call.prompt_tokens <= 2 * worst.prompt_tokens <= 4 * call.prompt_tokens
    ]
    saved = worst.breakdown.time_in(Part.WHOLE) - median_low(times_to_first_token) if times_to_first_token else 0
    return Finding(
        rule="not-streamed",
        fact=f"not streamed: the first token of {trace.name(worst)} came with the last, "
        f"after {duration.show(worst.breakdown.total)}" + trace.and_others(calls),
        remedy="stream the answer, and show it as it arrives",
        cost=sum(call.breakdown.time_in(Part.WHOLE) for call in calls),
        costs=tuple(call.breakdown.time_in(Part.WHOLE) for call in calls),
        guide=3,
        saving=Saving(span=saved, how="until the first token", calls=len(times_to_first_token)) if saved > 0 else None,
        calls=numbers(calls),
    )

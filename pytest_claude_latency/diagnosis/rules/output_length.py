"""Rules about the length of answers."""

from __future__ import annotations

from statistics import median_low

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.breakdown import Part
from pytest_claude_latency.diagnosis.finding import Finding, Saving
from pytest_claude_latency.diagnosis.trace import PromptCall, Trace, numbers
from pytest_claude_latency.duration import SECOND

_MOSTLY = 0.5
_LEAST_TIME = SECOND
_LEAST_TOKENS = 100  # an answer of a few sentences, of which nobody can leave half out
_BY_DESIGN = 16  # an answer limited to so few tokens is a choice among given answers
# people leave room for a long answer; a limit is far above only if no answer came near it
_FAR_ABOVE = 8
_LEAST_SLACK = 500
_ENOUGH_ANSWERS = 3
# the guide recommends about 0.2 for more focused answers
_HIGH, _LOW = 0.8, 0.4
_LONG = 300  # tokens: short answers have no room to wander
_AS_LONG = 0.9  # answers at one temperature differ by more than a tenth among themselves


def much_output(trace: Trace) -> Finding | None:
    """Find calls that spent most of their time on generating the answer.

    Silent about short answers, fast ones, the input of tools, and formats.
    """
    calls = [
        call
        for call in trace.calls
        if call.breakdown.time_in(Part.ANSWERING) >= max(_LEAST_TIME, _MOSTLY * call.breakdown.total)
        and (call.breakdown.tokens.get(Part.ANSWERING) or 0) >= _LEAST_TOKENS
        and call.is_prose
    ]
    if not calls:
        return None
    worst = trace.worst(calls, key=lambda call: call.breakdown.time_in(Part.ANSWERING))
    span, tokens = worst.breakdown.time_in(Part.ANSWERING), worst.breakdown.tokens.get(Part.ANSWERING) or 0
    return Finding(
        rule="much-output",
        fact=f"{duration.show(span)} of the {duration.show(worst.breakdown.total)} of {trace.name(worst)} went into "
        f"{tokens} tokens of output ({tokens * SECOND / span:.0f} tokens/s)" + trace.and_others(calls),
        remedy="ask for a shorter answer, in sentences or paragraphs",
        cost=sum(call.breakdown.time_in(Part.ANSWERING) for call in calls),
        costs=tuple(call.breakdown.time_in(Part.ANSWERING) for call in calls),
        guide=2,
        # the time for an answer is proportional to its tokens, so half of one is half of the other
        saving=Saving(span=span // 2, how="with half as many tokens", calls=1),
        calls=numbers(calls),
    )


def cut_off(trace: Trace) -> Finding | None:
    """Find answers that `max_tokens` ended. Silent where it leaves room for a word or two only, as a choice needs."""
    calls = [
        call
        for call in trace.calls
        if call.answered and call.timeline.stop_reason in ("max_tokens", "length") and _max_tokens(call) > _BY_DESIGN
    ]
    if not calls:
        return None
    worst = trace.worst(calls, key=lambda call: call.breakdown.total)
    # a full stop at the cut would be chance, a letter or digit is not
    where = " in mid-sentence" if worst.text[-1:].isalnum() else ""
    return Finding(
        rule="cut-off",
        fact=f"max_tokens={_max_tokens(worst)} cut {trace.name(worst)} off{where}: "
        "what was measured is not the whole answer" + trace.and_others(calls),
        remedy="raise the limit, or ask for less",
        cost=sum(call.generating for call in calls),
        costs=tuple(call.generating for call in calls),
        guide=2,
        calls=numbers(calls),
    )


def limit_far_above(trace: Trace) -> Finding | None:
    """Find a call whose `max_tokens` is far above what the answers of like calls used.

    Silent about few answers, about calls with tools or thinking, which need room, and where an answer came near the
    limit.
    """
    # one finding is enough: calls of one kind share their limit
    for call in trace.calls:
        alike = [like for like in (call, *trace.like(call)) if _is_plain_answer(like)]
        if len(alike) < _ENOUGH_ANSWERS or not _is_plain_answer(call):
            continue
        most = max(like.output_tokens for like in alike)
        if _max_tokens(call) < _FAR_ABOVE * most or _max_tokens(call) - most < _LEAST_SLACK:
            continue
        enough = -(-2 * most // 50) * 50  # twice the longest answer, rounded up to 50
        return Finding(
            rule="limit-far-above",
            fact=f"max_tokens is {_max_tokens(call)}, and {len(alike)} answers of {trace.name(call)} and calls like it "
            f"used at most {most} tokens",
            remedy=f"lower it, for example to {enough}: no answer becomes faster, but none can run away",
            cost=0,
            guide=2,
            calls=(call.number,),
        )
    return None


def _is_plain_answer(call: PromptCall) -> bool:
    """Whether it answered without thinking and tools, and ended by itself."""
    return call.ended_by_itself and call.output_tokens > 0 and not call.thinks and not call.body.get("tools")


def high_temperature(trace: Trace) -> Finding | None:
    """Find long answers at a high temperature that was asked for.

    Silent about short answers, where thinking asks for that temperature, and where like calls at a low temperature
    answered as long.
    """
    calls = [
        call
        for call in trace.calls
        if (_temperature(call) or 0) >= _HIGH
        and call.output_tokens >= _LONG
        and call.generating >= max(_LEAST_TIME, _MOSTLY * call.breakdown.total)
        and (call.answered and call.is_prose and not call.thinks)
        and _tokens_when_cool(trace, call)[0] <= _AS_LONG * call.output_tokens
    ]
    if not calls:
        return None
    worst = trace.worst(calls, key=lambda call: call.generating)
    cool_tokens, cool_calls = _tokens_when_cool(trace, worst)
    share = 1 - cool_tokens / worst.output_tokens
    return Finding(
        rule="high-temperature",
        fact=f"{trace.name(worst)} answered with {worst.output_tokens} tokens at temperature {_temperature(worst):g}"
        + trace.and_others(calls),
        remedy="a temperature of about 0.2, which sometimes gives more focused and shorter answers",
        cost=sum(call.generating for call in calls),
        costs=tuple(call.generating for call in calls),
        guide=2,
        saving=Saving(span=round(worst.generating * share), how="at the low temperature", calls=cool_calls)
        if cool_calls
        else None,
        calls=numbers(calls),
    )


def _tokens_when_cool(trace: Trace, call: PromptCall) -> tuple[int, int]:
    """Return the median length of the answers of like calls at a low temperature, and how many there are."""
    tokens = [
        like.output_tokens
        for like in trace.like(call)
        if like.output_tokens and (temperature := _temperature(like)) is not None and temperature <= _LOW
    ]
    return (median_low(tokens) if tokens else 0), len(tokens)


def _temperature(call: PromptCall) -> float | None:
    """Return the temperature that was asked for. In Python, True is a number too."""
    temperature = call.body.get("temperature")
    return temperature if isinstance(temperature, int | float) and not isinstance(temperature, bool) else None


def _max_tokens(call: PromptCall) -> int:
    limit = call.body.get("max_tokens")
    return limit if isinstance(limit, int) else 0

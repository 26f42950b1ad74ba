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
_LEAST_TOKENS = 100
_BY_DESIGN = 16  # an answer limited to so few tokens is a choice among given ones
_FAR_ABOVE = 8
_LEAST_SLACK = 500
_ENOUGH_ANSWERS = 3
_HIGH, _LOW = 0.8, 0.4
_LONG = 300


def much_output(trace: Trace) -> Finding | None:
    """Most of the time of a call went into generating its answer.

    Silent about short answers, those that were fast all the same, the input of tools and formats.
    """
    found = [call for call in trace.calls if _is_mostly_output(call)]
    if not found:
        return None
    worst = max(found, key=lambda call: call.breakdown.of(Part.ANSWERING))
    span, tokens = worst.breakdown.of(Part.ANSWERING), worst.breakdown.tokens or 0
    return Finding(
        rule="much-output",
        fact=f"{duration.show(span)} of the {duration.show(worst.breakdown.total)} of {trace.name(worst)} went into "
        f"{tokens} tokens of output ({tokens * SECOND / span:.0f} tokens/s)" + trace.and_others(found),
        remedy="ask for a shorter answer, in sentences or paragraphs",
        cost=sum(call.breakdown.of(Part.ANSWERING) for call in found),
        guide=2,
        saving=Saving(span=span // 2, how="with half as many tokens", calls=1),
        calls=numbers(found),
    )


def _is_mostly_output(call: PromptCall) -> bool:
    span = call.breakdown.of(Part.ANSWERING)
    long = span >= max(_LEAST_TIME, _MOSTLY * call.breakdown.total) and (call.breakdown.tokens or 0) >= _LEAST_TOKENS
    return long and call.is_prose


def cut_off(trace: Trace) -> Finding | None:
    """`max_tokens` ended an answer. Silent where it leaves room for a word or two only, as a choice needs."""
    found = [
        call
        for call in trace.calls
        if call.answered and call.timeline.stop_reason == "max_tokens" and _limit(call) > _BY_DESIGN
    ]
    if not found:
        return None
    worst = max(found, key=lambda call: call.breakdown.total)
    where = " in mid-sentence" if worst.text[-1:].isalnum() else ""
    return Finding(
        rule="cut-off",
        fact=f"max_tokens={_limit(worst)} cut {trace.name(worst)} off{where}: what was measured is not the whole "
        f"answer{trace.and_others(found)}",
        remedy="raise the limit, or ask for less",
        cost=sum(call.generating for call in found),
        guide=2,
        calls=numbers(found),
    )


def limit_far_above(trace: Trace) -> Finding | None:
    """`max_tokens` is far above what the answers of like calls used.

    Silent about few answers, with tools or thinking, which need room, and where an answer came near the limit.
    """
    for call in trace.calls:
        alike = [each for each in (call, *trace.like(call)) if _ended_by_itself(each)]
        if len(alike) < _ENOUGH_ANSWERS or not _ended_by_itself(call):
            continue
        most = max(each.output_tokens for each in alike)
        if _limit(call) < _FAR_ABOVE * most or _limit(call) - most < _LEAST_SLACK:
            continue
        return Finding(
            rule="limit-far-above",
            fact=f"max_tokens is {_limit(call)}, and {len(alike)} answers of {trace.name(call)} and its like used at "
            f"most {most} tokens",
            remedy=f"lower it, to {_round_up(2 * most)} say: no answer becomes faster, but none can run away",
            cost=0,
            guide=2,
            calls=(call.number,),
        )
    return None


def _ended_by_itself(call: PromptCall) -> bool:
    plain = not call.thinks and not call.body.get("tools") and call.output_tokens > 0
    return plain and call.answered and call.timeline.stop_reason in ("end_turn", "stop_sequence")


def high_temperature(trace: Trace) -> Finding | None:
    """A long answer at a high temperature that was asked for.

    Silent about short ones, where thinking asks for that temperature, and where like calls at a low one answered as
    long.
    """
    found = [call for call in trace.calls if _is_long_and_warm(call) and not _is_as_long_when_cool(trace, call)]
    if not found:
        return None
    worst = max(found, key=lambda call: call.generating)
    cool = _cool(trace, worst)
    share = 1 - median_low(each.output_tokens for each in cool) / worst.output_tokens if cool else 0.0
    return Finding(
        rule="high-temperature",
        fact=f"{trace.name(worst)} answered with {worst.output_tokens} tokens at temperature "
        f"{worst.body['temperature']:g}" + trace.and_others(found),
        remedy="a temperature of about 0.2, which sometimes gives more focused and shorter answers",
        cost=sum(call.generating for call in found),
        guide=2,
        saving=Saving(span=round(worst.generating * share), how="at the low temperature", calls=len(cool))
        if cool
        else None,
        calls=numbers(found),
    )


def _is_long_and_warm(call: PromptCall) -> bool:
    temperature = call.body.get("temperature")
    warm = isinstance(temperature, int | float) and not isinstance(temperature, bool) and temperature >= _HIGH
    long = call.output_tokens >= _LONG and call.generating >= max(_LEAST_TIME, _MOSTLY * call.breakdown.total)
    return warm and long and call.answered and call.is_prose and not call.thinks


def _cool(trace: Trace, call: PromptCall) -> list[PromptCall]:
    return [
        each
        for each in trace.like(call)
        if each.output_tokens
        and isinstance(temperature := each.body.get("temperature"), int | float)
        and temperature <= _LOW
    ]


def _is_as_long_when_cool(trace: Trace, call: PromptCall) -> bool:
    cool = _cool(trace, call)
    return bool(cool) and median_low(each.output_tokens for each in cool) > 0.9 * call.output_tokens


def _limit(call: PromptCall) -> int:
    limit = call.body.get("max_tokens")
    return limit if isinstance(limit, int) else 0


def _round_up(tokens: int) -> int:
    return -(-tokens // 50) * 50

"""Rules about what the API does inside one answer: tools of its own, its speed, further iterations, schemas."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any, Final

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.breakdown import Part
from pytest_claude_latency.diagnosis.finding import Finding
from pytest_claude_latency.diagnosis.trace import PromptCall, Trace, numbers
from pytest_claude_latency.duration import SECOND, Nanoseconds
from pytest_claude_latency.plurals import number_of

_LEAST = SECOND  # less is not what a user waits for
_FAST_MODELS: Final = ("*opus-5*",)
"""Models that are known to have fast mode. Of others the recordings tell, once one of their answers came fast."""
_LONG_ANSWER = 3 * SECOND
_MOSTLY = 0.5
_TWICE = 2
_COMPILED = 2  # later calls that show what the wait is without the compilation


def server_tools(trace: Trace) -> Finding | None:
    """Find streams in which the API used tools of its own for a second or more: a web search, say.

    Silent about tools that the program runs, and where the answer does not stream, so that nothing tells the time.
    """
    calls = [call for call in trace.calls if _in_tools(call) >= _LEAST]
    cost = sum(map(_in_tools, calls))
    if not calls or not trace.matters(cost):
        return None
    worst = trace.worst(calls, key=_in_tools)
    uses = len(list(_tool_waits(worst)))
    return Finding(
        rule="server-tools",
        fact=f"in {trace.name(worst)} the API used tools of its own {number_of(uses, 'time')}, which took "
        f"{duration.show(_in_tools(worst))}" + trace.and_others(calls),
        remedy="limit how often (max_uses on the tool), ask for fewer searches, or offer the tool only where needed",
        cost=cost,
        costs=tuple(map(_in_tools, calls)),
        calls=numbers(calls),
    )


def _tool_waits(call: PromptCall) -> Iterator[Nanoseconds]:
    """Yield for each tool that the API used how long its result took."""
    for block, following in pairwise(call.timeline.blocks):
        # `tool_use` is for the program, which runs it after the answer
        is_servers = block.type.endswith("tool_use") and block.type != "tool_use"
        if is_servers and block.ended is not None and following.type.endswith("tool_result"):
            yield following.began - block.ended


def _in_tools(call: PromptCall) -> Nanoseconds:
    return sum(_tool_waits(call))


def standard_speed(trace: Trace) -> Finding | None:
    """Find answers that came at standard speed although fast mode was asked for, or that it could make faster.

    Silent where the API does not say at which speed it answered, about models that have no fast mode, and where the
    answer itself takes little of the time: fast mode brings no sooner first token.
    """
    for was_asked in (True, False):
        calls = [call for call in trace.calls if _at_standard_speed(trace, call, was_asked=was_asked)]
        if not calls:
            continue
        worst = trace.worst(calls, key=lambda call: call.generating)
        fact = f"the answer of {trace.name(worst)} came at standard speed, for {duration.show(worst.generating)}"
        remedy = (
            "look at the rate limits of fast mode, which are its own"
            if was_asked
            else 'fast mode (speed: "fast", with its beta header) brings up to 2.5 times as many tokens a second; '
            "it has rate limits of its own, and switching it clears the prompt cache"
        )
        return Finding(
            rule="standard-speed",
            fact=fact + (", although fast mode was asked for" if was_asked else "") + trace.and_others(calls),
            remedy=remedy,
            cost=sum(call.generating for call in calls),
            costs=tuple(call.generating for call in calls),
            calls=numbers(calls),
        )
    return None


def _at_standard_speed(trace: Trace, call: PromptCall, *, was_asked: bool) -> bool:
    if not call.answered or call.answer.speed != "standard":
        return False
    if was_asked:
        return call.body.get("speed") == "fast"
    takes_long = call.generating >= max(_LONG_ANSWER, _MOSTLY * call.breakdown.total)
    if not takes_long or call.body.get("speed") is not None:
        return False
    # whether the model has fast mode: as far as recordings show that, or as it is known
    model = call.body.get("model")
    alike = [other for run in (trace, *trace.related) for other in run.calls if other.body.get("model") == model]
    if any(other.answer.speed == "fast" for other in alike):
        return True
    # Fast mode is taken from models again: then it is refused, or left out without a word.
    if any(other.body.get("speed") == "fast" for other in alike):
        return False
    return any(fnmatchcase(call.timeline.model or "", pattern) for pattern in _FAST_MODELS)


def extra_iteration(trace: Trace) -> Finding | None:
    """Find answers for which the API first compacted the conversation, or that a fallback model gave.

    Silent about the iterations of tools that the API runs itself, which are another finding.
    """
    calls = [call for call in trace.calls if _extra(call)]
    if not calls:
        return None
    worst = trace.worst(calls, key=_until_answer)
    kind = _extra(worst)
    what = {
        "compaction": "the API compacted the conversation before it answered",
        "fallback_message": "a fallback model answered, after the model that was asked had declined",
    }[kind]
    remedies = {
        "compaction": "compact where nobody waits, for example after an answer, or set the threshold higher",
        "fallback_message": "ask the fallback model at once where the first one is likely to decline",
    }
    return Finding(
        rule="extra-iteration",
        fact=f"in {trace.name(worst)} {what}: two were waited for, {duration.show(_until_answer(worst))} until the "
        "first token" + trace.and_others(calls),
        remedy=remedies[kind],
        cost=sum(map(_until_answer, calls)),
        costs=tuple(map(_until_answer, calls)),
        calls=numbers(calls),
    )


def _extra(call: PromptCall) -> str:
    """Return the kind of iteration that came on top; empty if there was none."""
    kinds = ("compaction", "fallback_message")
    return next((kind for kind in call.answer.iterations if kind in kinds), "")


def _until_answer(call: PromptCall) -> Nanoseconds:
    return call.breakdown.time_in(Part.WAITING, Part.WHOLE)


def schema_compilation(trace: Trace) -> Finding | None:
    """Find a call with a schema that waited far longer than later calls with the same one: it had it compiled.

    Silent without two later calls with an equal schema, and where one of them waited as long.
    """
    for call in trace.concerned_first(trace.calls):
        schema = _schema(call)
        if schema is None or not call.answered:
            continue
        waits = [
            _until_answer(later)
            for run in (trace, *trace.related)
            for later in run.calls
            if later.work == call.work
            and _schema(later) == schema
            and later.answered
            and later is not call
            # A run of which the date is not known cannot be told to be a later one.
            and ((run is trace and later.sent > call.sent) or _is_later(run, trace))
        ]
        earlier = any(_schema(before) == schema for before in trace.calls if before.sent < call.sent) or any(
            _schema(before) == schema for run in trace.related if not _is_later(run, trace) for before in run.calls
        )
        gain = _until_answer(call) - max(waits, default=0)
        if len(waits) < _COMPILED or earlier or gain < _LEAST or _until_answer(call) < _TWICE * max(waits):
            continue
        return Finding(
            rule="schema-compilation",
            fact=f"{trace.name(call)} waited {duration.show(_until_answer(call))}, and {len(waits)} later calls with "
            f"the same schema at most {duration.show(max(waits))}: the API compiles a schema when it first sees it",
            remedy="send the schema once before users do (it is kept for 24 hours), and take several samples",
            cost=gain,
            calls=(call.number,),
            costs=(gain,),
        )
    return None


def _is_later(run: Trace, trace: Trace) -> bool:
    return bool(run.recorded and trace.recorded) and (run.recorded, run.sample) > (trace.recorded, trace.sample)


def _schema(call: PromptCall) -> Any:
    """Return what the API compiles of a request; None if it holds no schema that answers must fit."""
    config, tools = call.body.get("output_config"), call.body.get("tools")
    form = (config.get("format") if isinstance(config, dict) else None) or call.body.get("output_format")
    strict = (
        [tool for tool in tools if isinstance(tool, dict) and tool.get("strict")] if isinstance(tools, list) else []
    )
    return (form, strict) if form or strict else None

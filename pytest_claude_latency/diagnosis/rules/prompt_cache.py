"""Rules about the prompt and its cache."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from itertools import zip_longest
from typing import Any, Final

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.breakdown import Part
from pytest_claude_latency.diagnosis.finding import Finding
from pytest_claude_latency.diagnosis.rules.conversation import KEPT, LOOK_BACK, added_blocks, goes_on
from pytest_claude_latency.diagnosis.trace import PromptCall, Trace, numbers
from pytest_claude_latency.duration import MILLISECOND, Nanoseconds

# The least length of a prompt that the API caches, by model. The first pattern that fits counts.
_LEAST_CACHED: Final = (
    ("*opus-4-[56]*", 4096),
    ("*haiku-4-5*", 4096),
    ("*opus-4-7*", 2048),
    ("*opus-4-8*", 1024),
    ("*opus-5*", 512),
    ("*fable-5-1*", 512),
    ("*sonnet-*", 1024),
    ("*", 4096),  # the most, where nothing is known: nobody must be sent to a cache that does not take the prompt
)
# a short wait shows that the length of the prompt costs little
_LEAST_WAIT = 300 * MILLISECOND
_CACHED = 1000  # tokens: what is cached below that is read again in no time, so that its loss explains nothing
_GROWN = 1.5  # prompts of one program differ a little from run to run, for example by what a search had found
_LEAST_GROWN = 500  # tokens: less is read in no time
_PREFIX: Final = ("tools", "system", "messages")  # the order in which the API caches


def uncached_prompt(trace: Trace) -> Finding | None:
    """Find calls with a long prompt of which nothing was read from the cache.

    Silent about short prompts, those that write the cache for the calls that follow, and where the first token came
    soon all the same. A prompt that is marked for the cache and too short for it is found too: the API does not tell.
    """
    calls = [
        call
        for call in trace.calls
        if (call.prompt_tokens >= (_CACHED if _is_marked(call) else least_cached(call.timeline.model)))
        and (not call.cache_read and not call.cache_written)
        and (call.answered and call.breakdown.time_in(Part.WAITING) >= _LEAST_WAIT)
    ]
    if not calls:
        return None
    worst = trace.worst(calls, key=lambda call: call.breakdown.time_in(Part.WAITING))
    none_cached, remedy = "none of them read from the cache", "trim the prompt, or cache the part that stays the same"
    if _is_marked(worst):
        none_cached = (
            f"none of them cached although it is marked: {worst.timeline.model} caches from "
            f"{least_cached(worst.timeline.model)} tokens on, counted up to the mark"
        )
        remedy = "let what stands before the mark hold all that stays the same, examples too, or take the mark out"
    return Finding(
        rule="uncached-prompt",
        fact=f"the prompt of {trace.name(worst)} has {worst.prompt_tokens} tokens, {none_cached}; "
        f"its first token took {duration.show(worst.breakdown.time_in(Part.WAITING))}" + trace.and_others(calls),
        remedy=remedy,
        cost=sum(call.breakdown.time_in(Part.WAITING) for call in calls),
        costs=tuple(call.breakdown.time_in(Part.WAITING) for call in calls),
        guide=2,
        calls=numbers(calls),
    )


def _is_marked(call: PromptCall) -> bool:
    """Whether it asks for the cache of a model of which the least length is known, and the API counts what is cached.

    Such a prompt is cached, or was too short up to its mark.
    """
    is_known = any(fnmatchcase(call.timeline.model or "", pattern) for pattern, _ in _LEAST_CACHED[:-1])
    is_counted = call.timeline.usage.cache_read is not None
    return is_known and is_counted and '"cache_control":' in json.dumps(call.body)


def least_cached(model: str | None) -> int:
    """Return from how many tokens on the API caches a prompt for this model."""
    return next(tokens for pattern, tokens in _LEAST_CACHED if fnmatchcase(model or "", pattern))


def cache_written_anew(trace: Trace) -> Finding | None:
    """Find two calls of one kind that both write the cache, and the later one reads nothing from it.

    Silent where a later call reads it, where calls ran at the same time so that none could, and where it had expired.
    """
    for later in trace.concerned_first(trace.calls):
        earlier = next((call for call in trace.calls if _could_have_read(call, later)), None)
        if earlier is None:
            continue
        return Finding(
            rule="cache-written-anew",
            fact=f"calls {earlier.number} and {later.number} wrote {earlier.cache_written} and {later.cache_written} "
            f"tokens of their prompts to the cache, and the later one read none{_change(earlier, later, 'the prompt')}",
            remedy="put what changes after what is cached, so that all calls begin with the same text",
            cost=later.breakdown.time_in(Part.WAITING),
            costs=(0, later.breakdown.time_in(Part.WAITING)),
            guide=2,
            calls=(earlier.number, later.number),
        )
    return None


def cold_fan_out(trace: Trace) -> Finding | None:
    """Find calls that ran at the same time and all wrote the same prompt to the cache, so that none could read it.

    Silent where one of them read it, and where their prompts differ before the messages.
    """
    groups = []
    for first in trace.calls:
        ttft = first.timeline.ttft
        if first.cache_written < _CACHED or first.cache_read or ttft is None:
            continue
        others = [
            call
            for call in trace.calls
            if call is not first
            # what a call writes can be read from its first token on, so these were sent too early for that
            and first.sent <= call.sent < first.sent + ttft
            and call.cache_written >= _CACHED
            and not call.cache_read
            and call.timeline.model == first.timeline.model
            # calls of a fan-out share tools and system prompt, and ask different things about them
            and (first_difference(first.body, call.body) or "messages").startswith("messages")
        ]
        if others:
            groups.append((first, others))
    if not groups:
        return None
    first, others = max(groups, key=lambda group: not trace.concerned.isdisjoint(numbers(group[1])))
    return Finding(
        rule="cold-fan-out",
        fact=f"{len(others) + 1} calls ran at the same time and each wrote the same prompt to the cache, "
        f"{first.cache_written} tokens: what one writes can be read from its first token on",
        remedy="warm the cache before (max_tokens: 0), or start the others at the first token of one",
        cost=max(call.breakdown.time_in(Part.WAITING) for call in others),
        costs=(0, *(call.breakdown.time_in(Part.WAITING) for call in others)),
        calls=numbers([first, *others]),
    )


def prompt_grew(trace: Trace) -> Finding | None:
    """Find a call whose prompt is much longer than in the recording that this run replaces.

    Silent where no recording is replaced, where another model is asked, and about a little more.
    """
    earlier = () if trace.replaced is None else trace.replaced.calls
    grown = {
        call.number: (call, before)
        for call, before in zip(trace.calls, earlier, strict=False)
        if before.prompt_tokens
        and call.timeline.model == before.timeline.model
        and call.prompt_tokens >= max(_GROWN * before.prompt_tokens, before.prompt_tokens + _LEAST_GROWN)
    }
    if not grown:
        return None
    calls = [call for call, _ in grown.values()]
    call = trace.worst(calls, key=lambda call: call.prompt_tokens - grown[call.number][1].prompt_tokens)
    before = grown[call.number][1]
    return Finding(
        rule="prompt-grew",
        fact=f"the prompt of {trace.name(call)} has {call.prompt_tokens} tokens, and {before.prompt_tokens} in the "
        f"recording that this run replaces{_change(before, call, 'it')}",
        remedy="send only what the answer needs, or cache the part that stays the same",
        # a longer prompt may have been answered sooner, by a less busy API: then it cost nothing that can be shown
        cost=max(_wait(call) - _wait(before), 0),
        guide=2,
        calls=numbers(calls),
    )


def _wait(call: PromptCall) -> Nanoseconds:
    # Without a stream the time for reading the prompt cannot be told apart from that for the answer.
    return call.breakdown.time_in(Part.WAITING, Part.WHOLE)


def cache_reset(trace: Trace) -> Finding | None:
    """Find a call that goes on with a conversation and read nothing of it, since a setting changed between the two.

    The API keeps a cached prompt for one set of tools and settings only. Silent where nothing of these changed, where
    the cache had expired, and where the later call read it all the same.
    """
    for later in trace.concerned_first(trace.calls):
        for earlier in trace.calls:
            cached = earlier.cache_read + earlier.cache_written
            if cached < _CACHED or later.cache_read or later.cache_written < _CACHED or not _goes_on(earlier, later):
                continue
            changed = [name for name, value in _settings(later).items() if value != _settings(earlier)[name]]
            if changed:
                return Finding(
                    rule="cache-reset",
                    fact=f"{trace.name(later)} goes on with the conversation of call {earlier.number} and read nothing "
                    f"of its {cached} cached tokens: {', '.join(changed)} changed in between{_reason_of_api(later)}",
                    remedy="keep the model, the tools and these settings the same during a conversation",
                    cost=later.breakdown.time_in(Part.WAITING),
                    calls=(later.number,),
                )
    return None


def _goes_on(earlier: PromptCall, later: PromptCall) -> bool:
    """Whether the later call continues the earlier one's messages, soon enough to read what that had cached."""
    return goes_on(earlier, later) and later.sent - earlier.over < KEPT


def _settings(call: PromptCall) -> dict[str, Any]:
    """Return what a cached prompt depends on besides its text."""
    config = call.body.get("output_config")
    fields = {name: call.body.get(name) for name in ("model", "tools", "tool_choice", "thinking", "speed")}
    return fields | {"effort": config.get("effort") if isinstance(config, dict) else None}


def _could_have_read(earlier: PromptCall, later: PromptCall) -> bool:
    """Whether the later call wrote what it could have read, had both begun with the same prompt."""
    for call in (earlier, later):
        if call.cache_written < _CACHED or call.cache_read > 0:
            return False
    is_long = added_blocks(earlier, later) > LOOK_BACK
    if _goes_on(earlier, later) and (is_long or _settings(earlier) != _settings(later)):
        return False  # a setting was changed, or so much was added: these are other findings
    ttft = earlier.timeline.ttft
    if ttft is None or earlier.timeline.model != later.timeline.model:
        return False
    # what a call writes can be read from its first token on
    if not 0 <= later.sent - (earlier.sent + ttft) < KEPT:
        return False
    # tools come first in what is cached, so equal ones could have been read whatever follows them
    if earlier.body.get("tools") and earlier.body.get("tools") == later.body.get("tools"):
        return True
    # the beginning or the end is alike: then something within changed, a date for example
    prompts = [str(call.body.get("system") or call.body.get("messages"))[:400] for call in (earlier, later)]
    return prompts[0][:200] == prompts[1][:200] or prompts[0][-100:] == prompts[1][-100:]


def cache_lost(trace: Trace) -> Finding | None:
    """Find a call that read its prompt from the cache in an earlier run of the test, and does not now.

    Silent where no earlier run is known, where it never read the cache, and where the model changed or the prompt
    became another one.
    """
    for call in trace.concerned_first(trace.calls):
        before = _same_call_earlier(trace, call)
        if before is None or call.cache_read or not call.answered:
            continue
        # the cache is read up to the first difference, so that is the one to remove
        place = first_difference(before.body, call.body)
        what = (
            "nothing in it changed, so it had expired"
            if place is None
            else f"the first change in the prompt is {place}"
        ) + _reason_of_api(call)
        return Finding(
            rule="cache-lost",
            fact=f"{trace.name(call)} read {before.cache_read} tokens of its prompt from the cache before, and reads "
            f"none now: {what}",
            remedy="keep the beginning of the prompt exactly the same"
            if place
            else "call more often than the cache expires, or ask for a longer life of it",
            cost=max(call.breakdown.time_in(Part.WAITING) - before.breakdown.time_in(Part.WAITING), 0),
            calls=(call.number,),
        )
    return None


def _same_call_earlier(trace: Trace, call: PromptCall) -> PromptCall | None:
    """Return the same call of the last earlier run in which it read from the cache."""
    runs = []
    for run in trace.related:
        order, now = (run.recorded, run.sample), (trace.recorded, trace.sample)
        if not run.recorded or not trace.recorded:  # a run that is under way has no date yet
            order, now = ("", run.sample), ("", trace.sample)
        if run.nodeid == trace.nodeid and order < now:
            runs.append(run)
    for run in sorted(runs, key=lambda run: (run.recorded, run.sample), reverse=True):
        if call.number > len(run.calls):
            continue
        # by its place: its text may be the very thing that changed
        same = run.calls[call.number - 1]
        like = same.timeline.model == call.timeline.model and call.prompt_tokens >= same.cache_read
        if same.cache_read >= _CACHED and like:
            return same
    return None


def _change(before: PromptCall, now: PromptCall, what: str) -> str:
    """Return what a fact adds about two prompts: `"; the first change in it is system[0].text"`; empty if none."""
    place = first_difference(before.body, now.body)
    change = "" if place is None else f"; the first change in {what} is {place}"
    return change + _reason_of_api(now)


def _reason_of_api(call: PromptCall) -> str:
    """Return what the API itself says of a cache that was missed; empty if it was not asked, or does not know."""
    reason = call.answer.cache_miss
    return "" if reason in (None, "unavailable") else f" (the API says: {str(reason).replace('_', ' ')})"


def first_difference(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    """Return where two requests differ first, in the order in which the API caches: `"system[0].text"`.

    None if they do not differ.
    """
    for name in _PREFIX:
        if (place := _difference(before.get(name), now.get(name), name)) is not None:
            return place
    return None


def _difference(before: Any, now: Any, place: str) -> str | None:
    if isinstance(before, dict) and isinstance(now, dict):
        inner = [(f"{place}.{key}", before.get(key), now.get(key)) for key in dict.fromkeys([*before, *now])]
    elif isinstance(before, list) and isinstance(now, list):
        inner = [(f"{place}[{index}]", left, right) for index, (left, right) in enumerate(zip_longest(before, now))]
    else:
        return None if before == now else place
    for inner_place, left, right in inner:
        if (difference := _difference(left, right, inner_place)) is not None:
            return difference
    return None

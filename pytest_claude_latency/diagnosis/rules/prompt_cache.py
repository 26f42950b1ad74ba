"""Rules about the prompt and its cache."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any, Final

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.breakdown import Part
from pytest_claude_latency.diagnosis.finding import Finding
from pytest_claude_latency.diagnosis.trace import PromptCall, Trace, numbers
from pytest_claude_latency.duration import MILLISECOND, SECOND

_LONG = 4000
_LEAST_WAIT = 300 * MILLISECOND
_CACHED = 1000
_KEPT = 300 * SECOND  # how long the API keeps what was cached and not read, unless asked for longer
_PREFIX: Final = ("tools", "system", "messages")


def uncached_prompt(trace: Trace) -> Finding | None:
    """A long prompt that nothing of was read from the cache.

    Silent about short ones, those that were cached, the first of several that writes what the others read, and where
    the first token came soon all the same.
    """
    found = [call for call in trace.calls if _is_long_and_uncached(call)]
    if not found:
        return None
    worst = max(found, key=lambda call: call.breakdown.of(Part.WAITING))
    waited = worst.breakdown.of(Part.WAITING)
    return Finding(
        rule="uncached-prompt",
        fact=f"the prompt of {trace.name(worst)} has {worst.prompt_tokens} tokens, none of them read from the cache; "
        f"its first token took {duration.show(waited)}" + trace.and_others(found),
        remedy="trim the prompt, or cache the part of it that stays the same",
        cost=sum(call.breakdown.of(Part.WAITING) for call in found),
        guide=2,
        calls=numbers(found),
    )


def _is_long_and_uncached(call: PromptCall) -> bool:
    uncached = call.prompt_tokens >= _LONG and call.cache_read == 0 and call.cache_written == 0
    return uncached and call.answered and call.breakdown.of(Part.WAITING) >= _LEAST_WAIT


def cache_written_anew(trace: Trace) -> Finding | None:
    """The cache is written by one call after the other, and read by none.

    Silent where a later call reads it, where calls ran side by side and none could have, and where it had expired.
    """
    for earlier in trace.calls:
        later = next((call for call in trace.calls if _could_have_read(earlier, call)), None)
        if later is None:
            continue
        place = first_difference(earlier.body, later.body)
        what = "" if place is None else f"; what changed first in it is {place}"
        return Finding(
            rule="cache-written-anew",
            fact=f"calls {earlier.number} and {later.number} wrote {earlier.cache_written} and {later.cache_written} "
            f"tokens of their prompts to the cache, and the later one read none{what}",
            remedy="put what changes behind what is cached, so that calls begin alike",
            cost=later.breakdown.of(Part.WAITING),
            guide=2,
            calls=(earlier.number, later.number),
        )
    return None


def _could_have_read(earlier: PromptCall, later: PromptCall) -> bool:
    wrote = all(each.cache_written >= _CACHED and each.cache_read == 0 for each in (earlier, later))
    ready = earlier.timeline.ttft
    if not wrote or ready is None or earlier.timeline.model != later.timeline.model:
        return False
    return 0 <= later.sent - (earlier.sent + ready) < _KEPT and _begin_alike(earlier, later)


def _begin_alike(one: PromptCall, other: PromptCall) -> bool:
    """Whether they are of one kind: the same tools, or system prompts that begin with the same words."""
    if one.body.get("tools") and one.body.get("tools") == other.body.get("tools"):
        return True
    texts = [str(each.body.get("system") or each.body.get("messages"))[:400] for each in (one, other)]
    return texts[0][:200] == texts[1][:200] or texts[0][-100:] == texts[1][-100:]


def cache_lost(trace: Trace) -> Finding | None:
    """A call of this test read its prompt from the cache before, and does not now.

    Silent where no earlier run of the test is known, where it never read, and where model or prompt became others
    altogether.
    """
    for call in trace.calls:
        before = _earlier(trace, call)
        if before is None or call.cache_read or not call.answered:
            continue
        place = first_difference(before.body, call.body)
        what = "nothing in it changed, so it had expired" if place is None else f"what changed first in it is {place}"
        return Finding(
            rule="cache-lost",
            fact=f"{trace.name(call)} read {before.cache_read} tokens of its prompt from the cache before, and reads "
            f"none now: {what}",
            remedy="keep the beginning of the prompt the same, to the letter"
            if place
            else "call more often than the cache expires, or ask for a longer life of it",
            cost=max(call.breakdown.of(Part.WAITING) - before.breakdown.of(Part.WAITING), 0),
            guide=None,
            calls=(call.number,),
        )
    return None


def _earlier(trace: Trace, call: PromptCall) -> PromptCall | None:
    """The same call of the last earlier run that read from the cache."""
    runs = sorted(
        (run for run in trace.related if run.nodeid == trace.nodeid and _is_before(run, trace)),
        key=lambda run: (run.recorded, run.sample),
    )
    for run in reversed(runs):
        if call.number > len(run.calls):
            continue
        same = run.calls[call.number - 1]
        alike = same.timeline.model == call.timeline.model and call.prompt_tokens >= same.cache_read
        if same.cache_read >= _CACHED and alike:
            return same
    return None


def _is_before(run: Trace, trace: Trace) -> bool:
    if run.recorded and trace.recorded and run.recorded != trace.recorded:
        return run.recorded < trace.recorded
    return run.sample < trace.sample


def first_difference(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    """Where two requests differ first, in the order in which the API caches: `"system[0].text"`. None: nowhere."""
    for name in _PREFIX:
        if (place := _difference(before.get(name), now.get(name), name)) is not None:
            return place
    return None


def _difference(one: Any, other: Any, place: str) -> str | None:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            if (found := _difference(one.get(key), other.get(key), f"{place}.{key}")) is not None:
                return found
        return None
    if isinstance(one, list) and isinstance(other, list):
        for index, (left, right) in enumerate(zip_longest(one, other)):
            if (found := _difference(left, right, f"{place}[{index}]")) is not None:
                return found
        return None
    return None if one == other else place

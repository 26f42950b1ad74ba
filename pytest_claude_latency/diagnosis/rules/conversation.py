"""Rules about conversations: turns that could be fewer, prompts that grow, caches that end too soon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.breakdown import Part
from pytest_claude_latency.diagnosis.finding import Finding, Saving
from pytest_claude_latency.diagnosis.trace import PromptCall, Trace, numbers
from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds
from pytest_claude_latency.plurals import number_of

KEPT = 300 * SECOND
"""How long the API keeps a cached prompt that is not read, unless asked for longer."""
_KEPT_LONG = 3600 * SECOND
_CACHED = 1000  # tokens: less is read again in no time
LOOK_BACK = 20
"""How many blocks before a mark for the cache the API looks for what is cached already."""
_SETTINGS = ("model", "tools", "tool_choice", "thinking", "speed", "system", "output_config")
"""What a request says besides its messages. Where one changes, the cache is lost for that reason."""
_FEWEST_TURNS = 5
_GROWN = 2
_LEAST_SIZE = 10_000  # bytes: a smaller request is sent and read in no time
_LEAST_GROWTH = 300 * MILLISECOND
_SHORTEST_VALUE = 2  # a single digit or letter is found in any text


def goes_on(earlier: PromptCall, later: PromptCall) -> bool:
    """Whether the later call begins with all messages of the earlier one, and was sent after its answer."""
    before, after = _messages(earlier), _messages(later)
    # equal lists are the same request once more, and no next turn
    return bool(before) and len(after) > len(before) and after[: len(before)] == before and later.sent >= earlier.over


def added_blocks(earlier: PromptCall, later: PromptCall) -> int:
    """Return how many content blocks a later turn has on top of an earlier one."""
    contents = [message.get("content") for message in _messages(later)[len(_messages(earlier)) :]]
    return sum(len(content) if isinstance(content, list) else 1 for content in contents)


def _messages(call: PromptCall) -> list[dict[str, Any]]:
    messages = call.body.get("messages")
    is_list = isinstance(messages, list) and all(isinstance(message, dict) for message in messages)
    return messages if is_list and isinstance(messages, list) else []


def _chains(trace: Trace) -> Iterator[list[PromptCall]]:
    """Yield the conversations of a trace, those first that a limit is about: the turns of each, in order."""
    chains: list[list[PromptCall]] = []
    for call in trace.calls:
        chain = next((chain for chain in chains if goes_on(chain[-1], call)), None)
        if chain is None:
            chains.append([call])
        else:
            chain.append(call)
    yield from sorted(chains, key=lambda chain: trace.concerned.isdisjoint(numbers(chain)))


def _turns(trace: Trace) -> list[tuple[PromptCall, PromptCall]]:
    """Return each turn of a conversation but the first, after the one before it; those first that a limit is about."""
    turns = [turn for chain in _chains(trace) for turn in pairwise(chain)]
    return sorted(turns, key=lambda turn: turn[1].number not in trace.concerned)


def tool_round_trips(trace: Trace) -> Finding | None:
    """Find successive turns that each used one tool, where the later use needed nothing of the earlier result.

    Silent where a value of the later use is not in the prompt that the earlier turn had: it may come from the result.
    """
    found: list[PromptCall] = []
    for chain in _chains(trace):
        saved = [later for earlier, later in pairwise(chain) if _could_have_asked(earlier, later)]
        found = max(found, saved, key=lambda calls: sum(call.breakdown.total for call in calls))
    cost = sum(call.breakdown.total for call in found)
    if not found or not trace.matters(cost):
        return None
    choice = found[0].body.get("tool_choice")
    names = ", ".join(_tool_uses(call)[0]["name"] for call in found)
    is_forbidden = isinstance(choice, dict) and choice.get("disable_parallel_tool_use") is True
    return Finding(
        rule="tool-round-trips",
        fact=f"{number_of(len(found), 'turn')} used one tool each ({names}) "
        f"with values that the turn before had already, which took {duration.show(cost)}",
        remedy="let one turn use several tools (remove disable_parallel_tool_use)"
        if is_forbidden
        else "ask for several tools in one turn, or let code call them (allowed_callers)",
        cost=cost,
        saving=Saving(span=cost, how="with these tools in the turn before", calls=len(found)),
        calls=numbers(found),
    )


def _tool_uses(call: PromptCall) -> list[dict[str, Any]]:
    return [
        block for block in call.answer.blocks if block.get("type") == "tool_use" and isinstance(block.get("name"), str)
    ]


def _could_have_asked(earlier: PromptCall, later: PromptCall) -> bool:
    """Whether the earlier turn knew all that the later one asked its tool for."""
    before, after = _tool_uses(earlier), _tool_uses(later)
    if len(before) != 1 or len(after) != 1:
        return False
    used = after[0].get("input")
    if isinstance(used, str):  # of a stream, its JSON text
        try:
            used = json.loads(used)
        except ValueError:
            return False
    values = [value for value in _values(used) if len(value) >= _SHORTEST_VALUE]
    known = " ".join(_values(earlier.body.get("messages"))) + " " + " ".join(_values(earlier.body.get("system")))
    return bool(values) and before[0].get("input") != after[0].get("input") and all(value in known for value in values)


def _values(value: Any) -> Iterator[str]:
    """Yield the texts and numbers in a JSON value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _values(item)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)


def growing_conversation(trace: Trace) -> Finding | None:
    """Find a conversation of five turns or more whose requests and waits grow, although the cache is read.

    Silent where the cache is not read, which is another finding, and where the API keeps the conversation.
    """
    for chain in _chains(trace):
        first, *later = chain
        last = chain[-1]
        grew = _wait(last) - _wait(first)
        half = len(chain) // 2
        waits = [_wait(call) for call in chain]
        if (
            len(chain) < _FEWEST_TURNS
            or any(call.body.get("thread") for call in chain)
            or not all(call.cache_read for call in later)
            or _size(last) < max(_LEAST_SIZE, _GROWN * _size(first))
            or grew < _LEAST_GROWTH
            or min(waits[half:]) <= min(waits[:half])
        ):
            continue
        costs = tuple(max(_wait(call) - _wait(first), 0) for call in later)
        return Finding(
            rule="growing-conversation",
            fact=f"in a conversation of {len(chain)} turns the requests grew from {_size(first) // 1000} kB to "
            f"{_size(last) // 1000} kB, and the wait for the first token from {duration.show(_wait(first))} to "
            f"{duration.show(_wait(last))}, although the cache was read",
            remedy="let the API keep the conversation (message threads), so that each turn sends only what is new, or "
            "compact it where nobody waits",
            cost=sum(costs),
            costs=costs,
            calls=numbers(later),
        )
    return None


def _wait(call: PromptCall) -> Nanoseconds:
    return call.breakdown.time_in(Part.WAITING)


def _size(call: PromptCall) -> int:
    return len(call.attempts[0].request.content)


def cache_expired(trace: Trace) -> Finding | None:
    """Find a turn that came five minutes to an hour after the one that had cached its prompt, and read nothing.

    Silent where an hour was asked for, and where the turn came sooner or so late that no cache would have been left.
    """
    for earlier, later in _turns(trace):
        cached, gap = earlier.cache_read + earlier.cache_written, later.sent - earlier.sent
        is_missed = cached >= _CACHED and not later.cache_read and later.cache_written >= _CACHED
        if not is_missed or not KEPT <= gap < _KEPT_LONG:
            continue
        # in the text of the whole body, since the mark may be at any depth
        if '"ttl":"1h"' in json.dumps(earlier.body, separators=(",", ":")):
            continue
        return Finding(
            rule="cache-expired",
            fact=f"{trace.name(later)} came {duration.show(gap)} after call {earlier.number}, and its {cached} "
            "cached tokens had expired: they are kept for five minutes after each use",
            remedy='ask for an hour (cache_control: {"type": "ephemeral", "ttl": "1h"})',
            cost=_wait(later),
            costs=(_wait(later),),
            calls=(later.number,),
        )
    return None


def cache_look_back(trace: Trace) -> Finding | None:
    """Find a turn that added more than 20 blocks to a cached conversation, so that the API did not find its cache.

    Silent where the cache was read, where fewer blocks were added, and where it had expired.
    """
    for earlier, later in _turns(trace):
        cached = earlier.cache_read + earlier.cache_written
        if (
            cached >= _CACHED
            and later.cache_read <= cached - _CACHED
            and later.cache_written >= _CACHED
            and later.sent - earlier.sent < KEPT
            and added_blocks(earlier, later) > LOOK_BACK
            and all(earlier.body.get(name) == later.body.get(name) for name in _SETTINGS)
        ):
            return Finding(
                rule="cache-look-back",
                fact=f"{trace.name(later)} added {added_blocks(earlier, later)} blocks to the conversation, and "
                f"read {later.cache_read} of {cached} cached tokens: the API looks back {LOOK_BACK} blocks",
                remedy=f"set a further cache_control within each {LOOK_BACK} blocks",
                cost=_wait(later),
                costs=(_wait(later),),
                calls=(later.number,),
            )
    return None

"""Rules about what makes a request large besides its text: the definitions of tools, and images."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.breakdown import Part
from pytest_claude_latency.diagnosis.finding import Finding
from pytest_claude_latency.diagnosis.trace import PromptCall, Trace, numbers
from pytest_claude_latency.duration import MILLISECOND, Nanoseconds
from pytest_claude_latency.plurals import number_of

_TOKEN = 4  # characters, roughly
_MANY = 10_000  # tokens of tools, from which on loading them later pays
_LEAST_WAIT = 300 * MILLISECOND  # a short wait shows that the size costs little
_LEAST_IN_IMAGES = 2000  # tokens
_MOSTLY = 0.5


def many_tools(trace: Trace) -> Finding | None:
    """Find calls that send the definitions of many tools, about 10,000 tokens or more, and load all of them.

    Silent where the cache holds them, where some are loaded later already, and where the first token came soon.
    """
    calls = [call for call in trace.calls if _tokens_of_tools(call) >= _MANY and _is_uncached(call)]
    if not calls:
        return None
    worst = trace.worst(calls, key=_wait)
    tools = worst.body["tools"]
    used = {block.get("name") for block in worst.answer.blocks if block.get("type") == "tool_use"}
    return Finding(
        rule="many-tools",
        fact=f"{trace.name(worst)} sent {number_of(len(tools), 'tool')}, about {_tokens_of_tools(worst)} tokens, "
        f"and used {len(used)}; its first token took {duration.show(_wait(worst))}" + trace.and_others(calls),
        remedy="load tools when they are needed (defer_loading, with tool search), send fewer, or cache them",
        cost=sum(map(_wait, calls)),
        costs=tuple(map(_wait, calls)),
        calls=numbers(calls),
    )


def _tokens_of_tools(call: PromptCall) -> int:
    """Return about how many tokens the tools have; 0 where some of them are loaded later."""
    tools = call.body.get("tools")
    if not isinstance(tools, list) or any(isinstance(tool, dict) and tool.get("defer_loading") for tool in tools):
        return 0
    return len(json.dumps(tools)) // _TOKEN


def _is_uncached(call: PromptCall) -> bool:
    """Whether most of the prompt was processed now, and the first token took a while."""
    return call.answered and call.cache_read < _MOSTLY * call.prompt_tokens and _wait(call) >= _LEAST_WAIT


def _wait(call: PromptCall) -> Nanoseconds:
    return call.breakdown.time_in(Part.WAITING)


def large_images(trace: Trace) -> Finding | None:
    """Find calls whose prompt is made of images for the most part, as far as its tokens tell.

    Silent where the text explains the tokens, where the cache holds them, and where the first token came soon.
    """
    calls = [call for call in trace.calls if _in_images(call) >= _LEAST_IN_IMAGES and _is_uncached(call)]
    calls = [call for call in calls if _in_images(call) >= _MOSTLY * call.prompt_tokens]
    if not calls:
        return None
    worst = trace.worst(calls, key=_in_images)
    images = len(list(_images(worst.body.get("messages"))))
    return Finding(
        rule="large-images",
        fact=f"the prompt of {trace.name(worst)} has {number_of(images, 'image')} and {worst.prompt_tokens} tokens, "
        f"about {_in_images(worst)} of them for images; its first token took {duration.show(_wait(worst))}"
        + trace.and_others(calls),
        remedy="scale images down before they are sent (a pixel more than the answer needs is time), or send fewer",
        cost=sum(map(_wait, calls)),
        costs=tuple(map(_wait, calls)),
        calls=numbers(calls),
    )


def _in_images(call: PromptCall) -> int:
    """Return about how many tokens of the prompt are images: those that its text does not explain."""
    messages = call.body.get("messages")
    # Of a document nobody knows here how many tokens it has.
    if not list(_images(messages)) or '"type": "document"' in json.dumps(messages):
        return 0
    # Two characters a token are more tokens than text has: rather too few are left for the images.
    characters = sum(map(len, _texts([call.body.get(name) for name in ("system", "tools", "messages")])))
    return max(call.prompt_tokens - characters // 2, 0)


def _images(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the images in messages, also those in the results of tools."""
    if isinstance(value, dict):
        if value.get("type") == "image":
            yield value
            return
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _images(item)


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in a JSON value, without images: their data is no text."""
    if isinstance(value, dict):
        if value.get("type") == "image":
            return
        value = [*value, *value.values()]
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value

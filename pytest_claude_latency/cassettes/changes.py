"""Changes: what a request asks for that the recorded one did not, with its size, in the words of its author.

A prompt that grew by 70 kB, an answer that no longer streams and a lost cache mark are told as that. Which characters
differ, `mismatch.py` shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from pytest_claude_latency.cassettes.secrets import conceal
from pytest_claude_latency.messages_api.endpoints import asks_to_stream, requested_model
from pytest_claude_latency.messages_api.exchange import Request
from pytest_claude_latency.messages_api.forms import messages_body
from pytest_claude_latency.printable import printable

_LEAST_BYTES, _LEAST_RATIO = 1000, 1.25  # a prompt of about the same size is told by its text alone
_PROMPT = ("system", "tools", "messages")
_SIMPLE = (
    *("max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "thinking", "output_config", "output_format"),
    *("tool_choice", "speed", "service_tier"),
)
_WIDTH = 30  # characters of a value that are shown
_ABSENT = "(absent)"


class Change(NamedTuple):
    """One thing that changed: its name, which misses of one cause share, and what is said of it."""

    name: str
    text: str


def changes(recorded: Request, sent: Request) -> list[Change]:
    """Return what changed from the recorded request to the one that was sent, as far as it has a name."""
    before, after = messages_body(recorded), messages_body(sent)
    models = [requested_model(request) or _ABSENT for request in (recorded, sent)]
    streams = [asks_to_stream(request) for request in (recorded, sent)]
    found: list[Change] = []
    if models[0] != models[1]:
        found.append(Change("model", f"model {models[0]} → {models[1]}"))
    if streams == [True, False]:
        found.append(Change("stream", "`stream` is gone: the first token will come with the last"))
    elif streams == [False, True]:
        found.append(Change("stream", "`stream` is new: the answer will come piece by piece"))
    marks = _marks(before), _marks(after)
    if marks[0] and not marks[1]:
        found.append(Change("cache_control", "`cache_control` is gone: each call will read the whole prompt"))
    elif marks[1] and not marks[0]:
        text = "`cache_control` is new: the first call will write the prompt to the cache"
        found.append(Change("cache_control", text))
    elif marks[0] != marks[1]:
        found.append(Change("cache_control", f"`cache_control` in {marks[1]} places, no longer in {marks[0]}"))
    found += _of_prompt(before, after)
    for name in _SIMPLE:
        if before.get(name) != after.get(name):
            found.append(Change(name, f"`{name}` {_shown(before, name)} → {_shown(after, name)}"))
    return [Change(change.name, printable(change.text)) for change in found]


def _of_prompt(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    prompts = ([body.get(name) for name in _PROMPT] for body in (before, after))
    sizes = [len(json.dumps(prompt, ensure_ascii=False).encode("utf-8", "replace")) for prompt in prompts]
    small, large = sorted(sizes)
    # Either is enough: a tenth of a long prompt is much to read, and a short one doubles by a sentence.
    if large - small >= _LEAST_BYTES or (small and large / small >= _LEAST_RATIO):
        yield Change("prompt", f"prompt {size_text(sizes[0])} → {size_text(sizes[1])}")
    for name in ("messages", "tools"):
        counts = [len(value) if isinstance(value := body.get(name), list) else 0 for body in (before, after)]
        if counts[0] != counts[1]:
            yield Change(f"number of {name}", f"{name} {counts[0]} → {counts[1]}")


def _shown(body: dict[str, Any], name: str) -> str:
    if name not in body:
        return _ABSENT
    text = conceal(json.dumps(body[name], ensure_ascii=False))
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}…"


def _marks(value: Any) -> int:
    if isinstance(value, dict):
        return ("cache_control" in value) + sum(map(_marks, value.values()))
    return sum(map(_marks, value)) if isinstance(value, list) else 0


def size_text(size: int) -> str:
    """Return a number of bytes as people read it: `"840 B"`, `"18 kB"`, `"1.2 MB"`."""
    if size < 1000:
        return f"{size} B"
    number, unit = (size / 1000, "kB") if size < 999_500 else (size / 1_000_000, "MB")
    return f"{number:.0f} {unit}" if number >= 10 else f"{number:.1f} {unit}"

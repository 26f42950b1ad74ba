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
_FAR_LONGER = 2  # times: a conversation that goes on grows by less
_BY_SIZE = ("haiku", "sonnet", "opus")
_PROMPT = ("system", "tools", "messages")
_SIMPLE = (
    *("max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "thinking", "output_config", "output_format"),
    *("tool_choice", "speed", "service_tier"),
)
_WIDTH = 30  # characters of a value that are shown
_ABSENT = "(absent)"


class Change(NamedTuple):
    """One thing that changed: its name, which misses of one cause share, and what is said of it.

    `undo` completes "if this was not meant: ". `slows` says that each user will wait longer, so that the change most
    likely was not meant.
    """

    name: str
    text: str
    undo: str
    slows: bool = False


def changes(recorded: Request, sent: Request) -> list[Change]:
    """Return what changed from the recorded request to the one that was sent, as far as it has a name."""
    before, after = messages_body(recorded), messages_body(sent)
    streams = [asks_to_stream(request) for request in (recorded, sent)]
    models = [requested_model(request) or _ABSENT for request in (recorded, sent)]
    found: list[Change] = []
    if models[0] != models[1]:
        sizes = [size for model in models for size, name in enumerate(_BY_SIZE) if name in model]
        grew = len(sizes) == len(models) and sizes[0] < sizes[1]
        undo = f"ask {models[0]} again" if models[0] != _ABSENT else "leave the model out again"
        text = f"model {models[0]} → {models[1]}{': a bigger one' if grew else ''}"
        found.append(Change("model", text, undo, slows=grew))
    if streams == [True, False]:
        text = "`stream` is gone: the first token will come with the last"
        found.append(Change("stream", text, "stream the answer again", slows=True))
    elif streams == [False, True]:
        found.append(Change("stream", "`stream` is new: the answer will come piece by piece", "ask for it whole again"))
    was_marked, is_marked, again = _marks(before), _marks(after), "mark the prompt for the cache as before"
    if was_marked and not is_marked:
        text = "`cache_control` is gone: each call will read the whole prompt"
        found.append(Change("cache_control", text, again, slows=True))
    elif is_marked and not was_marked:
        text = "`cache_control` is new: the first call will write the prompt to the cache"
        found.append(Change("cache_control", text, "take the mark out again"))
    elif was_marked != is_marked:
        text = f"`cache_control` in {is_marked} places, no longer in {was_marked}"
        found.append(Change("cache_control", text, again))
    found += _of_prompt(before, after)
    found += [change for name in _SIMPLE if (change := _of_field(name, before, after)) is not None]
    return [change._replace(text=printable(change.text), undo=printable(change.undo)) for change in found]


def _of_prompt(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    prompts = ([body.get(name) for name in _PROMPT] for body in (before, after))
    sizes = [len(json.dumps(prompt, ensure_ascii=False).encode("utf-8", "replace")) for prompt in prompts]
    small, large = sorted(sizes)
    if large - small >= _LEAST_BYTES or (small and large / small >= _LEAST_RATIO):
        undo = "take out what was added" if large == sizes[1] else "put back what was taken out"
        slows = sizes[1] >= _FAR_LONGER * sizes[0] and large - small >= _LEAST_BYTES
        yield Change("prompt", f"prompt {size_text(sizes[0])} → {size_text(sizes[1])}", undo, slows)
    for name in ("messages", "tools"):
        counts = [len(value) if isinstance(value := body.get(name), list) else 0 for body in (before, after)]
        if counts[0] != counts[1]:
            yield Change(f"number of {name}", f"{name} {counts[0]} → {counts[1]}", f"send {counts[0]} {name} again")


def _of_field(name: str, before: dict[str, Any], after: dict[str, Any]) -> Change | None:
    if before.get(name) == after.get(name):
        return None
    text, undo = f"`{name}` {_shown(before, name)} → {_shown(after, name)}", f"give `{name}` the value of before"
    if name not in before:
        undo = f"leave `{name}` out again"
    if name == "thinking" and _thinks(after) and not _thinks(before):
        text = "`thinking` is on: the answer will begin when the thinking is over"
        return Change(name, text, "turn `thinking` off again", slows=True)
    if name == "max_tokens" and _number(after, name) > _number(before, name) > 0:
        text += ": the answer may get longer"
    return Change(name, text, undo)


def _thinks(body: dict[str, Any]) -> bool:
    asked = body.get("thinking")
    return isinstance(asked, dict) and asked.get("type") not in (None, "disabled")


def _number(body: dict[str, Any], name: str) -> float:
    value = body.get(name)
    return value if isinstance(value, int | float) else 0


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

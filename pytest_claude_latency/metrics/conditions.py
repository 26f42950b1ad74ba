"""Conditions: what may make a call fast or slow, other than the program and the API's mood.

Two sets of measurements can be compared only as far as these agree; where they do not, a comparison
says so beside its verdict. The prompt itself is never kept, only a hash of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from pytest_claude_latency.messages_api.answer import Usage, read
from pytest_claude_latency.messages_api.exchange import Exchange, Request, header

_PROMPT = ("system", "messages", "tools", "tool_choice")


def conditions_of(attempts: Sequence[Exchange]) -> dict[str, str]:
    """The facts about one call that are known, from its attempts in the order they were sent.

    `speed` and `service_tier` as the answer names them, else as they were asked for; `thinking` and `effort` as asked
    for; `prompt_cache`, `"warm"` if some of the prompt was read from it, `"cold"` if it was only written;
    `sdk`, the line of the anthropic package (`"2.x"`); `prompt`, a hash.
    """
    request, answer = attempts[0].request, read(attempts[-1], until="message_start")
    body = request.json if isinstance(request.json, dict) else {}
    facts = {
        "speed": answer.speed or body.get("speed"),
        "service_tier": answer.service_tier or body.get("service_tier"),
        "thinking": _thinking(body.get("thinking")),
        "effort": _get(body.get("output_config"), "effort"),
        "prompt_cache": _prompt_cache(answer.usage),
        "sdk": _sdk_line(request),
        "prompt": _prompt_hash(body),
    }
    return {name: fact for name, fact in facts.items() if isinstance(fact, str) and fact}


def _thinking(asked: object) -> str | None:
    """`"adaptive"`, `"disabled"`, `"enabled 2048"`."""
    kind, most = _get(asked, "type"), _get(asked, "budget_tokens")
    return f"{kind} {most}" if kind and most else kind


def _prompt_cache(usage: Usage) -> str | None:
    if usage.cache_read:
        return "warm"
    return "cold" if usage.cache_write else None


def _sdk_line(request: Request) -> str | None:
    version = header(request.headers, "x-stainless-package-version")
    return f"{version.partition('.')[0]}.x" if version else None


def _prompt_hash(body: Mapping[str, Any]) -> str | None:
    prompt = {name: body[name] for name in _PROMPT if name in body}
    text = json.dumps(prompt, sort_keys=True)  # keys in one order, all ASCII: the same on every machine
    return sha256(text.encode()).hexdigest()[:12] if prompt else None


def _get(value: object, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None

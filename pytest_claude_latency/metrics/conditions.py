"""Conditions: what can make a call fast or slow, other than the program and the load on the API.

Measurements of two runs can be compared only as far as these agree; where they do not, a comparison
says so next to its verdict. The prompt itself is never kept, only a hash of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from pytest_claude_latency.messages_api.answer import read
from pytest_claude_latency.messages_api.clients import client_of, release_line
from pytest_claude_latency.messages_api.exchange import Exchange
from pytest_claude_latency.messages_api.forms import messages_body

_PROMPT = ("system", "messages", "tools", "tool_choice")  # the keys of a body that the model reads


def conditions_of(attempts: Sequence[Exchange]) -> dict[str, str]:
    """Return the known conditions of one call, from its attempts in the order they were sent.

    `speed`, `region` and `service_tier` as the answer names them, else as they were asked for; `thinking`
    (`"adaptive"`, `"enabled 2048"`) and `effort` as asked for; `prompt_cache`, `"warm"` if some of the prompt was read
    from it, `"cold"` if it was only written; `sdk`, the release line of the client (`"2.x"` of anthropic,
    `"boto3 1.x"`); `prompt`, a hash.
    """
    request = attempts[0].request
    body = messages_body(request)
    # The answer says all this at its beginning; the thousands of events that follow need not be read again.
    answer = read(attempts[-1], until="message_start")
    thinking, most = _get(body.get("thinking"), "type"), _get(body.get("thinking"), "budget_tokens")
    client = client_of(request)
    prompt = {name: body[name] for name in _PROMPT if name in body}
    text = json.dumps(prompt, sort_keys=True)  # keys in one order, all ASCII: the same on every machine
    conditions = {
        "speed": answer.speed or body.get("speed"),
        "region": answer.region or body.get("inference_geo"),
        "service_tier": answer.service_tier or body.get("service_tier"),
        "thinking": f"{thinking} {most}" if thinking and most else thinking,
        "effort": _get(body.get("output_config"), "effort"),
        "prompt_cache": "warm" if answer.usage.cache_read else "cold" if answer.usage.cache_write else None,
        # Only the line: with the exact version, each update of the SDK would look like a change of conditions.
        "sdk": release_line(client).removeprefix("anthropic ") if client else None,
        "prompt": sha256(text.encode()).hexdigest()[:12] if prompt else None,
    }
    return {name: value for name, value in conditions.items() if isinstance(value, str) and value}


def _get(value: object, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None

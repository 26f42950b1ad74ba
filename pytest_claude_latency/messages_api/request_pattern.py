"""Request patterns: `when={...}`, which says by fields of a request whether something holds for it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from pytest_claude_latency.messages_api.endpoints import asks_to_stream, requested_model
from pytest_claude_latency.messages_api.exchange import Request
from pytest_claude_latency.messages_api.forms import messages_body, place_of_field
from pytest_claude_latency.near_names import did_you_mean

Expected: TypeAlias = str | int | float | bool | None
"""A pattern of shell wildcards for a value, or the value itself; None if the field must be absent."""


def fits(request: Request, when: Iterable[tuple[str, Expected]]) -> bool:
    """Return whether each of these fields, whose names may be dotted, has the value that is expected of it."""
    for field, expected in when:
        value = _value_of(request, field)
        if isinstance(expected, str):
            # a pattern is for texts; of anything else it looks at the JSON, so that "3*" fits a number too
            text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
            is_met = value is not None and fnmatchcase(text, expected)
        else:
            is_met = json.dumps(value) == json.dumps(expected)  # as JSON: true is not 1
        if not is_met:
            return False
    return True


def misspelt_field(when: Iterable[tuple[str, Expected]], requests: Iterable[Request]) -> str:
    """Return `"; did you mean 'model'?"` for a field that no request has, if its name is a slip in one that some have.

    To be asked where a pattern fits no request. A request may have any field, so an unknown one is no error by itself.
    """
    names = {"model", "stream"}.union(*map(messages_body, requests))
    first_keys = [field.partition(".")[0] for field, expected in when if expected is not None]
    return next((did_you_mean(key, sorted(names)) for key in first_keys if key not in names), "")


def _value_of(request: Request, field: str) -> Any:
    # Clouds may have these two in the path.
    if field == "model":
        return requested_model(request)
    if field == "stream":
        return asks_to_stream(request)
    value = request.json
    for key in place_of_field(request, field).split("."):
        if isinstance(value, list):
            value = value[int(key)] if key.isdecimal() and int(key) < len(value) else None
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value

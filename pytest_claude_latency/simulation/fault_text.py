"""Faults as text, for options and ini files: `rate_limited(retry_after=60s) & stalled(after=10, duration=30s)`.

Arguments are written as in Python, and quotes may be left out: a shell takes them away.
"""

from __future__ import annotations

import ast
import re
from typing import Any, Final

from pytest_claude_latency.errors import FaultError
from pytest_claude_latency.near_names import did_you_mean
from pytest_claude_latency.simulation.fault import Fault
from pytest_claude_latency.simulation.faults import FAULTS

_CALL: Final = re.compile(r"\s*(?P<name>\w+)\s*(?:\((?P<arguments>.*)\))?\s*", re.DOTALL)
_ARGUMENT: Final = re.compile(r"\s*(?P<name>\w+)\s*=\s*(?P<value>.*?)\s*", re.DOTALL)

_ACCEPTED: Final = "accepted: a fault with its arguments by name, for example rate_limited(retry_after=60s)"
_UNKNOWN: Final = "{name!r} is no fault{hint}; accepted: {names}"
_UNDERSTOOD: Final = "{text!r} is not understood; " + _ACCEPTED
_ARGUMENTS: Final = "{name}: {reason}; {accepted}"


def parse(text: str) -> Fault:
    """Return the fault that a text names, or several joined by `&`.

    Raises:
        FaultError: it is not understood; the message says what is accepted.
    """
    faults = [_fault(part) for part in _split(text, "&")]
    fault = faults[0]
    for following in faults[1:]:
        fault = fault & following
    return fault


def _fault(text: str) -> Fault:
    match = _CALL.fullmatch(text)
    if match is None:
        raise FaultError(_UNDERSTOOD.format(text=text))
    name = match["name"]
    if name not in FAULTS:
        raise FaultError(_UNKNOWN.format(name=name, hint=did_you_mean(name, FAULTS), names=", ".join(FAULTS)))
    arguments: dict[str, Any] = {}
    for part in _split(match["arguments"] or "", ","):
        argument = _ARGUMENT.fullmatch(part)
        if argument is None:
            # a trailing comma, or none at all
            if part.strip():
                raise FaultError(_UNDERSTOOD.format(text=text))
            continue
        if argument["name"] in arguments:
            raise FaultError(
                _ARGUMENTS.format(name=name, reason=f"{argument['name']} is given twice", accepted=_ACCEPTED)
            )
        arguments[argument["name"]] = _value(argument["value"])
    try:
        return FAULTS[name](**arguments)
    except TypeError as error:  # an argument that it does not have, or one that is missing
        # Python names `__init__`, which the user did not write.
        reason = str(error).partition("() ")[2] or str(error)
        raise FaultError(_ARGUMENTS.format(name=name, reason=reason, accepted=_ACCEPTED)) from None


def _value(text: str) -> Any:
    # Read part by part, since without its quotes it is no Python.
    if text.startswith("{") and text.endswith("}"):
        pairs = [pair.partition(":") for pair in _split(text[1:-1], ",") if pair.strip()]
        return {str(_value(field.strip())): _value(expected.strip()) for field, _, expected in pairs}
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text  # its quotes were left out


def _split(text: str, separator: str) -> list[str]:
    """Return the parts of a text between separators that stand in no quotes and no brackets."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if character == separator and not depth and not quote:
            parts.append("")
            continue
        parts[-1] += character
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character in "([{") - (character in ")]}")
    return parts

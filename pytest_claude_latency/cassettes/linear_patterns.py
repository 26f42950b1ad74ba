"""Linear patterns: which regular expressions of a user may be applied to bodies of any length.

What a user writes is tried on texts that are made to be slow for it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from re import _constants, _parser  # type: ignore[attr-defined]  # no public function tells what a pattern is made of
from time import thread_time
from typing import Any

from pytest_claude_latency.cassettes.redaction import stretches

_SHORT, _LONG = 3_000, 12_000
"""Characters of two texts that a pattern is tried on. What is linear takes four times as long for the second."""
_LENGTHS = (
    *(4, 5, 6, 8, 10, 12, 15, 18, 22, 27, 33, 41, 51, 63, 78, 97, 120, 150, 190, 240, 300, 400, 600, 900, 1_400, 2_000),
)
"""Characters of shorter texts. What takes so many times as long with each character must be found before it never ends:
where one text takes a few milliseconds, the next takes less than a second, however many times that is."""
_MOST_TIMES = 8.0
_NOTICEABLE = 0.01
"""Seconds of processor time; a millisecond is usual for what is linear."""
_TOO_LONG = 0.3
"""Seconds for the longest text; as much less for a shorter one, but what is noticeable."""
_MEMBERS = "a0A_ .-@:/,;+=\"'<>(){}[]\n\t#%&!?*~^|$\\`é退"
_TOO_SLOW = (
    "it takes more than linear time, so that a long body would take minutes: a repetition in it meets the same "
    "characters as what surrounds it; write what may not be repeated ([^@\\s]+ in place of .+), give it a most "
    '({1,64} in place of +), or, where it begins with "\\b" and a repetition, begin with (?<![...]) and its characters'
)


def linear(source: str) -> re.Pattern[str]:
    """Return the pattern, which takes linear time.

    Raises:
        ValueError: it is no regular expression, or it takes more than linear time.
    """
    pattern = re.compile(source)
    for start, pumped, end in dict.fromkeys(_attacks(list(_parser.parse(source)))):
        short = 0.0
        for length in (*_LENGTHS, _SHORT, _LONG):
            took = _seconds(pattern, start + pumped * (length // len(pumped)) + end)
            # Long texts are compared with each other, so that it makes no difference how fast the machine is.
            grew = length == _LONG and took > _NOTICEABLE and took > _MOST_TIMES * short
            if grew or took > max(_NOTICEABLE, _TOO_LONG * length / _LONG):
                raise ValueError(_TOO_SLOW)
            short = took
    return pattern


def _seconds(pattern: re.Pattern[str], text: str) -> float:
    """Return the processor time that redacting takes: the least of some tries, since a busy machine slows some."""
    least = math.inf
    for _ in range(5):
        began = thread_time()
        stretches(text, [pattern])
        least = min(least, thread_time() - began)
        if least <= _NOTICEABLE or least > _TOO_LONG:
            break
    return least


def _attacks(items: Sequence[Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the beginnings, the repeated parts and the ends of texts that may be slow for a pattern."""
    whole = _example(items)
    for before, body in _repetitions(items, ""):
        for pumped in dict.fromkeys((_example(body), _example(body, 1), _example(body) + _example(body, 1))):
            if pumped:
                yield from ((before, pumped, end) for end in ("", "\x00"))
                yield "", before + pumped, "\x00"
    if whole:
        yield whole, whole[-1], "\x00"
        yield "", whole, ""


def _repetitions(items: Sequence[Any], before: str) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield what repetitions repeat, each with a text that what stands before it fits."""
    for operation, argument in items:
        if operation in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            _, most, body = argument
            if most > 1:
                yield before, list(body)
            yield from _repetitions(list(body), before)
        else:
            for inner in [*_inner(operation, argument), *_looked_at(operation, argument)]:
                yield from _repetitions(list(inner), before)
        if operation is _constants.ASSERT and argument[0] < 0:  # what a pattern looks back at stands before it
            before += _example(list(argument[1]))
        before += _example([(operation, argument)])


def _looked_at(operation: Any, argument: Any) -> list[Any]:
    """Return the pattern with which an item looks ahead or back."""
    return [argument[1]] if operation in (_constants.ASSERT, _constants.ASSERT_NOT) else []


def _inner(operation: Any, argument: Any) -> list[Any]:
    """Return the patterns that an item holds, without those that look ahead or back."""
    if operation is _constants.SUBPATTERN:
        return [argument[-1]]
    if operation is _constants.BRANCH:
        return list(argument[1])
    return [argument] if operation is getattr(_constants, "ATOMIC_GROUP", None) else []


def _example(items: Sequence[Any], place: int = 0) -> str:
    """Return a short text that fits a pattern, or nearly. `place` says which of its characters a set stands for."""
    text = ""
    for operation, argument in items:
        if operation is _constants.LITERAL:
            text += chr(argument)
        elif operation in (_constants.IN, _constants.ANY, _constants.NOT_LITERAL):
            members = [char for char in _MEMBERS + _named(operation, argument) if _fits(operation, argument, char)]
            text += members[min(place, len(members) - 1)] if members else ""
        elif operation in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            text += _example(list(argument[2]), place) * min(max(argument[0], 1), 100)
        else:
            text += "".join(_example(list(inner), place) for inner in _inner(operation, argument)[:1])
    return text


def _named(operation: Any, argument: Any) -> str:
    """Return the characters that a set names: its own alphabet may be none of ours."""
    if operation is not _constants.IN:
        return ""
    return "".join(
        chr(member if kind is _constants.LITERAL else member[0])
        for kind, member in argument
        if kind in (_constants.LITERAL, _constants.RANGE)
    )


def _fits(operation: Any, argument: Any, char: str) -> bool:
    """Return whether an item that stands for one of several characters fits this one."""
    if operation is _constants.ANY:
        return char != "\n"
    if operation is _constants.NOT_LITERAL:
        return bool(ord(char) != argument)
    negated, found = False, False
    for kind, member in argument:
        if kind is _constants.NEGATE:
            negated = True
        elif kind is _constants.LITERAL:
            found = found or member == ord(char)
        elif kind is _constants.RANGE:
            found = found or member[0] <= ord(char) <= member[1]
        else:
            name = str(member)
            is_of = (
                char.isdigit()
                if "DIGIT" in name
                else char.isspace()
                if "SPACE" in name
                else char.isalnum() or char == "_"
            )
            found = found or is_of != ("_NOT_" in name)
    return found != negated

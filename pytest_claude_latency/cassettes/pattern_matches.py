"""Matches of a user's pattern in a text, found in linear time where the pattern begins with a repetition.

Python's `re` tries a pattern from each character on. `[\\w.+-]+@` then reads a run of letters again from each of its
letters, and a body of a few hundred kilobytes takes minutes. But what finds nothing from the first letter of a run
finds nothing from a later one either: a match from there would also be one from the first, with a longer repetition.
So the beginnings of runs are tried, and the place where the match before has ended, which may lie inside a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from re import _constants, _parser  # type: ignore[attr-defined]  # no public function tells what a pattern is made of

_LEADING = re.compile(
    r"(?P<flags>(?:\(\?[aimsx]+\))?)(?P<kind>\\[wdsWDS]|\.|\[\^?\]?(?:[^\]\\]|\\.)*\])(?=[+*]|\{\d+,\})", re.DOTALL
)


def matches(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Yield the matches that `finditer` finds, without the empty ones."""
    from_runs = _from_beginnings_of_runs(pattern)
    if from_runs is None:
        yield from (match for match in pattern.finditer(text) if match[0])
        return
    place = 0
    while match := pattern.match(text, place) or from_runs.search(text, place):
        yield match
        place = match.end()


@cache
def _from_beginnings_of_runs(pattern: re.Pattern[str]) -> re.Pattern[str] | None:
    """Return the pattern, refused inside a run of what it begins to repeat; None if it does not begin with that."""
    source, leading = pattern.pattern, _LEADING.match(pattern.pattern)
    parsed = _parser.parse(source, pattern.flags)
    # With alternatives, others than the first may match inside a run. What may be empty matches everywhere at once.
    if leading is None or parsed[0][0] is _constants.BRANCH or not parsed.getwidth()[0]:
        return None
    flags = leading["flags"]
    return re.compile(f"{flags}(?<!{leading['kind']})(?:{source[len(flags) :]})", pattern.flags)

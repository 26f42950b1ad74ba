"""Pairing: which call of one run of a test is which of another run.

Calls are told by what they ask before anything else, so that one that was put in or left out does not shift all
that follow it; what is left then stands beside each other in its order.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeAlias

Keys: TypeAlias = Sequence[Hashable]
"""What a call is known by, the most telling first: what it asked, then what it was like."""


def paired(before: Sequence[Keys], after: Sequence[Keys]) -> Mapping[int, int]:
    """Places of calls in the later run → places in the earlier one, both from 0; each call is in one pair at most.

    A less telling key counts only for calls that the more telling ones left alone, and the place only for the rest.
    """
    pairs: dict[int, int] = {}
    for level in range(max(map(len, [*before, *after]), default=0) + 1):
        waiting: dict[Hashable, list[int]] = {}
        for place, keys in enumerate(before):
            if place not in pairs.values():
                waiting.setdefault(_key(keys, level), []).append(place)
        for place, keys in enumerate(after):
            if place not in pairs and waiting.get(_key(keys, level)):
                pairs[place] = waiting[_key(keys, level)].pop(0)
    return pairs


def _key(keys: Keys, level: int) -> Hashable:
    return keys[level] if level < len(keys) else None

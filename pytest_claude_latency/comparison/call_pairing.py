"""Call pairing: which call of one run of a test is which call of another run.

Calls are recognised first by what they ask, so that a call that was added or removed does not shift all calls behind
it. Calls that are left over are paired in their order.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeAlias

Keys: TypeAlias = Sequence[Hashable]
"""What a call is recognised by, the most specific first: what it asked, then what it was like."""


def paired(before: Sequence[Keys], after: Sequence[Keys]) -> Mapping[int, int]:
    """Return places of calls in the later run → places in the earlier one, both from 0; a call is in at most one pair.

    A less specific key counts only for calls that more specific ones left over, and the place only for the rest.
    """
    pairs: dict[int, int] = {}
    for level in range(max(map(len, [*before, *after]), default=0) + 1):
        unpaired: dict[Hashable, list[int]] = {}
        for place, keys in enumerate(before):
            if place not in pairs.values():
                unpaired.setdefault(_key(keys, level), []).append(place)
        for place, keys in enumerate(after):
            if place not in pairs and unpaired.get(_key(keys, level)):
                pairs[place] = unpaired[_key(keys, level)].pop(0)
    return pairs


def _key(keys: Keys, level: int) -> Hashable:
    return keys[level] if level < len(keys) else None  # behind the last key, all calls are alike: paired in order

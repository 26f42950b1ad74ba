"""The prompt cache of a sample: cold, warm, or not used. Samples of two kinds are two distributions, never one.

A prompt that is read from the cache brings its first token in a fraction of the time. A percentile over samples of both
kinds depends on how many of each there happen to be, so each kind is looked at by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias, TypeVar

from pytest_claude_latency.metrics.timeline import Call

Cache: TypeAlias = Literal["cold cache", "warm cache", "no cache"]

MeasuredT = TypeVar("MeasuredT")


def cache_of(calls: Sequence[Call]) -> Cache:
    """Return the state of the prompt cache for a sample: that of its first call with a cache."""
    for call in calls:
        # Most turns of a conversation read what is there and write what is new: the cache was warm.
        if call.cache_read_tokens:
            return "warm cache"
        if call.cache_write_tokens:
            return "cold cache"
    return "no cache"


def kept_apart(
    measured: Iterable[MeasuredT], calls_of: Callable[[MeasuredT], Sequence[Call]]
) -> dict[Cache, list[MeasuredT]]:
    """Return what was measured by the state of the cache, the largest group first; of equal ones the first to come."""
    groups: dict[Cache, list[MeasuredT]] = {}
    for sample in measured:
        groups.setdefault(cache_of(calls_of(sample)), []).append(sample)
    return dict(sorted(groups.items(), key=lambda group: -len(group[1])))

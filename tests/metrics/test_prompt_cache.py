"""The state of the prompt cache that a sample met."""

from __future__ import annotations

import pytest

from pytest_claude_latency.metrics.prompt_cache import cache_of, kept_apart
from pytest_claude_latency.metrics.timeline import Call
from tests.support.some_call import some_call

COLD, WARM, PLAIN = (
    some_call(cache_write_tokens=5000),
    some_call(cache_read_tokens=5000, cache_write_tokens=200),
    some_call(),
)


@pytest.mark.parametrize(
    ("calls", "cache"),
    [
        ((), "no cache"),
        ((PLAIN,), "no cache"),
        ((some_call(cache_read_tokens=None, cache_write_tokens=None),), "no cache"),
        ((COLD,), "cold cache"),
        ((WARM,), "warm cache"),  # a later turn reads what is there and writes what is new
        ((PLAIN, COLD, WARM), "cold cache"),  # the first call with a cache decides
        ((PLAIN, WARM, COLD), "warm cache"),
    ],
)
def test_the_first_call_with_a_cache_decides(calls: tuple[Call, ...], cache: str) -> None:
    assert cache_of(calls) == cache


def test_groups_stand_in_the_order_of_their_sizes() -> None:
    groups = kept_apart([COLD, WARM, PLAIN, WARM, COLD, WARM], lambda call: (call,))

    assert {cache: len(calls) for cache, calls in groups.items()} == {"warm cache": 3, "cold cache": 2, "no cache": 1}
    assert list(groups) == ["warm cache", "cold cache", "no cache"]

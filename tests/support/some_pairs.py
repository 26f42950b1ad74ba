"""Pairs of a recorded request and a current one, as tests need them, and strategies for any."""

from __future__ import annotations

from hypothesis import strategies as st

from pytest_claude_latency.results.ab_pairs import ABPair, ABSample, MeasuredRequest, NotCompared
from tests.support.some_call import calls, some_call


def some_request(ttft: float, *, error: str | None = None, **conditions: str) -> MeasuredRequest:
    """A request whose first token came after `ttft` seconds, and whose answer was complete two seconds later."""
    return MeasuredRequest(some_call(ttft=ttft, total=ttft + 2, error=error), conditions)


def ab_sample(*pairs: ABPair, calls: int = 1, not_compared: tuple[NotCompared, ...] = ()) -> ABSample:
    """What one sample of some test measured."""
    recording = "tests/cassettes/test_it/test_one.1.jsonl"
    return ABSample(calls=calls, recording=recording, pairs=pairs, not_compared=not_compared)


def ab_samples() -> st.SearchStrategy[ABSample]:
    """Anything that one sample can have measured."""
    count, names = st.integers(0, 99), st.text(max_size=9)
    request = st.builds(MeasuredRequest, calls(), st.dictionaries(names, names, max_size=3))
    obstacle = st.builds(NotCompared, st.none() | count, names, st.booleans())
    return st.builds(
        ABSample,
        calls=count,
        recording=names,
        pairs=st.lists(st.builds(ABPair, count, request, request), max_size=3).map(tuple),
        not_compared=st.lists(obstacle, max_size=3).map(tuple),
    )

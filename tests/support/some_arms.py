"""Requests measured side by side as a test needs them, and strategies for any."""

from __future__ import annotations

from hypothesis import strategies as st

from pytest_claude_latency.ab.pairs import Arm, Arms, NotCompared, SideBySide
from tests.support.some_call import calls, some_call


def some_arm(ttft: float, *, error: str | None = None, **conditions: str) -> Arm:
    """An arm whose first token came after so many seconds, and whose answer was complete two seconds later."""
    return Arm(some_call(ttft=ttft, total=ttft + 2, error=error), conditions)


def side_by_side(*pairs: Arms, calls: int = 1, not_compared: tuple[NotCompared, ...] = ()) -> SideBySide:
    """What one sample of some test measured."""
    recording = "tests/cassettes/test_it/test_one.1.jsonl"
    return SideBySide(calls=calls, recording=recording, pairs=pairs, not_compared=not_compared)


def sides() -> st.SearchStrategy[SideBySide]:
    """Anything that one sample can have measured."""
    count, names = st.integers(0, 99), st.text(max_size=9)
    arm = st.builds(Arm, calls(), st.dictionaries(names, names, max_size=3))
    obstacle = st.builds(NotCompared, st.none() | count, names, st.booleans())
    return st.builds(
        SideBySide,
        calls=count,
        recording=names,
        pairs=st.lists(st.builds(Arms, count, arm, arm), max_size=3).map(tuple),
        not_compared=st.lists(obstacle, max_size=3).map(tuple),
    )

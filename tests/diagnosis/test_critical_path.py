from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.diagnosis.critical_path import critical_path

SPANS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=8)


def test_no_calls_have_no_path() -> None:
    assert critical_path([]) == ()


def test_the_path_goes_over_the_winner_of_a_hedge() -> None:
    hedge = critical_path([(0, 20), (5, 20)], given_up={1})
    open_longer = critical_path([(0, 50), (5, 20), (30, 40)], given_up={1})
    ends = [(stretch.call, stretch.end) for stretch in open_longer]

    assert [(stretch.call, stretch.end) for stretch in hedge] == [(1, 5), (2, 20)]
    # the time in which only the loser was open is the program's own
    assert ends == [(1, 5), (2, 20), (None, 30), (3, 40), (None, 50)]


@given(SPANS)
def test_the_path_leads_from_the_first_to_the_last_instant_without_gap_and_along_the_calls(
    made: list[tuple[int, int]],
) -> None:
    first = min(start for start, _ in made)
    spans = [(start - first, start - first + length) for start, length in made]

    path = critical_path(spans)

    assert path[0].start == 0
    assert path[-1].end == max(end for _, end in spans)
    assert all(earlier.end == later.start for earlier, later in pairwise(path))
    for stretch in path:
        if stretch.call is not None:
            start, end = spans[stretch.call - 1]
            assert start == stretch.start
            assert stretch.end <= end

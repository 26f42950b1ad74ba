"""Which call of one run is which of another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.comparison.call_pairing import Keys, paired

calls = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), max_size=6)


@given(calls, calls)
def test_no_call_is_in_two_pairs_and_none_is_left_over_on_both_sides(before: list[Keys], after: list[Keys]) -> None:
    pairs = paired(before, after)

    assert len(pairs) == len(set(pairs.values())) == min(len(before), len(after))
    assert set(pairs) <= set(range(len(after)))
    assert set(pairs.values()) <= set(range(len(before)))


@given(calls)
def test_the_same_calls_are_paired_in_their_order(run: list[Keys]) -> None:
    assert paired(run, run) == {place: place for place in range(len(run))}


@given(calls, st.integers(0, 6))
def test_a_new_call_takes_no_other_ones_counterpart(run: list[Keys], where: int) -> None:
    place = min(where, len(run))
    more = [*run[:place], ("new", "z"), *run[place:]]

    pairs = paired(run, more)

    assert [pairs[index] for index in range(len(more)) if index != place] == list(range(len(run)))


def test_what_asks_the_same_goes_before_what_only_looks_alike() -> None:
    before, after = [("one", "x"), ("two", "x"), ("three", "y")], [("new", "y"), ("two", "x"), ("newer", "x")]

    assert paired(before, after) == {1: 1, 0: 2, 2: 0}


def test_what_has_nothing_in_common_is_paired_by_its_place() -> None:
    assert paired([("a", "x"), ("b", "x")], [("c", "y"), ("d", "z")]) == {0: 0, 1: 1}

"""Sequential sampling: verdicts that are looked for after each sample are wrong no more often than others."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_claude_latency.metrics.percentiles import LEVEL, ONCE, Levels, settles, standing
from pytest_claude_latency.metrics.sequential import chance_of_a_verdict, levels_for

P50, P90, P95, P99 = (Fraction(percent, 100) for percent in (50, 90, 95, 99))


def by_enumeration(level: float, most: int, hit: Fraction) -> float:
    """The chance of a verdict, by going through each sequence of tries."""
    levels, total = Levels(kept=level, broken=0), 0.0
    for tries in product((False, True), repeat=most):
        counts = [sum(tries[:number]) for number in range(1, most + 1)]
        if any(standing(count, number, 1 - hit, levels) == "kept" for number, count in enumerate(counts, 1)):
            chances = [float(hit) if is_hit else 1 - float(hit) for is_hit in tries]
            product_of_all = 1.0
            for chance in chances:
                product_of_all *= chance
            total += product_of_all
    return total


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.sampled_from([P50, P90, P95]), st.sampled_from([0.01, 0.05, 0.3]))
def test_the_chance_of_a_verdict_is_that_of_all_sequences_with_one(most: int, hit: Fraction, level: float) -> None:
    assert chance_of_a_verdict(level, most, hit) == pytest.approx(by_enumeration(level, most, hit), abs=1e-12)


@pytest.mark.parametrize("share", [P50, P90, P95, P99])
@pytest.mark.parametrize("most", [1, 7, 60, 200])
def test_a_wrong_verdict_is_given_less_than_once_in_twenty_times_however_often_it_is_looked_for(
    most: int, share: Fraction
) -> None:
    levels = levels_for(most, share)

    assert chance_of_a_verdict(levels.kept, most, 1 - share) < LEVEL
    assert chance_of_a_verdict(levels.broken, most, share) < LEVEL


def test_the_plain_test_would_be_wrong_far_more_often() -> None:
    assert chance_of_a_verdict(LEVEL, 200, 1 - P90) > 3 * LEVEL


@pytest.mark.parametrize("further", [Fraction(1, 100), Fraction(5, 100), Fraction(20, 100)])
def test_a_promise_that_is_broken_more_clearly_is_called_kept_less_often(further: Fraction) -> None:
    levels = levels_for(100, P95)

    at_the_limit = chance_of_a_verdict(levels.kept, 100, 1 - P95)
    assert chance_of_a_verdict(levels.kept, 100, 1 - P95, 1 - P95 + further) < at_the_limit


def test_as_many_samples_as_one_look_needs_are_enough_where_there_are_no_more() -> None:
    assert settles(0, 0, P95, levels_for(59, P95)) == settles(0, 0, P95, ONCE) == 59
    assert settles(0, 0, P95, levels_for(200, P95)) > 59


def test_a_chance_of_exactly_the_level_is_not_below_it() -> None:
    assert standing(1, 1, P95, levels_for(1, P95)) == "inconclusive"
    assert chance_of_a_verdict(LEVEL, 1, P95) == 0

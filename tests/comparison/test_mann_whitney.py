from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from itertools import combinations
from random import Random
from statistics import median
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_claude_latency.comparison.mann_whitney import adjusted, larger, rarest, ratio, ratio_interval, shift
from tests.support.properties import examples

MANY = examples(600)


@pytest.fixture(scope="module")
def stats() -> Any:
    """`scipy.stats`, imported before an example is timed."""
    return pytest.importorskip("scipy.stats")


def spans(most: int) -> st.SearchStrategy[list[float]]:
    """One to twelve measurements of at most so many nanoseconds: few values make many ties."""
    return st.lists(st.integers(1, most).map(float), min_size=1, max_size=12)


def p_of_scipy(stats: Any, before: Sequence[float], after: Sequence[float], method: str) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # all values tied divides by zero
        return float(stats.mannwhitneyu(after, before, alternative="greater", method=method).pvalue)


# ── evidence ──


@pytest.mark.parametrize(("few", "many"), [(1, 1), (1, 4), (2, 3), (3, 3), (4, 2), (4, 4)])
def test_without_ties_the_p_value_counts_orders(few: int, many: int) -> None:
    """Every order of so many values, each as likely as any other: the share with as many pairs above, or more."""
    values = range(few + many)
    orders = [set(places) for places in combinations(values, many)]
    above = [sum(old < new for new in after for old in set(values) - after) for after in orders]

    for after, pairs in zip(orders, above, strict=True):
        p = larger([*map(float, set(values) - after)], [*map(float, after)])
        assert p == pytest.approx(sum(count >= pairs for count in above) / len(orders))


@MANY
@given(spans(10**9), spans(10**9))
def test_without_ties_the_p_value_is_the_exact_one_of_scipy(
    stats: Any, before: list[float], after: list[float]
) -> None:
    assume(len({*before, *after}) == len(before) + len(after))

    assert larger(before, after) == pytest.approx(p_of_scipy(stats, before, after, "exact"), rel=1e-9)


@MANY
@given(spans(6), spans(6))
def test_with_ties_the_p_value_is_the_corrected_normal_one_of_scipy(
    stats: Any, before: list[float], after: list[float]
) -> None:
    assume(len({*before, *after}) < len(before) + len(after))

    least = 1 / math.comb(len(before) + len(after), len(after))
    assert larger(before, after) == pytest.approx(max(p_of_scipy(stats, before, after, "asymptotic"), least), rel=1e-9)


def test_equal_values_everywhere_are_no_evidence() -> None:
    assert larger([5.0] * 9, [5.0] * 7) == 1.0
    assert larger([5.0], [5.0]) == 1.0


def test_more_values_than_orders_can_be_counted_of_give_nearly_the_exact_p_value(stats: Any) -> None:
    random = Random(4)
    before, after = ([random.lognormvariate(mu, 0.4) for _ in range(130)] for mu in (6.0, 6.05))

    assert larger(before, after) == pytest.approx(p_of_scipy(stats, before, after, "exact"), rel=0.02)


def test_very_many_values_neither_overflow_nor_give_a_p_value_below_zero() -> None:
    before, after = [float(value) for value in range(700)], [float(value) for value in range(1000, 1700)]

    assert 0 <= larger(before, after) < 1e-99
    assert larger(after, before) == pytest.approx(1)


@settings(deadline=None)
@given(spans(50), spans(50))
def test_no_values_give_rarer_evidence_than_all_above_all_others(before: list[float], after: list[float]) -> None:
    assert rarest(len(before), len(after)) <= larger(before, after) <= 1


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 12))
def test_all_values_above_all_others_are_the_rarest_evidence(few: int, many: int) -> None:
    before, after = [float(value) for value in range(few)], [float(100 + value) for value in range(many)]

    assert larger(before, after) == pytest.approx(rarest(few, many))


@settings(deadline=None)
@given(spans(50), spans(50), st.integers(1, 50))
def test_slower_values_are_never_less_evidence(before: list[float], after: list[float], more: int) -> None:
    # all by the same: no tie within a side comes or goes, and those between the sides can only turn
    assume(len({*before, *after}) == len(before) + len(after))
    later = [value + more for value in after]
    assume(len({*before, *later}) == len(before) + len(later))

    assert larger(before, later) <= larger(before, after)


def test_what_never_came_ranks_above_all_that_did() -> None:
    late = [math.inf, math.inf, 4.0]

    assert larger([1.0, 2.0, 3.0], late) == larger([1.0, 2.0, 3.0], [9.0, 9.0, 4.0])


# ── sizes ──


@MANY
@given(spans(10**9), spans(10**9))
def test_the_shift_is_the_median_of_all_differences(before: list[float], after: list[float]) -> None:
    assert shift(before, after) == pytest.approx(median(new - old for new in after for old in before))


@MANY
@given(spans(10**9), spans(10**9))
def test_the_ratio_is_the_median_of_all_ratios_on_logarithms(before: list[float], after: list[float]) -> None:
    logs = [math.log(new / old) for new in after for old in before]

    assert ratio(before, after) == pytest.approx(math.exp(median(logs)))


@settings(deadline=None)
@given(spans(10**6), st.integers(2, 9))
def test_values_that_all_grew_by_a_factor_have_it_for_their_ratio(before: list[float], factor: int) -> None:
    grown = [value * factor for value in before]

    # the pairs of a value with its own make the middle, each other pair has a counterpart
    assert ratio(before, grown) == pytest.approx(factor)
    assert ratio(grown, before) == pytest.approx(1 / factor)


@examples(300)
@given(spans(10**9), spans(10**9), st.floats(-3, 3))
def test_the_interval_holds_the_factors_that_the_test_does_not_exclude(
    stats: Any, before: list[float], after: list[float], exponent: float
) -> None:
    factor = 2**exponent
    low, high = ratio_interval(before, after)
    assume(all(abs(factor / bound - 1) > 1e-6 for bound in (low, high) if 0 < bound < math.inf))
    grown = [value * factor for value in before]
    assume(len({*grown, *after}) == len(before) + len(after))

    excluded = min(p_of_scipy(stats, grown, after, "exact"), p_of_scipy(stats, after, grown, "exact")) <= 0.025
    assert excluded == (not low < factor < high)


def test_too_few_values_leave_the_interval_without_bounds() -> None:
    assert ratio_interval([1.0, 2.0, 3.0], [7.0, 8.0, 9.0]) == (0.0, math.inf)


def test_the_interval_of_very_many_values_is_narrow_and_holds_the_factor() -> None:
    random = Random(7)
    before, after = ([median * random.lognormvariate(0, 0.4) for _ in range(200)] for median in (400.0, 600.0))

    low, high = ratio_interval(before, after)

    assert low < 1.5 < high < 1.3 * low


def test_what_never_came_before_and_after_did_not_change() -> None:
    never = [math.inf] * 3

    assert (shift(never, never), ratio(never, never)) == (0.0, 1.0)
    assert (shift([1.0], never), ratio([1.0], never)) == (math.inf, math.inf)
    assert (shift(never, [1.0]), ratio(never, [1.0])) == (-math.inf, 0.0)
    assert shift([1.0, math.inf], [2.0, math.inf]) == 0.5


def test_a_span_of_zero_has_a_ratio() -> None:
    assert ratio([0.0], [0.0]) == 1.0
    assert ratio([0.0], [1000.0]) == pytest.approx(1000)


# ── many comparisons ──


@MANY
@given(st.lists(st.floats(0, 1), max_size=30))
def test_p_values_are_adjusted_as_scipy_adjusts_them(stats: Any, p_values: list[float]) -> None:
    expected = stats.false_discovery_control(p_values, method="bh") if p_values else []

    assert adjusted(p_values) == pytest.approx(list(expected))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.001, 1))
def test_an_adjusted_value_below_a_level_means_that_the_largest_step_up_set_holds_it(
    p_values: list[float], level: float
) -> None:
    ordered = sorted(p_values)
    steps = [level * rank / len(ordered) for rank in range(1, len(ordered) + 1)]
    assume(all(abs(p - step) > 1e-12 for p, step in zip(ordered, steps, strict=True)))
    below = [p for p, step in zip(ordered, steps, strict=True) if p < step]

    assert [value < level for value in adjusted(p_values)] == [bool(below) and p <= max(below) for p in p_values]

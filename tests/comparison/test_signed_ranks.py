from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from itertools import product
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_claude_latency.comparison.signed_ranks import larger, rarest, ratio, ratio_interval, shift

PAIRS = st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 10**9)), min_size=1, max_size=14)
TIED = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=14)


@pytest.fixture(scope="module")
def stats() -> Any:
    """`scipy.stats`, imported before an example is timed."""
    return pytest.importorskip("scipy.stats")


def sides(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [float(old) for old, _ in pairs], [float(new) for _, new in pairs]


def logs(pairs: Sequence[tuple[float, float]]) -> list[float]:
    return [math.log(new) - math.log(old) for old, new in pairs]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_without_ties_the_p_value_counts_signs(count: int) -> None:
    """Every way in which so many calls can have become slower or faster, each as likely as any other."""
    ways = list(product([1, -1], repeat=count))
    sums = [sum(rank for rank, sign in enumerate(signs, 1) if sign > 0) for signs in ways]

    for signs, total in zip(ways, sums, strict=True):
        after = [100.0 * 2.0 ** (sign * rank) for rank, sign in enumerate(signs, 1)]
        assert larger([100.0] * count, after) == pytest.approx(sum(other >= total for other in sums) / len(ways))


@given(PAIRS)
def test_without_ties_the_p_value_is_the_exact_one_of_scipy(stats: Any, pairs: list[tuple[int, int]]) -> None:
    changes = logs(pairs)
    assume(0.0 not in changes and len({round(abs(change), 12) for change in changes}) == len(changes))

    expected = stats.wilcoxon(changes, alternative="greater", method="exact").pvalue
    assert larger(*sides(pairs)) == pytest.approx(expected, rel=1e-9)


@given(TIED)
def test_with_ties_the_p_value_is_the_corrected_normal_one_of_scipy(stats: Any, pairs: list[tuple[int, int]]) -> None:
    changes = [change for change in logs(pairs) if change]
    assume(len({abs(change) for change in changes}) < len(changes))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few values
        found = stats.wilcoxon(changes, alternative="greater", correction=True, method="asymptotic").pvalue
    assert larger(*sides(pairs)) == pytest.approx(max(found, 0.5 ** len(changes)), rel=1e-9)


def test_calls_that_did_not_change_are_no_evidence() -> None:
    assert larger([5.0] * 9, [5.0] * 9) == 1.0


def test_more_calls_than_signs_are_counted_of_give_nearly_the_exact_p_value(stats: Any) -> None:
    random = Random(4)
    pairs = [(old, old * random.lognormvariate(0, 0.4)) for old in (random.uniform(1e8, 1e10) for _ in range(120))]

    exact = stats.wilcoxon(logs(pairs), alternative="greater", method="exact").pvalue
    assert larger(*sides(pairs)) == pytest.approx(exact, rel=0.05)


def test_all_calls_slower_is_the_rarest_that_can_be() -> None:
    before = [100.0, 3000.0, 20.0, 700.0, 55.0]

    assert larger(before, [value * (1.1 + place / 10) for place, value in enumerate(before)]) == rarest(5, 5) == 1 / 32


def test_sizes_are_those_of_the_changes_whatever_the_calls_take() -> None:
    before = [100.0, 60_000.0, 20.0, 7_000.0]
    after = [value * 1.25 for value in before]

    assert ratio(before, after) == pytest.approx(1.25)
    assert shift([1.0, 10.0], [3.0, 14.0]) == 3.0


def test_the_interval_is_open_with_few_calls_and_holds_the_factor_with_many() -> None:
    random = Random(7)
    before = [random.uniform(100, 60_000) for _ in range(120)]
    after = [value * random.lognormvariate(math.log(1.3), 0.1) for value in before]

    assert ratio_interval(before[:5], after[:5]) == (0.0, math.inf)
    for count in (20, 120):  # counted, and from the normal distribution
        low, high = ratio_interval(before[:count], after[:count])
        assert 1.15 < low < 1.3 < high < 1.45


def test_the_interval_is_that_of_the_means_which_the_test_does_not_exclude() -> None:
    """With six calls the two-sided test at 95 % excludes only the outermost mean at each end."""
    before, after = [1.0] * 6, [1.1, 1.2, 1.3, 1.4, 1.5, 1.6]

    assert ratio_interval(before, after) == pytest.approx((1.1, 1.6))

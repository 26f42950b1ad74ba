from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_claude_latency.errors import LatencyError, LimitError
from pytest_claude_latency.metrics.percentiles import can_keep, percentile, settles, share_of, standing
from pytest_claude_latency.metrics.sample import NEVER
from tests.support.properties import examples

P50, P90, P95, P99 = map(share_of, ("p50", "p90", "p95", "p99"))


def shares() -> st.SearchStrategy[Fraction]:
    return st.sampled_from(["p1", "p25", "p50", "p90", "p95", "p99", "p99.9", "p33.3"]).map(share_of)


def counts(most: int = 80) -> st.SearchStrategy[tuple[int, int]]:
    """How many samples are over, and how many there are."""
    return st.integers(0, most).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


# ── percentiles ──


@pytest.mark.parametrize(
    ("text", "share"), [("p50", (1, 2)), ("p95", (19, 20)), ("p99.9", (999, 1000)), ("p5", (1, 20))]
)
def test_a_percentile_names_a_share(text: str, share: tuple[int, int]) -> None:
    assert share_of(text) == Fraction(*share)


@pytest.mark.parametrize(
    "text", ["p0", "p100", "p150", "pNaN", "pinf", "p-5", "95", "p", "", "median", "p1e1", "p\u0665\u0660"]
)
def test_a_text_that_is_not_a_percentile_is_refused(text: str) -> None:
    with pytest.raises(LimitError, match=r"accepted: p50, p95, p99\.9"):
        share_of(text)


@pytest.mark.parametrize(
    ("share", "expected"), [(share_of("p1"), 15), (share_of("p30"), 20), (share_of("p40"), 20), (P50, 35), (P99, 50)]
)
def test_a_percentile_of_five_values_is_the_nearest_rank(share: Fraction, expected: int) -> None:
    assert percentile([35, 20, 15, 50, 40], share) == expected


def test_an_exact_rank_is_not_rounded_up_by_float_error() -> None:
    # 0.07 * 100 is 7.000000000000001 in floats
    assert percentile(range(1, 101), share_of("p7")) == 7


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**10), min_size=1), shares())
def test_a_percentile_was_measured_and_has_its_share_at_or_below_it(readings: list[int], share: Fraction) -> None:
    value = percentile(readings, share)

    assert value in readings
    assert Fraction(sum(reading <= value for reading in readings), len(readings)) >= share
    assert Fraction(sum(reading < value for reading in readings), len(readings)) < share


def test_what_never_came_is_later_than_all_that_did() -> None:
    assert percentile([300, NEVER, 200], P50) == 300
    assert percentile([300, NEVER, 200], P95) == NEVER


def test_no_samples_have_no_percentile() -> None:
    with pytest.raises(LatencyError, match="at least one sample, got none"):
        percentile([], P50)


def test_nan_is_not_a_measurement() -> None:
    with pytest.raises(LatencyError, match="NaN is not a measurement"):
        percentile([1.0, math.nan], P50)


@pytest.mark.parametrize("share", [Fraction(0), Fraction(1), Fraction(3, 2), Fraction(-1, 2)])
def test_a_share_without_samples_on_both_sides_is_refused(share: Fraction) -> None:
    with pytest.raises(LimitError, match="above p0 and below p100"):
        percentile([1], share)
    with pytest.raises(LimitError, match="above p0 and below p100"):
        standing(0, 1, share)
    with pytest.raises(LimitError, match="above p0 and below p100"):
        settles(0, 1, share)


# ── evidence on percentiles ──


@pytest.mark.parametrize(("share", "needed"), [(P50, 5), (P90, 29), (P95, 59), (P99, 299), (share_of("p99.9"), 2995)])
def test_with_no_sample_over_so_many_are_needed_and_one_less_is_too_few(share: Fraction, needed: int) -> None:
    assert standing(0, needed, share) == "kept"
    assert standing(0, needed - 1, share) == "inconclusive"
    assert settles(0, 0, share) == needed
    assert can_keep(needed, share)
    assert not can_keep(needed - 1, share)


def test_three_of_ten_over_refute_p95_and_two_do_not() -> None:
    assert standing(3, 10, P95) == "broken"
    assert standing(2, 10, P95) == "inconclusive"


def test_a_chance_of_exactly_five_percent_is_not_below_five_percent() -> None:
    assert standing(1, 1, P95) == "inconclusive"


def test_no_samples_show_nothing() -> None:
    assert standing(0, 0, P50) == "inconclusive"
    assert not can_keep(0, P50)


def chance_of_at_most(most: int, total: int, share: Fraction) -> Fraction:
    """The binomial distribution as it is defined, in whole numbers."""
    return sum(
        (math.comb(total, hits) * share**hits * (1 - share) ** (total - hits) for hits in range(most + 1)), Fraction(0)
    )


@examples(500)
@given(counts(), shares())
def test_any_verdict_is_that_of_the_exact_binomial_test(count: tuple[int, int], share: Fraction) -> None:
    over, total = count
    level = Fraction(1, 20)

    kept = chance_of_at_most(over, total, 1 - share) < level
    broken = 1 - chance_of_at_most(over - 1, total, 1 - share) < level

    assert standing(over, total, share) == ("kept" if kept else "broken" if broken else "inconclusive")


@examples(300)
@given(counts(3000), shares())
def test_any_verdict_is_the_one_scipy_gives(stats: Any, count: tuple[int, int], share: Fraction) -> None:
    over, total = count
    assume(total > 0)
    low = stats.binomtest(over, total, float(1 - share), alternative="less").pvalue
    high = stats.binomtest(over, total, float(1 - share), alternative="greater").pvalue
    assume(abs(low - 0.05) > 1e-6 and abs(high - 0.05) > 1e-6)

    assert standing(over, total, share) == ("kept" if low < 0.05 else "broken" if high < 0.05 else "inconclusive")


@pytest.fixture(scope="module")
def stats() -> Any:
    """`scipy.stats`, imported before an example is timed."""
    return pytest.importorskip("scipy.stats")


@settings(deadline=None)
@given(counts(), shares())
def test_the_number_that_settles_is_the_smallest_that_does(count: tuple[int, int], share: Fraction) -> None:
    over, total = count
    needed = settles(over, total, share)

    if standing(over, total, share) != "inconclusive":
        assert needed == total
    else:
        assert needed > total
        assert standing(over, needed, share) == "kept"
        assert standing(over, needed - 1, share) != "kept"


@settings(deadline=None)
@given(counts(), shares())
def test_evidence_of_a_broken_promise_agrees_with_the_percentile_itself(
    count: tuple[int, int], share: Fraction
) -> None:
    over, total = count
    assume(total > 0)
    value = percentile([1] * (total - over) + [2] * over, share)

    assert (standing(over, total, share), value) not in [("kept", 2), ("broken", 1)]


@pytest.mark.parametrize(("over", "total"), [(-1, 5), (6, 5), (0, -1)])
def test_counts_that_cannot_be_are_refused(over: int, total: int) -> None:
    with pytest.raises(LatencyError, match="cannot be over a limit"):
        standing(over, total, P95)
    with pytest.raises(LatencyError, match="cannot be over a limit"):
        settles(over, total, P95)


def test_a_very_high_percentile_needs_a_very_large_number_of_samples() -> None:
    needed = settles(0, 0, share_of("p99.9999"))

    assert needed == math.ceil(math.log(0.05) / math.log1p(-1e-6))

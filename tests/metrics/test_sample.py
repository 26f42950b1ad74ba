from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_claude_latency.budgets.limit import METRICS, Limit, parse_expression
from pytest_claude_latency.errors import LatencyError, LimitError
from pytest_claude_latency.metrics.sample import (
    NEVER,
    PercentileJudgement,
    Sample,
    can_keep,
    judge,
    never_settled,
    percentile,
    settles,
    share_of,
    standing,
)
from tests.support.some_call import some_call

MS = 1_000_000
MARKER = "@latency_budget on tests/test_triage.py::test_label"
P50, P90, P95, P99 = map(share_of, ("p50", "p90", "p95", "p99"))


def shares() -> st.SearchStrategy[Fraction]:
    return st.sampled_from(["p1", "p25", "p50", "p90", "p95", "p99", "p99.9", "p33.3"]).map(share_of)


def counts(most: int = 80) -> st.SearchStrategy[tuple[int, int]]:
    """How many samples are over, and how many there are."""
    return st.integers(0, most).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


def limit(text: str) -> Limit:
    (only,) = parse_expression(text, MARKER)
    return only


def samples(*ttfts: float) -> list[Sample]:
    """A sample for each time to first token, in seconds."""
    return [Sample(number=number, calls=(some_call(ttft=ttft),)) for number, ttft in enumerate(ttfts, 1)]


def verdict(text: str, measured: Sequence[Sample]) -> PercentileJudgement:
    return judge(limit(text), measured)


# ── percentiles ──


@pytest.mark.parametrize(
    ("text", "share"), [("p50", (1, 2)), ("p95", (19, 20)), ("p99.9", (999, 1000)), ("p5", (1, 20))]
)
def test_a_percentile_names_a_share(text: str, share: tuple[int, int]) -> None:
    assert share_of(text) == Fraction(*share)


@pytest.mark.parametrize(
    "text", ["p0", "p100", "p150", "pNaN", "pinf", "p-5", "95", "p", "", "median", "p1e1", "p\u0665\u0660"]
)
def test_what_is_no_percentile_is_refused(text: str) -> None:
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
    assert Fraction(sum(each <= value for each in readings), len(readings)) >= share
    assert Fraction(sum(each < value for each in readings), len(readings)) < share


def test_what_never_came_is_later_than_all_that_did() -> None:
    assert percentile([300, NEVER, 200], P50) == 300
    assert percentile([300, NEVER, 200], P95) == NEVER


def test_no_samples_have_no_percentile() -> None:
    with pytest.raises(LatencyError, match="at least one sample, got none"):
        percentile([], P50)


def test_nan_is_no_measurement() -> None:
    with pytest.raises(LatencyError, match="NaN is no measurement"):
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


def chance_of_at_most(most: int, of: int, share: Fraction) -> Fraction:
    """The binomial distribution as it is defined, in whole numbers."""
    return sum(
        (math.comb(of, hits) * share**hits * (1 - share) ** (of - hits) for hits in range(most + 1)), Fraction(0)
    )


@settings(max_examples=500, deadline=None)
@given(counts(), shares())
def test_any_verdict_is_that_of_the_exact_binomial_test(count: tuple[int, int], share: Fraction) -> None:
    over, of = count
    level = Fraction(1, 20)

    kept = chance_of_at_most(over, of, 1 - share) < level
    broken = 1 - chance_of_at_most(over - 1, of, 1 - share) < level

    assert standing(over, of, share) == ("kept" if kept else "broken" if broken else "inconclusive")


@settings(max_examples=300, deadline=None)
@given(counts(3000), shares())
def test_any_verdict_is_the_one_scipy_gives(stats: Any, count: tuple[int, int], share: Fraction) -> None:
    over, of = count
    assume(of > 0)
    low = stats.binomtest(over, of, float(1 - share), alternative="less").pvalue
    high = stats.binomtest(over, of, float(1 - share), alternative="greater").pvalue
    assume(abs(low - 0.05) > 1e-6 and abs(high - 0.05) > 1e-6)

    assert standing(over, of, share) == ("kept" if low < 0.05 else "broken" if high < 0.05 else "inconclusive")


@pytest.fixture(scope="module")
def stats() -> Any:
    """`scipy.stats`, imported before an example is timed."""
    return pytest.importorskip("scipy.stats")


@settings(deadline=None)
@given(counts(), shares())
def test_the_number_that_settles_is_the_smallest_that_does(count: tuple[int, int], share: Fraction) -> None:
    over, of = count
    needed = settles(over, of, share)

    if standing(over, of, share) != "inconclusive":
        assert needed == of
    else:
        assert needed > of
        assert standing(over, needed, share) == "kept"
        assert standing(over, needed - 1, share) != "kept"


@settings(deadline=None)
@given(counts(), shares())
def test_evidence_of_a_broken_promise_agrees_with_the_percentile_itself(
    count: tuple[int, int], share: Fraction
) -> None:
    over, of = count
    assume(of > 0)
    value = percentile([1] * (of - over) + [2] * over, share)

    assert (standing(over, of, share), value) not in [("kept", 2), ("broken", 1)]


@pytest.mark.parametrize(("over", "of"), [(-1, 5), (6, 5), (0, -1)])
def test_counts_that_cannot_be_are_refused(over: int, of: int) -> None:
    with pytest.raises(LatencyError, match="cannot be over a limit"):
        standing(over, of, P95)
    with pytest.raises(LatencyError, match="cannot be over a limit"):
        settles(over, of, P95)


def test_an_absurdly_high_percentile_is_told_what_it_needs() -> None:
    needed = settles(0, 0, share_of("p99.9999"))

    assert needed == math.ceil(math.log(0.05) / math.log1p(-1e-6))


# ── what a sample reads ──


def test_a_sample_gives_its_worst_call() -> None:
    sample = Sample(calls=(some_call(ttft=0.2), some_call(ttft=0.7), some_call(ttft=0.4)), elapsed=3000 * MS)

    assert sample.reading(METRICS["ttft"]) == 700 * MS
    assert sample.reading(METRICS["elapsed"]) == 3000 * MS


def test_a_token_that_never_came_is_worse_than_any_late_one() -> None:
    sample = Sample(calls=(some_call(ttft=9.0), some_call(ttft=None)))

    assert sample.reading(METRICS["ttft"]) == NEVER


def test_a_gap_that_does_not_exist_is_no_reading() -> None:
    assert Sample(calls=(some_call(longest_gap=None),)).reading(METRICS["longest_gap"]) is None
    assert Sample(calls=(some_call(longest_gap=None), some_call())).reading(METRICS["longest_gap"]) == 81 * MS
    assert Sample().reading(METRICS["ttft"]) is None


def test_what_other_runs_are_compared_with_is_rounded_to_the_microsecond_and_names_no_machine() -> None:
    call = some_call(url="http://build-7.local:8080/v1/messages", ttft=0.1234567)

    sample = Sample(elapsed=1_234_567_891, calls=(call,)).comparable()

    assert sample.elapsed == 1_234_568_000
    assert sample.calls[0].ttft == 0.123457
    assert "build-7" not in repr(sample)
    assert sample.comparable() == sample


def test_conditions_are_known_of_all_calls_or_of_none() -> None:
    with pytest.raises(ValueError, match="1 conditions of 2 calls"):
        Sample(calls=(some_call(), some_call()), conditions=({"effort": "low"},))


# ── promises about percentiles ──


def test_a_percentile_that_enough_samples_keep_is_kept() -> None:
    judged = verdict("ttft.p50<800ms", samples(0.7, 0.5, 0.3, 0.4, 0.6))

    assert (judged.verdict, judged.measured, judged.over, judged.of) == ("kept", 500 * MS, 0, 5)
    assert judged.headline() == "ttft p50 was 500ms, within the budget of 800ms (0 of 5 over 800ms)"


def test_a_reading_equal_to_its_limit_is_not_over_it() -> None:
    assert verdict("ttft.p50<800ms", samples(*[0.8] * 5)).verdict == "kept"


def test_too_few_samples_say_how_many_would_settle_it() -> None:
    judged = verdict("ttft.p95<1.2s", samples(*[1.0] * 20))

    assert judged.verdict == "inconclusive"
    assert judged.headline() == "0 of 20 over 1.2s: p95 needs 59 samples; 39 more"


def test_samples_over_the_limit_ask_for_more_that_are_not() -> None:
    judged = verdict("ttft.p95<1.2s", samples(*[1.0] * 18, 1.3, 1.4))

    assert judged.headline() == "2 of 20 over 1.2s: p95 needs 124 samples; 104 more with none over"
    assert standing(2, 124, P95) == "kept"


def test_a_broken_percentile_says_what_was_promised_where_and_what_was_measured() -> None:
    judged = verdict("ttft.p95<800ms", samples(*[0.5] * 7, 0.9, 1.1, 1.24))

    assert judged.broken
    assert judged.message() == "\n".join(
        [
            "ttft p95 was 1.240s, 440ms over the budget of 800ms",
            "  budget    ttft.p95<800ms               @latency_budget on tests/test_triage.py::test_label",
            "  measured  1.240s                       3 of 10 samples over 800ms",
        ]
    )


def test_a_percentile_just_over_its_limit_is_shown_with_all_its_digits() -> None:
    judged = verdict("ttft.p95<800ms", samples(*[0.8000001] * 3))

    assert "800.0001ms" in judged.message()


def test_tokens_that_never_came_break_a_percentile() -> None:
    calls = [(some_call(ttft=None),)] * 3

    judged = verdict("ttft.p95<800ms", [Sample(number=n, calls=each) for n, each in enumerate(calls, 1)])

    assert judged.broken
    assert judged.headline() == "ttft p95 has no value, no token came: it breaks the budget of 800ms"
    assert judged.as_json()["measured"] is None


def test_samples_without_the_metric_are_left_out() -> None:
    silent = Sample(number=6, calls=(some_call(longest_gap=None),))

    judged = verdict("longest_gap.p50<1s", [*samples(*[0.1] * 5), silent])

    assert (judged.verdict, judged.of) == ("kept", 5)


def test_a_metric_that_no_sample_has_is_not_measured() -> None:
    judged = verdict("longest_gap.p50<1s", [Sample(calls=(some_call(longest_gap=None),))])

    assert judged.verdict == "not measured"
    assert judged.headline() == "longest_gap p50 has no value: no sample has one for longest_gap"


def test_a_percentile_of_the_elapsed_time_is_of_whole_tests() -> None:
    judged = verdict("elapsed.p50<2s", [Sample(number=n, elapsed=n * 1000 * MS) for n in range(1, 6)])

    assert (judged.measured, judged.over) == (3000 * MS, 3)


def test_a_judgement_is_told_to_programs_in_seconds() -> None:
    assert verdict("ttft.p95<1.2s", samples(*[1.0] * 20)).as_json() == {
        "metric": "ttft",
        "statistic": "p95",
        "limit": 1.2,
        "measured": 1.0,
        "over": 0,
        "samples": 20,
        "verdict": "inconclusive",
        "settled_by": 59,
        "origin": MARKER,
    }


def test_a_limit_on_every_sample_is_no_percentile() -> None:
    with pytest.raises(LimitError, match="is not a percentile"):
        judge(limit("ttft<800ms"), samples(0.5))


def test_a_number_of_samples_that_can_never_settle_a_percentile_is_said_beforehand() -> None:
    assert never_settled(limit("ttft.p95<1.2s"), 59) is None
    assert never_settled(limit("ttft.p95<1.2s"), 20) == (
        f"ttft.p95<1.2s cannot be shown to hold by 20 samples: p95 needs 59 ({MARKER})"
    )
    assert "by 1 sample:" in str(never_settled(limit("ttft.p50<1.2s"), 1))


@pytest.mark.parametrize("number", [0, -1])
def test_less_than_one_sample_is_refused(number: int) -> None:
    with pytest.raises(LatencyError, match="expected at least 1"):
        never_settled(limit("ttft.p95<1.2s"), number)

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_claude_latency.comparison.comparison import EXACT, Comparison, Pair, Rules, compare, judge, needed
from pytest_claude_latency.errors import LatencyError, LimitError
from pytest_claude_latency.metrics.sample import Sample
from pytest_claude_latency.metrics.series import Mode, Pace, Series
from pytest_claude_latency.metrics.timeline import Call
from tests.support.some_call import some_call

MS = 1_000_000
TEST = "tests/test_triage.py::test_label"


def replayed(*samples: Sample, nodeid: str = TEST, clock: Pace = "virtual") -> dict[str, Series]:
    return {nodeid: Series(nodeid=nodeid, mode="replay", clock=clock, samples=samples)}


def one(*calls: Call, elapsed: float | None = 3.0, number: int = 1) -> Sample:
    span = None if elapsed is None else round(elapsed * 1000) * MS
    return Sample(number=number, elapsed=span, calls=calls)


def live(spans: Sequence[int], nodeid: str = TEST) -> dict[str, Series]:
    """A sample for each span in milliseconds, which its one call takes in every way."""
    samples = []
    for number, span in enumerate(spans, 1):
        seconds = span / 1000
        call = some_call(ttft=seconds, ttfa=seconds, total=seconds)
        samples.append(one(call, elapsed=seconds, number=number))
    return {nodeid: Series(nodeid=nodeid, mode="live", clock="real", samples=tuple(samples))}


def verdicts(found: Sequence[Comparison]) -> dict[str, str]:
    return {each.metric: each.verdict for each in found}


def changed(found: Sequence[Comparison]) -> dict[str, str]:
    return {metric: verdict for metric, verdict in verdicts(found).items() if verdict != "unchanged"}


def of(metric: str, found: Sequence[Comparison]) -> Comparison:
    return next(each for each in found if each.metric == metric)


def steady(middle: int, number: int) -> list[int]:
    """Milliseconds around `middle`, no two equal, at most 5 % away."""
    return [middle + (place - number // 2) * middle // (20 * number) for place in range(number)]


# ── rules ──


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"tolerance": -0.1}, "-0.1 is no tolerance; accepted: a number of at least 0"),
        ({"tolerance": math.nan}, "nan is no tolerance"),
        ({"min_ratio": 0.9}, "0.9 is no smallest ratio; accepted: a number of at least 1"),
        ({"min_ratio": math.nan}, "nan is no smallest ratio"),
        ({"min_ratio": math.inf}, "inf is no smallest ratio"),
        ({"min_shift": -1}, "-1 is no smallest shift"),
    ],
)
def test_rules_that_make_no_sense_are_refused(rules: dict[str, Any], told: str) -> None:
    with pytest.raises(LimitError, match=told):
        Rules(**rules)


def test_without_a_word_a_tenth_and_25_ms_count() -> None:
    assert Rules() == Rules(tolerance=0, min_ratio=1.1, min_shift=25 * MS)


# ── exact ──


def test_the_same_replay_again_is_unchanged_in_everything() -> None:
    same = replayed(one(some_call(), some_call(sent=1.0)))

    assert verdicts(compare(same, same)) == dict.fromkeys(EXACT, "unchanged")


def test_any_change_of_a_replay_is_real_from_one_sample() -> None:
    found = compare(replayed(one(some_call(), elapsed=3.0)), replayed(one(some_call(), elapsed=3.001)))

    assert changed(found) == {"elapsed": "regression"}
    assert of("elapsed", found).headline() == "elapsed slowed from 3.000s to 3.001s"


def test_a_change_too_small_for_the_usual_digits_is_shown_with_all_of_them() -> None:
    before, after = (Sample(elapsed=3000 * MS + more, calls=(some_call(),)) for more in (0, 1000))

    assert of("elapsed", compare(replayed(before), replayed(after))).headline() == (
        "elapsed slowed from 3s to 3.000001s"
    )


def test_a_replay_that_became_faster_is_an_improvement() -> None:
    found = compare(replayed(one(some_call(ttft=0.5))), replayed(one(some_call(ttft=0.4))))

    assert changed(found) == {"ttft": "improvement"}
    assert of("ttft", found).headline() == "ttft sped up from 500ms to 400ms"


def test_another_call_is_a_regression_that_says_which() -> None:
    before = replayed(one(some_call(total=1.0), elapsed=1.0))
    after = replayed(one(some_call(total=1.0), some_call(sent=1.0, total=1.0), elapsed=2.0))

    found = compare(before, after)

    assert changed(found) == {
        "calls": "regression",
        "elapsed": "regression",
        "prompt_tokens": "regression",
        "output_tokens": "regression",
    }
    assert of("calls", found).message() == (
        "calls rose from 1 to 2\n  changed   call 2 appeared: claude-haiku-4-5, sent at 1.000s"
    )


def test_fewer_tokens_are_an_improvement() -> None:
    found = compare(replayed(one(some_call(output_tokens=96))), replayed(one(some_call(output_tokens=80))))

    assert of("output_tokens", found).headline() == "output_tokens fell from 96 to 80"
    assert changed(found) == {"output_tokens": "improvement"}


def test_calls_that_stopped_overlapping_are_said() -> None:
    before = replayed(one(some_call(total=2.0), some_call(total=2.0), elapsed=2.0))
    after = replayed(one(some_call(total=2.0), some_call(sent=2.0, total=2.0), elapsed=4.0))

    found = compare(before, after)

    assert changed(found) == {"elapsed": "regression"}
    assert of("elapsed", found).notes == ("call 2 no longer overlaps call 1",)


def test_changes_up_to_the_tolerance_are_ignored_and_beyond_it_are_not() -> None:
    before, after = replayed(one(some_call(), elapsed=2.0)), replayed(one(some_call(), elapsed=2.1))

    assert changed(compare(before, after, Rules(tolerance=0.05))) == {}
    assert changed(compare(before, after, Rules(tolerance=0.049))) == {"elapsed": "regression"}


def test_samples_are_compared_each_with_its_own() -> None:
    before = replayed(one(some_call(), elapsed=1.0, number=1), one(some_call(), elapsed=9.0, number=2))
    after = replayed(one(some_call(), elapsed=9.0, number=2), one(some_call(), elapsed=1.5, number=3))

    assert changed(compare(before, after)) == {}


def test_one_slower_sample_makes_a_regression_whatever_the_others_gain() -> None:
    before = replayed(one(some_call(), elapsed=2.0, number=1), one(some_call(), elapsed=2.0, number=2))
    after = replayed(one(some_call(), elapsed=1.0, number=1), one(some_call(), elapsed=2.5, number=2))

    found = compare(before, after)

    assert changed(found) == {"elapsed": "regression"}
    assert of("elapsed", found).headline() == "elapsed slowed from 2.000s to 2.500s"


def test_with_several_samples_what_happened_is_said_of_each() -> None:
    before = replayed(one(some_call(), number=1), one(some_call(), number=2))
    after = replayed(one(some_call(), number=1), one(some_call(output_tokens=97), number=2))

    (note,) = of("output_tokens", compare(before, after)).notes

    assert note == "sample 2: call 1 was answered otherwise: output tokens 97, was 96"


def test_a_hedge_that_the_program_gave_up_does_not_hide_when_the_first_token_came() -> None:
    given_up = some_call(ttft=None, ttfa=None, closed="client", total=0.9)

    found = compare(replayed(one(some_call(ttft=0.5), given_up)), replayed(one(some_call(ttft=0.7), given_up)))

    assert of("ttft", found).headline() == "ttft slowed from 500ms to 700ms"


def test_a_token_that_no_longer_comes_is_a_regression() -> None:
    found = compare(replayed(one(some_call())), replayed(one(some_call(ttft=None, error="ReadTimeout"))))

    assert of("ttft", found).headline() == "ttft slowed from 412ms to never (no token came)"
    assert of("ttft", found).as_json()["after"] is None


def test_a_test_without_calls_is_compared_by_their_number() -> None:
    silent = replayed(one(elapsed=None))

    assert verdicts(compare(silent, silent)) == {"calls": "unchanged"}
    assert changed(compare(silent, replayed(one(some_call())))) == {"calls": "regression"}


def test_tests_that_only_one_side_has_are_not_compared() -> None:
    before = replayed(one(some_call()), nodeid="tests/test_a.py::test_old")

    assert compare(before, replayed(one(some_call()))) == ()


@pytest.mark.parametrize(
    ("mode", "clock", "way"),
    [("live", "real", "measured live"), ("replay", "real", "replayed on the real clock")],
)
def test_what_was_measured_in_another_way_is_never_compared(mode: Mode, clock: Pace, way: str) -> None:
    other = {TEST: Series(nodeid=TEST, mode=mode, clock=clock, samples=(one(some_call()),))}

    with pytest.raises(LatencyError, match=f"was {way} before and replayed on the virtual clock now"):
        compare(other, replayed(one(some_call())))


def test_a_replay_that_waits_for_real_is_measured_not_exact() -> None:
    run = replayed(one(some_call()), clock="real")

    assert {each.exact for each in compare(run, run)} == {False}


# ── statistical ──


def test_a_clear_slowdown_is_a_regression() -> None:
    found = compare(live(steady(400, 10)), live(steady(520, 10)))

    assert changed(found) == dict.fromkeys(["ttft", "total", "elapsed"], "regression")


def test_a_clear_speedup_is_an_improvement() -> None:
    found = compare(live(steady(520, 10)), live(steady(400, 10)))

    assert changed(found) == dict.fromkeys(["ttft", "total", "elapsed"], "improvement")


def test_a_regression_shows_medians_that_were_measured_the_ratio_and_the_evidence() -> None:
    before, after = steady(400, 9), steady(600, 9)

    shown = of("ttft", compare(live(before), live(after))).headline()

    # 9 against 9, all above all others: 1 of 48,620 orders, three comparisons alike
    assert shown.startswith("ttft slowed from 400ms to 600ms: ratio 1.50 (95 %: ")
    assert shown.endswith("), adjusted p 2.1e-05, 9 samples before, 9 now")


@pytest.mark.parametrize("middle", [430, 399])
def test_a_change_below_the_smallest_ratio_does_not_count(middle: int) -> None:
    assert changed(compare(live(steady(400, 30)), live(steady(middle, 30)))) == {}


def test_a_change_of_just_the_smallest_ratio_counts_both_ways() -> None:
    slow, fast = live([1100] * 10), live([1000] * 10)

    assert set(changed(compare(fast, slow)).values()) == {"regression"}
    assert set(changed(compare(slow, fast)).values()) == {"improvement"}


def test_a_change_below_the_smallest_shift_does_not_count() -> None:
    before, after = live(steady(60, 30)), live(steady(80, 30))

    assert changed(compare(before, after)) == {}
    assert set(changed(compare(before, after, Rules(min_shift=15 * MS))).values()) == {"regression"}


def test_one_stalled_answer_is_no_regression_though_it_doubles_the_mean() -> None:
    before = steady(400, 20)
    after = [*before[:-1], 10_000]

    assert changed(compare(live(before), live(after))) == {}


def test_too_few_runs_give_no_verdict_and_say_how_many_would() -> None:
    found = compare(live(steady(400, 3)), live(steady(4000, 3)))

    assert set(verdicts(found).values()) == {"too few runs"}
    assert of("ttft", found).headline() == "ttft: too few runs (3 samples before, 3 now); 4 would do"


def test_eight_a_side_serve_643_comparisons_and_not_one_more() -> None:
    # all above all others: 1 of 12,870 orders
    assert needed(643) == 8
    assert needed(644) == 9


def test_many_samples_on_one_side_make_up_for_few_on_the_other() -> None:
    assert needed(600) == 8
    assert needed(600, before=20, after=3) == 5


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(0, 30), st.integers(0, 30))
def test_the_number_needed_is_the_smallest_that_can_be_significant(many: int, before: int, after: int) -> None:
    enough = needed(many, before, after)

    def orders(number: int) -> int:
        return math.comb(max(number, before) + max(number, after), max(number, before))

    assert many * 20 < orders(enough)
    assert enough == 1 or many * 20 >= orders(enough - 1)


def test_each_comparison_counts_against_all_others_of_the_run() -> None:
    slower = Pair(TEST, "ttft", tuple(map(float, range(400, 408))), tuple(map(float, range(800, 808))))
    same = Pair(TEST, "total", tuple(map(float, range(400, 408))), tuple(map(float, range(400, 408))))
    rules = Rules(min_shift=0)

    def verdict(others: int) -> str:
        return judge([slower, *[same] * others], rules)[0].verdict

    assert verdict(0) == "regression"
    assert verdict(642) == "regression"
    assert verdict(643) == "too few runs"


@settings(deadline=None)
@given(
    st.lists(st.integers(100, 2000), min_size=1, max_size=9), st.lists(st.integers(100, 2000), min_size=1, max_size=9)
)
def test_swapping_the_sides_turns_every_verdict_round(before: list[int], after: list[int]) -> None:
    forth, back = compare(live(before), live(after)), compare(live(after), live(before))
    turned = {"regression": "improvement", "improvement": "regression"}

    assert verdicts(back) == {metric: turned.get(verdict, verdict) for metric, verdict in verdicts(forth).items()}


def test_samples_without_the_metric_are_left_out() -> None:
    run = live(steady(400, 5))
    silent = {TEST: Series(nodeid=TEST, mode="live", clock="real", samples=(one(elapsed=None),))}

    assert compare(run, silent) == ()


def test_other_conditions_are_said_beside_the_verdict() -> None:
    before = live(steady(400, 10))
    calls = [sample.calls[0] for sample in before[TEST].samples]
    warm = tuple(
        Sample(number=number, elapsed=400 * MS, calls=(call,), conditions=({"prompt_cache": "warm"},))
        for number, call in enumerate(calls, 1)
    )
    after = {TEST: Series(nodeid=TEST, mode="live", clock="real", samples=warm)}

    assert of("ttft", compare(before, after)).notes == ("prompt_cache warm, was not set",)


@pytest.mark.parametrize("sides", [((), (1.0,)), ((1.0,), ())])
def test_a_side_without_samples_is_refused(sides: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
    with pytest.raises(LatencyError, match="at least one sample a side"):
        Pair(TEST, "ttft", *sides)


def test_nan_is_refused() -> None:
    with pytest.raises(LatencyError, match="NaN is no measurement of ttft"):
        Pair(TEST, "ttft", (1.0,), (math.nan,))


def test_no_comparisons_have_no_verdicts() -> None:
    assert judge([]) == ()
    assert compare({}, {}) == ()


def test_a_comparison_is_told_to_programs_in_seconds() -> None:
    facts = of("ttft", compare(live(steady(400, 9)), live(steady(600, 9)))).as_json()

    assert facts["verdict"] == "regression"
    assert (facts["before"], facts["after"], facts["shift"]) == (0.4, 0.6, 0.2)
    assert (facts["samples_before"], facts["samples_after"], facts["needs"]) == (9, 9, None)
    assert facts["interval"][0] < facts["ratio"] < facts["interval"][1]
    assert facts["p"] == pytest.approx(1 / math.comb(18, 9))


def test_an_interval_without_bounds_is_told_as_null() -> None:
    facts = of("ttft", compare(live([400]), live([600]))).as_json()

    assert facts["interval"] == [0.0, None]
    assert facts["needs"] == 4


def test_an_exact_comparison_is_told_without_evidence() -> None:
    facts = of("calls", compare(replayed(one(some_call())), replayed(one(some_call())))).as_json()

    assert facts == {
        "metric": "calls",
        "verdict": "unchanged",
        "exact": True,
        "before": 1,
        "after": 1,
        "samples_before": 1,
        "samples_after": 1,
        "needs": None,
        "notes": [],
    }

"""The verdicts on pairs of a recorded request and a current one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pytest_claude_latency.ab.verdicts import on_pairs
from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.results.ab_pairs import ABPair, ABSample, MeasuredRequest, NotCompared
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.results.verdict import STRICTLY, RunVerdict
from tests.support.some_pairs import ab_sample, some_request

TEST = "tests/test_it.py::test_one"


def results(*samples: ABSample, nodeid: str = TEST) -> list[TestResult]:
    """The samples of one test."""
    return [TestResult(nodeid=nodeid, sample=number, ab_sample=sample) for number, sample in enumerate(samples, 1)]


def pairs(shift: float, *, number: int = 1, of: int = 4) -> list[ABPair]:
    """Pairs whose current request takes `shift` seconds longer than the recorded one."""
    return [
        ABPair(number, some_request(0.4 + place / 100), some_request(0.4 + shift + place / 100)) for place in range(of)
    ]


def concluded(measured: Sequence[TestResult], *, strict: bool = False) -> dict[str, RunVerdict]:
    return {verdict.about: verdict for verdict in on_pairs(measured, strict=strict)}


@pytest.mark.parametrize(("shift", "verdict"), [(1, "regression"), (-0.3, "improvement"), (0, "unchanged")])
def test_the_two_requests_are_judged_like_two_runs(shift: float, verdict: str) -> None:
    verdicts = concluded(results(*map(ab_sample, pairs(shift))))

    ttft = verdicts["ab ttft"]
    assert ttft.verdict == verdict
    assert ttft.fails is (verdict == "regression")
    assert not ttft.warns
    assert (ttft.facts["kind"], ttft.facts["call"], ttft.facts["samples_before"]) == ("ab", 1, 4)
    assert ttft.value == pytest.approx(0.41 + shift)
    assert ttft.headline.startswith("ab: ttft ")


def test_a_call_among_several_is_named_by_its_number() -> None:
    samples = [ab_sample(*both, calls=2) for both in zip(pairs(0), pairs(1, number=2), strict=True)]

    verdicts = on_pairs(results(*samples), strict=False)

    assert [(verdict.name, verdict.verdict) for verdict in verdicts if "ttft" in verdict.about] == [
        (f"{TEST}::latency[ab call 1 ttft]", "too few runs"),
        (f"{TEST}::latency[ab call 2 ttft]", "too few runs"),
    ]


def test_all_comparisons_of_the_run_count_against_each_other() -> None:
    alone = concluded(results(*map(ab_sample, pairs(1))))
    others = [result for test in "abc" for result in results(*map(ab_sample, pairs(0)), nodeid=test)]

    among = on_pairs([*others, *results(*map(ab_sample, pairs(1)))], strict=False)

    assert alone["ab ttft"].verdict == "regression"
    assert {verdict.verdict for verdict in among} == {"too few runs"}
    assert {verdict.facts["needs"] for verdict in among} == {5}


def test_too_few_samples_warn_once_a_call_and_fail_a_strict_run() -> None:
    few = results(*map(ab_sample, pairs(1, of=3)))

    verdicts, strict = concluded(few), concluded(few, strict=True)

    assert [(verdict.fails, verdict.warns) for verdict in verdicts.values()] == [(False, True), (False, False)]
    assert verdicts["ab ttft"].headline.endswith("; 4 a side are needed)")
    assert all(verdict.fails and verdict.message.endswith(STRICTLY) for verdict in strict.values())


def test_the_users_rules_decide_what_counts() -> None:
    (ttft, _) = on_pairs(results(*map(ab_sample, pairs(1))), Rules(min_shift=2 * SECOND), strict=False)

    assert ttft.verdict == "unchanged"


def test_what_else_changed_stands_beside_the_verdict() -> None:
    samples = [ABPair(1, some_request(0.4, effort="low"), some_request(1.4, effort="high")) for _ in range(4)]

    ttft, total = concluded(results(*map(ab_sample, samples))).values()

    assert (ttft.notes, total.notes) == (("effort high, was low",), ())
    assert "  changed   effort high, was low\n" in ttft.message
    assert ttft.message.endswith("  recording tests/cassettes/test_it/test_one.1.jsonl")


def test_a_pair_with_an_error_is_left_out_and_counted() -> None:
    broken = ABPair(1, some_request(0.1, error="overloaded_error"), some_request(0.4))

    ttft = concluded(results(*map(ab_sample, [*pairs(1), broken])))["ab ttft"]

    reason = "1 of 5 pairs left out: the recorded request ended with overloaded_error"
    assert ttft.verdict == "regression"
    assert (ttft.facts["samples_before"], ttft.facts["samples_after"]) == (4, 4)
    assert ttft.facts["left_out"] == [reason]
    assert f"  left out  {reason}" in ttft.message


def test_a_sample_that_could_not_be_compared_is_counted_too() -> None:
    quoting = ab_sample(not_compared=(NotCompared(1, "its request quotes an earlier answer"),))

    ttft = concluded(results(*map(ab_sample, pairs(1)), quoting))["ab ttft"]

    assert ttft.headline.endswith("4 now; 1 of 5 pairs left out: its request quotes an earlier answer")


@pytest.mark.parametrize("mendable", [True, False])
@pytest.mark.parametrize("strict", [True, False])
def test_a_call_that_is_not_compared_is_named_with_its_reason(mendable: bool, strict: bool) -> None:
    obstacle = NotCompared(2, "it corresponds to no recorded call", mendable)

    (only,) = on_pairs(results(ab_sample(calls=2, not_compared=(obstacle,))), strict=strict)

    assert (only.name, only.verdict) == (f"{TEST}::latency[ab call 2]", "not compared")
    assert only.headline == "call 2 is not compared: it corresponds to no recorded call"
    assert (only.warns, only.fails) == (mendable, mendable and strict)


def test_a_test_of_which_nothing_is_compared_gets_a_verdict_with_the_reason() -> None:
    nothing = ab_sample(calls=3, not_compared=(NotCompared(None, "there is no recording", mendable=True),))

    (only,) = on_pairs(results(nothing, nothing), strict=False)

    assert (only.name, only.headline) == (f"{TEST}::latency[ab]", "nothing is compared: there is no recording")


def test_where_every_pair_broke_the_call_is_not_compared() -> None:
    broken = ABPair(1, some_request(0.1), some_request(0.4, error="ReadError"))

    (only,) = on_pairs(results(ab_sample(broken), ab_sample(broken)), strict=True)

    assert only.headline == "its call is not compared: the current request ended with ReadError"
    assert only.fails


def test_answers_without_a_token_have_only_their_total_compared() -> None:
    def silent(total: float) -> MeasuredRequest:
        return MeasuredRequest(replace(some_request(total).call, ttft=None), {})

    samples = [ABPair(1, silent(0.1), silent(0.1)) for _ in range(4)]

    assert list(concluded(results(*map(ab_sample, samples)))) == ["ab total"]


def test_results_without_pairs_get_no_verdict() -> None:
    assert on_pairs([TestResult(nodeid=TEST)], strict=True) == []


# ── cold and warm prompt caches ──


def cached(pair: ABPair, recorded: str, current: str) -> ABPair:
    """A pair whose two requests met the prompt cache like this: `cold`, `warm` or not at all."""

    def side(request: MeasuredRequest, state: str) -> MeasuredRequest:
        read, written = 5000 * (state == "warm"), 5000 * (state == "cold")
        return replace(request, call=replace(request.call, cache_read_tokens=read, cache_write_tokens=written))

    return replace(pair, recorded=side(pair.recorded, recorded), current=side(pair.current, current))


def test_a_first_pair_with_a_cold_cache_is_left_out_of_those_with_a_warm_one() -> None:
    first, *rest = pairs(0.3, of=5)

    verdicts = concluded(
        results(*map(ab_sample, [cached(first, "cold", "warm"), *(cached(pair, "warm", "warm") for pair in rest)]))
    )

    assert list(verdicts) == ["ab (warm cache) ttft", "ab (warm cache) total"]
    ttft = verdicts["ab (warm cache) ttft"]
    assert (ttft.verdict, ttft.facts["samples_before"], ttft.facts["prompt_cache"]) == ("regression", 4, "warm cache")
    assert ttft.headline.endswith(
        "1 of 5 pairs left out: cold cache for the recorded request, warm cache for the current one"
    )


def test_large_groups_are_judged_each_by_itself() -> None:
    cold = [cached(pair, "cold", "cold") for pair in pairs(0, of=6)]
    warm = [cached(pair, "warm", "warm") for pair in pairs(1, of=6)]

    verdicts = concluded(results(*map(ab_sample, [*cold, *warm])))

    assert {name: verdict.verdict for name, verdict in verdicts.items() if "ttft" in name} == {
        "ab (cold cache) ttft": "unchanged",
        "ab (warm cache) ttft": "regression",
    }


def test_pairs_in_which_one_request_warmed_the_cache_for_the_other_compare_nothing() -> None:
    mixed = [
        cached(pair, *(("cold", "warm") if place % 2 else ("warm", "cold")))
        for place, pair in enumerate(pairs(0, of=6))
    ]

    (verdict,) = concluded(results(*map(ab_sample, mixed))).values()

    assert verdict.verdict == "not compared"
    assert "cold cache for the recorded request, warm cache for the current one" in verdict.headline


def test_a_cache_that_only_the_current_request_uses_is_the_change_itself() -> None:
    first, *rest = pairs(-0.3, of=6)
    mixed = [cached(first, "", "cold"), *(cached(pair, "", "warm") for pair in rest)]

    assert concluded(results(*map(ab_sample, mixed)))["ab (warm cache) ttft"].verdict == "improvement"
    alike = concluded(results(*map(ab_sample, [cached(pair, "", "warm") for pair in pairs(-0.3, of=6)])))
    assert alike["ab ttft"].verdict == "improvement"

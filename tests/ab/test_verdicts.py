"""What a run concludes from requests that were measured side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pytest_claude_latency.ab.pairs import Arm, Arms, NotCompared, SideBySide
from pytest_claude_latency.ab.verdicts import on_pairs
from pytest_claude_latency.comparison.comparison import Rules
from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.results.verdict import RunVerdict
from tests.support.some_arms import side_by_side, some_arm

TEST = "tests/test_it.py::test_one"


def results(*sides: SideBySide, nodeid: str = TEST) -> list[TestResult]:
    """The samples of one test."""
    return [TestResult(nodeid=nodeid, sample=number, side_by_side=side) for number, side in enumerate(sides, 1)]


def pairs(shift: float, *, number: int = 1, of: int = 4) -> list[Arms]:
    """As many pairs whose current request takes so many seconds longer."""
    return [Arms(number, some_arm(0.4 + place / 100), some_arm(0.4 + shift + place / 100)) for place in range(of)]


def concluded(measured: Sequence[TestResult], *, strict: bool = False) -> dict[str, RunVerdict]:
    return {each.about: each for each in on_pairs(measured, strict=strict)}


@pytest.mark.parametrize(("shift", "verdict"), [(1, "regression"), (-0.3, "improvement"), (0, "unchanged")])
def test_the_two_arms_are_judged_like_two_runs(shift: float, verdict: str) -> None:
    found = concluded(results(*map(side_by_side, pairs(shift))))

    ttft = found["ab ttft"]
    assert ttft.verdict == verdict
    assert ttft.fails is (verdict == "regression")
    assert not ttft.warns
    assert (ttft.facts["kind"], ttft.facts["call"], ttft.facts["samples_before"]) == ("ab", 1, 4)
    assert ttft.value == pytest.approx(0.41 + shift)
    assert ttft.headline.startswith("ab: ttft ")


def test_a_call_among_several_is_named_by_its_number() -> None:
    sides = [side_by_side(*each, calls=2) for each in zip(pairs(0), pairs(1, number=2), strict=True)]

    found = on_pairs(results(*sides), strict=False)

    assert [(each.name, each.verdict) for each in found if "ttft" in each.about] == [
        (f"{TEST}::latency[ab call 1 ttft]", "too few runs"),
        (f"{TEST}::latency[ab call 2 ttft]", "too few runs"),
    ]


def test_all_comparisons_of_the_run_count_against_each_other() -> None:
    alone = concluded(results(*map(side_by_side, pairs(1))))
    others = [each for test in "abc" for each in results(*map(side_by_side, pairs(0)), nodeid=test)]

    among = on_pairs([*others, *results(*map(side_by_side, pairs(1)))], strict=False)

    assert alone["ab ttft"].verdict == "regression"
    assert {each.verdict for each in among} == {"too few runs"}
    assert {each.facts["needs"] for each in among} == {5}


def test_too_few_samples_warn_once_a_call_and_fail_a_strict_run() -> None:
    few = results(*map(side_by_side, pairs(1, of=3)))

    found, strict = concluded(few), concluded(few, strict=True)

    assert [(each.fails, each.warns) for each in found.values()] == [(False, True), (False, False)]
    assert found["ab ttft"].headline.endswith("; 4 would do")
    assert all(each.fails and each.message.endswith("(--latency-strict)") for each in strict.values())


def test_the_users_rules_decide_what_counts() -> None:
    (ttft, _) = on_pairs(results(*map(side_by_side, pairs(1))), Rules(min_shift=2 * SECOND), strict=False)

    assert ttft.verdict == "unchanged"


def test_what_else_changed_stands_beside_the_verdict() -> None:
    sides = [Arms(1, some_arm(0.4, effort="low"), some_arm(1.4, effort="high")) for _ in range(4)]

    ttft, total = concluded(results(*map(side_by_side, sides))).values()

    assert (ttft.notes, total.notes) == (("effort high, was low",), ())
    assert "  changed   effort high, was low\n" in ttft.message
    assert ttft.message.endswith("  recording tests/cassettes/test_it/test_one.1.jsonl")


def test_a_pair_with_an_error_is_left_out_and_counted() -> None:
    broken = Arms(1, some_arm(0.1, error="overloaded_error"), some_arm(0.4))

    ttft = concluded(results(*map(side_by_side, [*pairs(1), broken])))["ab ttft"]

    said = "1 of 5 pairs left out: the recorded request ended with overloaded_error"
    assert ttft.verdict == "regression"
    assert (ttft.facts["samples_before"], ttft.facts["samples_after"]) == (4, 4)
    assert ttft.facts["left_out"] == [said]
    assert f"  left out  {said}" in ttft.message


def test_a_sample_that_could_not_be_compared_is_counted_too() -> None:
    quoting = side_by_side(not_compared=(NotCompared(1, "its request quotes an earlier answer"),))

    ttft = concluded(results(*map(side_by_side, pairs(1)), quoting))["ab ttft"]

    assert ttft.headline.endswith("4 now; 1 of 5 pairs left out: its request quotes an earlier answer")


@pytest.mark.parametrize("mendable", [True, False])
@pytest.mark.parametrize("strict", [True, False])
def test_a_call_that_is_not_compared_is_named_with_its_reason(mendable: bool, strict: bool) -> None:
    obstacle = NotCompared(2, "it corresponds to no recorded call", mendable)

    (only,) = on_pairs(results(side_by_side(calls=2, not_compared=(obstacle,))), strict=strict)

    assert (only.name, only.verdict) == (f"{TEST}::latency[ab call 2]", "not compared")
    assert only.headline == "call 2 is not compared: it corresponds to no recorded call"
    assert (only.warns, only.fails) == (mendable, mendable and strict)


def test_a_test_of_which_nothing_is_compared_says_so() -> None:
    nothing = side_by_side(calls=3, not_compared=(NotCompared(None, "there is no recording", mendable=True),))

    (only,) = on_pairs(results(nothing, nothing), strict=False)

    assert (only.name, only.headline) == (f"{TEST}::latency[ab]", "nothing is compared: there is no recording")


def test_where_every_pair_broke_the_call_is_not_compared() -> None:
    broken = Arms(1, some_arm(0.1), some_arm(0.4, error="ReadError"))

    (only,) = on_pairs(results(side_by_side(broken), side_by_side(broken)), strict=True)

    assert only.headline == "its call is not compared: the current request ended with ReadError"
    assert only.fails


def test_answers_without_a_token_have_only_their_total_compared() -> None:
    def silent(total: float) -> Arm:
        return Arm(replace(some_arm(total).call, ttft=None), {})

    sides = [Arms(1, silent(0.1), silent(0.1)) for _ in range(4)]

    assert list(concluded(results(*map(side_by_side, sides)))) == ["ab total"]


def test_results_without_any_conclude_nothing() -> None:
    assert on_pairs([TestResult(nodeid=TEST)], strict=True) == []

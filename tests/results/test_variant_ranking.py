"""Variant rankings: variants of a test side by side, and which of them is recommended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pytest_claude_latency.report.variants import table
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.results.variant_ranking import VariantRanking, rank_variants
from tests.support.some_call import some_call

TEST = "test_it.py::test_it"
SLOW = (2.0, 2.1, 2.2, 2.3, 2.4)
FAST = (0.9, 1.0, 1.1, 1.2, 1.3)


def samples(elapsed: Sequence[float], variant: str = "", failed: int = 0, **call: Any) -> list[TestResult]:
    """The results of one candidate, the first `failed` of which did not pass."""
    return [
        TestResult(
            nodeid=f"{TEST}[{variant}]" if variant else TEST,
            variant=variant,
            original_nodeid=TEST if variant else "",
            sample=number,
            sample_count=len(elapsed),
            outcome="passed" if number > failed else "xfailed" if variant else "failed",
            incomplete=number <= failed,
            elapsed=seconds,
            calls=(some_call(**{"ttft": seconds / 4, "total": seconds} | call),),
        )
        for number, seconds in enumerate(elapsed, 1)
    ]


def ranking(*candidates: list[TestResult]) -> VariantRanking:
    (only,) = rank_variants(result for candidate in candidates for result in candidate)
    return only


def test_a_run_without_variants_is_no_trial() -> None:
    assert rank_variants(samples(SLOW)) == ()


def test_the_fastest_that_passes_is_named_with_what_it_rests_on() -> None:
    found = ranking(samples(SLOW), samples(FAST, "~model=b"), samples((1.5, 1.6, 1.7, 1.8, 1.9), "~model=c"))

    assert [candidate.name for candidate in found.candidates] == ["as written", "~model=b", "~model=c"]
    assert found.fastest is not None
    assert found.fastest.name == "~model=b"
    assert found.recommendation().startswith("fastest that passes: ~model=b, 1.100s, was 2.200s as written (ratio 0.50")
    assert [candidate.verdict for candidate in found.candidates] == [None, "faster", "faster"]


@pytest.mark.parametrize("failed", [1, 5])
def test_what_fails_its_assertions_is_never_recommended_however_fast(failed: int) -> None:
    found = ranking(samples(SLOW), samples((0.1, 0.1, 0.1, 0.1, 0.1), "~model=b", failed))

    assert found.fastest is not None
    assert found.fastest.name == "as written"
    assert found.candidates[1].verdict is None
    assert (found.candidates[1].passed, found.candidates[1].samples) == (5 - failed, 5)


def test_where_none_passes_none_is_recommended() -> None:
    found = ranking(samples(SLOW, failed=1), samples(FAST, "~model=b", failed=5))

    assert found.fastest is None
    assert found.recommendation() == "none passed in all its samples, so none is recommended"


def test_a_test_that_only_broke_its_budget_passes() -> None:
    broken = [TestResult(**{**vars(result), "outcome": "failed"}) for result in samples(FAST)]

    found = ranking(broken, samples(SLOW, "~model=b"))

    assert found.fastest is not None
    assert found.fastest.name == "as written"


def test_a_difference_inside_the_noise_is_called_that() -> None:
    found = ranking(samples(SLOW), samples((1.99, 2.11, 2.19, 2.31, 2.38), "~temperature=0.2"))

    assert found.candidates[1].verdict == "inside the noise"
    assert found.recommendation().endswith("was 2.200s as written; the difference is inside the noise")
    assert table(found).footnotes == ("~ inside the noise",)


def test_two_variants_that_chance_may_have_ordered_are_named_together() -> None:
    found = ranking(samples(SLOW), samples(FAST, "~model=b"), samples((0.92, 1.02, 1.13, 1.21, 1.31), "~model=c"))

    assert found.recommendation().endswith("; inside the noise of it: ~model=c")


def test_too_few_samples_are_said_with_how_many_would_do() -> None:
    found = ranking(samples(SLOW[:1]), samples(FAST[:1], "~model=b"))

    assert found.candidates[1].verdict == "too few samples"
    assert found.recommendation() == (
        "fastest that passes: ~model=b, 900ms, was 2.000s as written; "
        "too few samples to tell that from chance (1 as written, 1 of it; 4 each are needed)"
    )


@pytest.mark.parametrize("reason", ["max_tokens", "length", "model_context_window_exceeded"])
def test_a_variant_whose_answer_was_cut_off_is_not_recommended_however_fast(reason: str) -> None:
    found = ranking(samples(SLOW), samples(FAST, "~max_tokens=5", stop_reason=reason))

    assert found.candidates[1].cut_off == 5
    assert found.recommendation() == (
        "fastest that passes: as written, 2.200s; cut off at max_tokens, so not recommended: ~max_tokens=5"
    )


def test_one_answer_cut_off_among_many_samples_is_enough() -> None:
    cut_off = samples(FAST[:1], "~model=b", stop_reason="max_tokens")
    whole = [replace(result, sample=result.sample + 1) for result in samples(FAST[1:], "~model=b")]

    found = ranking(samples(SLOW), cut_off + whole)

    assert found.fastest is not None
    assert found.fastest.name == "as written"
    assert found.ties == ()


def test_where_every_answer_was_cut_off_none_is_recommended() -> None:
    found = ranking(samples(SLOW, stop_reason="max_tokens"), samples(FAST, "~model=b", stop_reason="max_tokens"))

    assert found.fastest is None
    assert found.recommendation() == (
        "none is recommended: answers of as written, ~model=b were cut off at max_tokens; raise it"
    )


def test_a_variant_without_the_test_as_written_is_compared_with_nothing() -> None:
    found = ranking(samples(FAST, "~model=b"))

    assert "as written the test did not pass or did not run" in found.recommendation()


def test_samples_that_were_skipped_did_not_run() -> None:
    skipped = [
        TestResult(
            nodeid=f"{TEST}[~model=b]", variant="~model=b", original_nodeid=TEST, outcome="skipped", incomplete=True
        )
    ]

    found = ranking(samples(FAST), skipped)

    assert (found.candidates[1].samples, found.candidates[1].passes) == (0, False)
    assert table(found).cells[1][:2] == ("~model=b", "skipped")


def test_numbers_are_those_of_the_samples_that_passed() -> None:
    found = ranking(samples(SLOW), samples((0.1, 1.0, 1.1, 1.2, 1.3), "~model=b", failed=1))

    assert found.candidates[1].typical("elapsed") == 1.1e9


def test_the_table_leaves_out_what_says_nothing() -> None:
    found = table(ranking(samples(SLOW), samples(FAST, "~model=b")))

    assert found.headers == ("variant", "passed", "TTFT", "TTFA", "total", "prompt", "output", "change")
    assert found.cells == (
        ("as written", "5/5", "550ms", "412ms", "2.200s", "31", "96", ""),
        ("~model=b", "5/5", "275ms", "412ms", "1.100s", "31", "96", "-50% faster"),
    )


def test_the_json_of_a_trial_holds_numbers_and_the_words() -> None:
    found = ranking(samples(SLOW), samples(FAST, "~model=b")).as_json()

    assert (found["nodeid"], found["fastest"]) == (TEST, f"{TEST}[~model=b]")
    written, tried = found["tried"]
    assert (written["variant"], written["against_as_written"]) == (None, None)
    assert (tried["variant"], tried["samples"], tried["passed"], tried["failed"]) == ("~model=b", 5, 5, 0)
    assert (tried["ttft"], tried["total"], tried["elapsed"], tried["output_tokens"]) == (0.275, 1.1, 1.1, 96)
    assert tried["against_as_written"]["verdict"] == "faster"


def refused(results: list[TestResult], why: str) -> list[TestResult]:
    return [replace(result, refusal=why) for result in results]


def test_what_the_api_refused_was_not_tried_and_is_said_with_the_field_and_the_words_of_the_api() -> None:
    why = "HTTP 400: `temperature` is deprecated for this model."
    found = ranking(
        samples(SLOW), refused(samples(FAST, "~model=b,temperature=0.2", failed=5), why), samples(FAST, "~model=c")
    )

    assert [row[1] for row in table(found).cells] == ["5/5", "5/5", "refused"]
    assert set(table(found).cells[2][2:]) == {""}
    assert found.recommendation().endswith(
        f"; ~model=b,temperature=0.2 was refused for temperature, which says nothing of its quality ({why})"
    )
    assert found.as_json()["tried"][2]["refusal"] == why


def test_a_variant_whose_refusal_the_program_survived_is_not_recommended() -> None:
    found = ranking(samples(SLOW), refused(samples(FAST, "~model=b"), "HTTP 404: model: b"))

    assert found.fastest is not None
    assert found.fastest.name == "as written"
    assert "~model=b was refused for model" in found.recommendation()


def test_what_the_api_refuses_of_the_test_as_written_is_no_answer_to_a_variant() -> None:
    found = ranking(refused(samples(SLOW), "HTTP 400: x"), refused(samples(FAST, "~model=b"), "HTTP 400: x"))

    assert found.fastest is not None
    assert found.fastest.name == "~model=b"


def test_variants_stand_in_the_order_of_their_speed_those_that_do_not_pass_last() -> None:
    found = ranking(
        samples(FAST, "~model=b"),
        samples(SLOW),
        samples((0.1, 0.1, 0.1, 0.1, 0.1), "~model=a", failed=5),
        samples((0.5, 0.5, 0.5, 0.5, 0.5), "~model=c"),
    )

    assert [candidate.name for candidate in found.candidates] == ["as written", "~model=c", "~model=b", "~model=a"]

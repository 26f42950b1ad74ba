from __future__ import annotations

from pytest_claude_latency.comparison.compare import compare
from pytest_claude_latency.comparison.exact import EXACT
from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.metrics.sample import Sample
from tests.support.some_call import some_call
from tests.support.some_series import MS, changed, of, one, replayed, verdicts


def test_the_same_replay_again_is_unchanged_in_everything() -> None:
    same = replayed(one(some_call(), some_call(sent=1.0)))

    assert verdicts(compare(same, same)) == dict.fromkeys(EXACT, "unchanged")


def test_any_change_of_a_replay_is_real_from_one_sample() -> None:
    found = compare(replayed(one(some_call(), elapsed=3.0)), replayed(one(some_call(), elapsed=3.001)))

    assert changed(found) == {"elapsed": "regression"}
    assert of("elapsed", found).headline() == "elapsed slowed from 3.000s to 3.001s"


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

    assert note == "sample 2: call 1 was answered differently: output tokens 97, was 96"


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


def test_a_replay_that_waits_for_real_is_measured_not_exact() -> None:
    run = replayed(one(some_call()), clock="real")

    assert {comparison.exact for comparison in compare(run, run)} == {False}


def test_a_hedge_that_was_given_up_is_left_out_also_where_conditions_are_known() -> None:
    given_up = some_call(ttft=None, ttfa=None, closed="client", total=0.9)
    facts = ({"effort": "low"}, {"effort": "low"})

    before, after = (
        replayed(Sample(elapsed=3000 * MS, calls=(some_call(ttft=ttft), given_up), conditions=facts))
        for ttft in (0.5, 0.7)
    )

    assert of("ttft", compare(before, after)).headline() == "ttft slowed from 500ms to 700ms"

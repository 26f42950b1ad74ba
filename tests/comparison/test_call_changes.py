from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_claude_latency.comparison.call_changes import CallChange, beyond, call_changes
from pytest_claude_latency.metrics.sample import Sample
from pytest_claude_latency.metrics.timeline import Call
from tests.support.some_call import some_call

NONE = Decimal(0)


def run(*calls: tuple[str, float, float], **facts: str) -> Sample:
    """A run of calls, each a prompt, when it was sent and how long it took; every one under the same `facts`."""
    made = tuple(some_call(sent=sent, total=total, ttft=0.1, ttfa=0.1) for _, sent, total in calls)
    return Sample(calls=made, conditions=tuple({"prompt": prompt, **facts} for prompt, _, _ in calls))


def kinds(changes: Sequence[CallChange]) -> list[tuple[str, int]]:
    return [(change.kind, change.call) for change in changes]


def texts(before: Sample, after: Sample) -> list[str]:
    return [change.text for change in call_changes(before, after)]


def test_the_same_run_again_has_no_changes() -> None:
    same = run(("a", 0, 2), ("b", 1, 3), ("a", 4, 1))

    assert call_changes(same, same) == ()


def test_each_call_is_named_with_the_line_that_made_it_and_another_line_is_no_change() -> None:
    def placed(sample: Sample, line: int) -> Sample:
        return replace(sample, calls=tuple(replace(call, location=f"app.py:{line} in ask") for call in sample.calls))

    before, after = placed(run(("a", 0, 2), ("b", 2, 1)), 7), placed(run(("a", 0, 3)), 9)

    assert texts(before, after) == [
        "call 2 of the earlier run (app.py:7 in ask) vanished: claude-haiku-4-5, sent at 2.000s",
        "call 1 (app.py:9 in ask) was answered differently: complete after 3.000s, was 2.000s",
    ]
    assert call_changes(before, placed(before, 9)) == ()


def test_a_call_that_is_new_appeared() -> None:
    before = run(("a", 0, 2), ("c", 2, 1))
    after = run(("a", 0, 2), ("b", 2, 1), ("c", 3, 1))

    changes = call_changes(before, after)

    assert changes[0] == CallChange("appeared", 2, "call 2 appeared: claude-haiku-4-5, sent at 2.000s")
    # what follows another call than before has another place
    assert kinds(changes) == [("appeared", 2), ("moved", 3)]


def test_a_call_that_is_gone_vanished_under_the_number_it_had() -> None:
    before = run(("a", 0, 2), ("b", 0, 1))
    after = run(("b", 0, 1))

    assert texts(before, after) == ["call 1 of the earlier run vanished: claude-haiku-4-5, sent at 0ms"]


def test_calls_of_another_order_are_told_by_what_they_ask() -> None:
    before = run(("a", 0, 2), ("b", 0, 1))
    after = run(("b", 0, 1), ("a", 0, 2))

    assert call_changes(before, after) == ()


def test_calls_one_after_the_other_no_longer_overlap() -> None:
    before = run(("a", 0, 5), ("b", 0, 1), ("c", 0, 3))
    after = run(("a", 0, 5), ("b", 5, 1), ("c", 6, 3))

    assert texts(before, after) == ["call 2 no longer overlaps call 1", "call 3 no longer overlaps calls 1 and 2"]


def test_calls_side_by_side_overlap_now() -> None:
    before = run(("a", 0, 5), ("b", 5, 1))
    after = run(("a", 0, 5), ("b", 0, 1))

    assert texts(before, after) == ["call 2 now overlaps call 1"]


def test_a_call_that_only_waits_longer_for_the_one_before_it_has_not_moved() -> None:
    before = run(("a", 0, 2), ("b", 2.5, 1))
    after = run(("a", 0, 3), ("b", 3.5, 1))

    assert kinds(call_changes(before, after)) == [("answered", 1)]


def test_a_call_that_is_sent_later_after_the_one_before_it_moved() -> None:
    before = run(("a", 0, 2), ("b", 2, 1))
    after = run(("a", 0, 2), ("b", 2.75, 1))

    assert texts(before, after) == ["call 2 moved: sent 750ms after call 1 ended, was when call 1 ended"]


def test_a_call_that_follows_another_call_than_before_moved() -> None:
    before = run(("a", 0, 1), ("b", 0, 2), ("c", 1, 1))
    after = run(("a", 0, 1), ("b", 0, 2), ("c", 2, 1))

    assert kinds(call_changes(before, after)) == [("no longer overlaps", 3)]


def test_a_hedge_that_is_sent_later_moved() -> None:
    before = run(("a", 0, 5), ("a", 0.8, 1))
    after = run(("a", 0, 5), ("a", 1.2, 1))

    assert texts(before, after) == [
        "call 2 moved: sent 1.200s after the first was sent, was 800ms after the first was sent"
    ]


def test_a_test_that_begins_later_has_the_same_calls() -> None:
    before = run(("a", 0, 1), ("b", 0.5, 2))
    after = run(("a", 3, 1), ("b", 3.5, 2))

    assert call_changes(before, after) == ()


def test_what_was_asked_otherwise_is_named() -> None:
    before = run(("a", 0, 1), effort="low", sdk="1.x")
    after = run(("a", 0, 1), effort="high", speed="fast", sdk="1.x")

    assert texts(before, after) == ["call 1 asked differently: effort high, was low, speed fast, was not set"]


def test_a_call_with_another_prompt_is_paired_by_its_place() -> None:
    before = run(("a", 0, 1), ("b", 1, 1), ("c", 2, 1))
    after = run(("A", 0, 1), ("B", 1, 1), ("C", 2, 1), ("d", 3, 1))

    changes = call_changes(before, after)

    assert kinds(changes) == [("asked", 1), ("asked", 2), ("asked", 3), ("appeared", 4)]
    assert changes[0].text == "call 1 asked differently: another prompt"


def test_another_model_is_the_same_call_asked_otherwise() -> None:
    before = Sample(calls=(some_call(),))
    after = Sample(calls=(some_call(model="claude-sonnet-4-5"),))

    assert texts(before, after) == ["call 1 asked differently: model claude-sonnet-4-5, was claude-haiku-4-5"]


def test_without_knowledge_of_prompts_calls_are_told_by_their_length() -> None:
    short, long = some_call(prompt_tokens=10), some_call(prompt_tokens=9000)

    assert call_changes(Sample(calls=(short, long)), Sample(calls=(long, short))) == ()


def test_what_was_answered_otherwise_is_shown_with_what_it_was() -> None:
    before = Sample(calls=(some_call(ttft=0.2, total=1.0, output_tokens=96),))
    after = Sample(calls=(some_call(ttft=0.35, total=1.5, output_tokens=120),))

    (text,) = texts(before, after)

    assert text == (
        "call 1 was answered differently: first token after 350ms, was 200ms, complete after 1.500s, was 1.000s, "
        "output tokens 120, was 96"
    )


def test_an_answer_without_a_token_is_answered_otherwise() -> None:
    before, after = Sample(calls=(some_call(),)), Sample(calls=(some_call(ttft=None),))

    assert texts(before, after) == ["call 1 was answered differently: first token after none, was 412ms"]


def test_changes_up_to_the_tolerance_are_none() -> None:
    before, after = run(("a", 0, 2), ("b", 3, 1)), run(("a", 0, 2.2), ("b", 3.3, 1))

    assert call_changes(before, after, Decimal("0.1")) == ()
    assert kinds(call_changes(before, after, Decimal("0.09"))) == [("answered", 1), ("moved", 2)]


def test_a_call_without_an_end_overlaps_nothing() -> None:
    unended = replace(some_call(sent=1.0), total=None)

    assert call_changes(Sample(calls=(unended,)), Sample(calls=(unended,))) == ()


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers(0, 5)), max_size=6), st.randoms())
def test_any_order_of_the_same_calls_makes_none_appear_or_vanish(
    calls: list[tuple[str, int, int]], random: Random
) -> None:
    before = run(*calls)
    other = list(calls)
    random.shuffle(other)

    found = {change.kind for change in call_changes(before, run(*other))}

    assert not found & {"appeared", "vanished", "asked"}


@settings(deadline=None)
@given(
    st.lists(st.sampled_from("abc"), max_size=6),
    st.lists(st.sampled_from("abc"), max_size=6),
)
def test_calls_that_appear_and_vanish_make_up_the_difference_in_number(before: list[str], after: list[str]) -> None:
    earlier, later = (run(*((prompt, place, 1) for place, prompt in enumerate(prompts))) for prompts in (before, after))
    found = [change.kind for change in call_changes(earlier, later)]

    assert found.count("appeared") == max(len(after) - len(before), 0)
    assert found.count("vanished") == max(len(before) - len(after), 0)


# ── how much is a change ──


@pytest.mark.parametrize(
    ("before", "after", "tolerance", "changed"),
    [
        (100, 100, "0", False),
        (100, 101, "0", True),
        (100, 110, "0.1", False),
        (100, 111, "0.1", True),
        (100, 90, "0.1", False),
        (100, 89, "0.1", True),
        (0, 1, "0.5", True),
        (None, None, "0", False),
        (None, 0, "1", True),
        (5, math.inf, "1", True),
        (math.inf, math.inf, "0", False),
        (1_000_000_000, 1_100_000_000, "0.1", False),
    ],
)
def test_a_change_counts_beyond_its_share(
    before: float | None, after: float | None, tolerance: str, changed: bool
) -> None:
    assert beyond(before, after, Decimal(tolerance)) is changed


def one(call: Call) -> Sample:
    return Sample(calls=(call,))


@settings(deadline=None)
@given(st.floats(0, 100), st.floats(0, 100))
def test_without_tolerance_any_other_time_to_the_nanosecond_is_a_change(old: float, new: float) -> None:
    found = call_changes(one(some_call(total=old)), one(some_call(total=new)), NONE)

    assert bool(found) == (round(old * 1e9) != round(new * 1e9))

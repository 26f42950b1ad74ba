"""Limits for some of a test's calls: which limit decides for which call."""

from __future__ import annotations

import pytest

from pytest_claude_latency.budgets.budget import combine
from pytest_claude_latency.budgets.judgement import DECIDED_ELSEWHERE, Judgement, message
from pytest_claude_latency.budgets.limit import parse_marker
from pytest_claude_latency.errors import LimitError
from tests.support.some_call import some_call
from tests.support.written_calls import HAIKU, OPUS, asked

CALLS = [some_call(ttft=0.2, total=2.0), some_call(ttft=1.0, total=9.0), some_call(ttft=0.4, total=4.0)]
REQUESTS = [asked(model=HAIKU), asked(model=OPUS, stream=True), asked(model=HAIKU, metadata={"user_id": "7"})]


def judged(*markers: dict[str, object], direct: bool = True) -> list[Judgement]:
    """Judge the calls by markers, the closest first."""
    budget = combine([parse_marker(marker, "@latency_budget") for marker in markers])
    return list(budget.judge(CALLS, 9.0, direct=direct, requests=REQUESTS))


def told(*markers: dict[str, object]) -> dict[str, tuple[str, int | None]]:
    return {judgement.limit.text(): (judgement.verdict, judgement.call) for judgement in judged(*markers)}


def test_a_number_comes_before_a_pattern_and_a_pattern_before_all() -> None:
    opus: dict[str, object] = {"total": "9.5s", "when": {"model": "claude-opus-*"}}

    assert told({"total": "3s"}, opus, {"total": "5s", "call": 3}) == {
        "total<3s": ("kept", 1),
        "total<5s call=3": ("kept", 3),
        "total<9.5s when model=claude-opus-*": ("kept", 2),
    }


def test_without_the_others_the_worst_call_decides() -> None:
    assert told({"total": "3s"}) == {"total<3s": ("broken", 2)}


def test_the_closest_of_two_patterns_that_fit_decides() -> None:
    first: dict[str, object] = {"ttft": "2s", "when": {"stream": True}}
    second: dict[str, object] = {"ttft": "1ms", "when": {"model": "claude-opus-*"}}

    assert told(first, second)["ttft<2s when stream=true"] == ("kept", 2)
    assert told(first, second)["ttft<1ms when model=claude-opus-*"][0] == "not measured"
    assert told(second, first)["ttft<1ms when model=claude-opus-*"] == ("broken", 2)


def test_none_lifts_a_limit_for_some_calls() -> None:
    assert told({"total": None, "call": 2}, {"total": "5s"}) == {"total<5s": ("kept", 3)}


def test_calls_that_fit_are_counted() -> None:
    assert told({"calls": 1, "when": {"model": "claude-haiku-*"}}) == {
        "calls<1 when model=claude-haiku-*": ("broken", None)
    }
    assert told({"calls": 0, "when": {"model": "gpt-*"}}) == {"calls<0 when model=gpt-*": ("kept", None)}


@pytest.mark.parametrize(
    ("when", "call"),
    [
        ({"metadata.user_id": "7"}, 3),
        ({"metadata.user_id": None, "model": OPUS}, 2),
        ({"messages.0.role": "user", "stream": True}, 2),
    ],
)
def test_patterns_ask_any_field_of_the_request(when: dict[str, object], call: int) -> None:
    (judgement,) = judged({"total": "1ms", "when": when})

    assert judgement.call == call


@pytest.mark.parametrize(
    ("when", "hint"),
    [
        ({"modle": "claude-*"}, "; did you mean 'model'?"),
        ({"metdata.user_id": "7"}, "; did you mean 'metadata'?"),
        ({"metadata.user_id": "8"}, ""),  # the field is there, with another value
        ({"metdata": None, "model": "gpt-*"}, ""),  # that a field is not there is what was asked for
        ({"thinking.type": "enabled"}, ""),
    ],
)
def test_a_slip_in_the_field_of_a_pattern_that_fits_no_call_is_told(when: dict[str, object], hint: str) -> None:
    (judgement,) = judged({"total": "1s", "when": when})

    assert judgement.reason is not None
    assert judgement.reason.removeprefix("no call fits when ").partition("; ")[2] == hint.removeprefix("; ")


@pytest.mark.parametrize(("direct", "verdict"), [(True, "broken"), (False, "no calls")])
def test_a_limit_that_no_call_fits_is_broken_where_it_is_the_test_s_own(direct: bool, verdict: str) -> None:
    (judgement,) = judged({"total": "1s", "call": 4}, direct=direct)

    assert (judgement.verdict, judgement.reason) == (verdict, "no call fits call=4")


def test_a_message_about_a_call_that_was_not_made_tells_how_many_there_were() -> None:
    text = message(judged({"total": "1s", "call": 4}), CALLS, None)

    assert "\n  measured  no call fits call=4          the test made 3 calls\n" in text


def test_a_limit_is_told_where_others_decide_for_each_call() -> None:
    limits: list[dict[str, object]] = [{"total": "9s", "when": {"stream": True}}, {"total": None, "call": 1}]
    limits += [{"total": None, "call": 3}, {"total": "1ms"}]

    judgement = next(judgement for judgement in judged(*limits) if judgement.limit.is_general)

    assert (judgement.verdict, judgement.reason) == ("not measured", DECIDED_ELSEWHERE)


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ({"call": 2}, "did you mean calls=?"),
        ({"when": {"model": "claude-*"}}, "when= has no limits"),
        ({"ttft": "1s", "call": 0}, "call=0 is not the number of a call"),
        ({"ttft": "1s", "call": True}, "call=True is not the number of a call"),
        ({"ttft": "1s", "call": 1, "when": {"model": "a"}}, "exclude each other"),
        ({"elapsed": "1s", "call": 1}, "elapsed is about the whole test; set it in a marker without call="),
        ({"calls": 1, "call": 1}, "calls is about the whole test"),
        ({"ttft": "1s", "when": {}}, "when={} is not understood"),
        ({"ttft": "1s", "when": {"model": ["a"]}}, "is not understood"),
    ],
)
def test_what_is_not_understood_is_refused(marker: dict[str, object], said: str) -> None:
    with pytest.raises(LimitError) as raised:
        parse_marker(marker, "@latency_budget")

    assert said in str(raised.value)


def test_percentiles_take_the_calls_that_their_limit_decides() -> None:
    markers: list[dict[str, object]] = [{"ttft": {"p50": "1s"}, "call": 2}, {"ttft": {"p50": "1s"}}]
    budget = combine([parse_marker(marker, "@latency_budget") for marker in markers])

    assert budget.readings_of_some(CALLS, REQUESTS) == {"ttft": 400_000_000, "ttft (call=2)": 1_000_000_000}

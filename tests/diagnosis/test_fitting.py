"""Which findings stand under which broken limit, and in what order."""

from __future__ import annotations

import pytest

from pytest_claude_latency.diagnosis.fitting import LOWERS, Broken, fitting
from pytest_claude_latency.diagnosis.rules import RULES, find
from pytest_claude_latency.metrics.metric import METRICS
from tests.support.findings_corpus import Case, one, steady
from tests.support.written_calls import asked, refused, streamed, usage, whole


def told(case: Case, *broken: Broken) -> list[str]:
    return [finding.rule for finding in fitting(find(case.trace), case.trace, broken)]


def test_every_rule_says_which_metrics_it_can_lower() -> None:
    assert set(LOWERS) == {rule.__name__.replace("_", "-") for rule in RULES}
    assert set().union(*LOWERS.values()) <= set(METRICS)


def test_a_long_answer_does_not_explain_a_late_first_token() -> None:
    long = one(steady(5, 400))

    assert told(long, ("total", 1)) == ["much-output"]
    assert told(long, ("ttft", 1)) == []


def test_only_the_call_that_broke_its_limit_is_explained() -> None:
    case = one(steady(5, 400), streamed(asked("then"), sent=6000))

    assert "much-output" in told(case, ("total", 1))
    assert "much-output" not in told(case, ("total", 2))


def test_not_streamed_is_told_for_the_first_token_and_not_for_the_whole() -> None:
    case = one(whole(at=2900, used=usage(output=96)))

    assert told(case, ("ttft", 1)) == ["not-streamed"]
    assert "not-streamed" not in told(case, ("total", 1))


def test_what_saves_most_in_the_broken_call_comes_first() -> None:
    first, second = streamed(sent=6100), steady(2.5, 200, request=asked("then"), sent=11_600)
    case = one(refused(first.request, at=6000), first, refused(second.request, sent=10_000, at=1500), second)

    assert find(case.trace)[0].rule == "retries"
    assert told(case, ("total", 2)) == ["much-output", "retries"]


@pytest.mark.parametrize("metric", ["elapsed", "first_token"])
def test_a_limit_on_the_whole_test_is_about_the_calls_on_its_critical_path(metric: str) -> None:
    beside = steady(1, 60, request=asked("beside"), sent=3010)
    case = one(steady(9, 700), refused(beside.request, sent=10, at=3000), beside)

    assert "retries" not in told(case, (metric, None))

"""Which findings stand under which broken limit, and in what order."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pytest_claude_latency.diagnosis.fitting import LOWERS, Broken, fitting
from pytest_claude_latency.diagnosis.rules import RULES, find
from pytest_claude_latency.metrics.metric import METRICS
from tests.support.findings_corpus import CORPUS, Case, after, one, steady
from tests.support.written_calls import OPUS, asked, refused, streamed, usage, whole


def told(case: Case, *broken: Broken) -> list[str]:
    return [finding.rule for finding in fitting(case.trace, broken)]


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


NAMING = (
    "not-streamed",
    "much-output",
    "cut-off",
    "counted-words",
    "uncached-prompt",
    "cache-written-anew",
    "high-temperature",
    "slower-model",
    "long-thinking",
    "retries",
    "retry-after-ignored",
    "no-back-off",
    "no-read-timeout",
    "stall",
    "cache-reset",
    "silent-thinking",
    "buffered-tool-input",
    "server-tools",
    "standard-speed",
    "extra-iteration",
    "cache-expired",
    "cache-look-back",
    "many-tools",
    "large-images",
    "slow-consumer",
)
"""The rules whose facts name a call, and that find the same again in a test that does everything twice."""


@pytest.mark.parametrize("rule", NAMING)
def test_of_several_calls_a_fact_names_the_one_whose_limit_was_broken(rule: str) -> None:
    case = next(iter(CORPUS[rule].speaks.values()))
    twice = replace(case, exchanges=[*case.exchanges, *(after(exchange, 10_000) for exchange in case.exchanges)])
    (alone,) = [finding for finding in find(case.trace) if finding.rule == rule]
    # the last call that the finding is about, in the second half of the test
    number = len(case.trace.calls) + alone.calls[-1]
    metrics = [metric for metric in LOWERS[rule] if METRICS[metric].scope != "test"]

    facts = [
        finding.fact
        for finding in fitting(twice.trace, [(metric, number) for metric in metrics])
        if finding.rule == rule
    ]

    assert len(facts) == 1
    assert re.search(rf"call {number} of|calls {number - 1} and {number} ", facts[0]), facts[0]


def test_the_worst_of_the_calls_is_named_where_no_single_call_broke_a_limit() -> None:
    case = one(steady(5, 400), steady(9, 700, request=asked("then"), sent=6000))

    (finding,) = fitting(case.trace, [("elapsed", None)])[:1]

    assert "call 2 of 2" in finding.fact


def test_a_slower_model_is_found_in_the_broken_call_though_another_call_lost_more_by_it() -> None:
    long, short = (steady(seconds, 200, request=asked(model=OPUS, system="Be brief.")) for seconds in (9, 5))
    quick = one(steady(2, 200, request=asked(system="Be brief.")))
    case = one(long, after(short, 60), others=[quick])

    (finding,) = [finding for finding in fitting(case.trace, [("total", 2)]) if finding.rule == "slower-model"]

    assert finding.fact.startswith("call 2 of 2 took")


def test_a_call_that_had_to_write_the_cache_is_not_blamed_for_a_later_one_that_did_so_too() -> None:
    case = next(iter(CORPUS["cache-written-anew"].speaks.values()))

    assert "cache-written-anew" in told(case, ("ttft", 2))
    assert "cache-written-anew" not in told(case, ("ttft", 1))


def test_a_hold_that_made_only_timers_late_explains_no_call() -> None:
    case = next(case for case in CORPUS["blocked-loop"].speaks.values() if not find(case.trace)[0].calls)

    assert "blocked-loop" in told(case, ("elapsed", None))
    assert "blocked-loop" not in told(case, ("total", 1))


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

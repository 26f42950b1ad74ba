"""Every rule, held against the corpus: it speaks where it must, and keeps silent where it must."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.diagnosis.rules import RULES, Finding, Trace, find
from pytest_claude_latency.messages_api.exchange import Exchange
from pytest_claude_latency.messages_api.retries import calls_of
from pytest_claude_latency.strategies import recordings
from tests.support.findings_corpus import CORPUS, Case, Entry, one
from tests.support.some_recording import recordings as any_recordings
from tests.support.written_calls import asked, refused, streamed, unanswered, whole

SPEAKS = [
    pytest.param(rule, case, id=f"{rule}: {name}")
    for rule, entry in CORPUS.items()
    for name, case in entry.speaks.items()
]
SILENT = [
    pytest.param(rule, case, id=f"{rule}: {name}")
    for rule, entry in CORPUS.items()
    for name, case in entry.silent.items()
]


def found(case: Case) -> dict[str, Finding]:
    return {each.rule: each for each in find(case.trace)}


def speaking(rule: str, name: str) -> Finding:
    return found(CORPUS[rule].speaks[name])[rule]


@pytest.mark.parametrize(("rule", "case"), SPEAKS)
def test_a_rule_speaks_where_it_must(rule: str, case: Case) -> None:
    assert rule in found(case)


@pytest.mark.parametrize(("rule", "case"), SILENT)
def test_a_rule_is_silent_where_it_must_be(rule: str, case: Case) -> None:
    assert rule not in found(case)


@pytest.mark.parametrize("entry", CORPUS.values(), ids=CORPUS)
def test_the_corpus_has_more_cases_of_silence(entry: Entry) -> None:
    assert len(entry.silent) > len(entry.speaks) > 0


def test_the_corpus_has_every_rule() -> None:
    assert {rule.__name__.replace("_", "-") for rule in RULES} == set(CORPUS)


def test_a_finding_is_named_after_its_rule() -> None:
    for entry in CORPUS.values():
        for case in entry.speaks.values():
            trace = case.trace
            for rule in RULES:
                finding = rule(trace)
                assert finding is None or finding.rule == rule.__name__.replace("_", "-")


@pytest.mark.parametrize(("rule", "case"), SPEAKS)
def test_every_fact_holds_a_measured_number(rule: str, case: Case) -> None:
    finding = found(case)[rule]

    assert re.search(r"\d", finding.fact)
    assert finding.remedy
    assert finding.cost >= 0
    assert finding.saving is None or (finding.saving.calls >= 1 and finding.saving.span > 0)


@pytest.mark.parametrize(("rule", "case"), SPEAKS)
def test_a_finding_is_read_back_from_json_as_it_was(rule: str, case: Case) -> None:
    finding = found(case)[rule]
    plain = json.loads(json.dumps(finding.as_json()))

    assert Finding.from_json(plain).lines() == finding.lines()
    assert Finding.from_json(plain).as_json() == plain


def test_the_costliest_finding_comes_first() -> None:
    case = one(refused(asked(stream=True), at=3000), streamed(sent=4000, stop_reason="max_tokens"))

    assert [each.rule for each in find(case.trace)] == ["retries", "cut-off"]


@given(any_recordings())
def test_no_recording_is_too_odd_to_look_at(recording: Recording) -> None:
    trace = Trace.of(calls_of(recording.exchanges))
    rules = [each.rule for each in find(trace.compared_with([trace]))]

    assert len(rules) == len(set(rules))


@given(recordings(streamed=None, thinking=None, tools=None, errors=True, drops=True, retries=True, calls=(1, 3)))
def test_a_finding_is_about_no_more_time_than_its_calls_took(recording: Recording) -> None:
    trace = Trace.of(calls_of(recording.exchanges))

    for finding in find(trace):
        calls = [trace.calls[number - 1] for number in finding.calls]
        assert finding.cost <= sum(call.breakdown.total for call in calls) or finding.rule == "application"


# ── what each says ──


def test_a_call_that_does_not_stream_says_when_its_first_token_came_and_what_streaming_saves() -> None:
    like = [one(streamed(pieces=[(at, "text", "a"), (2000, "text", "b")])) for at in (400, 430, 500)]
    case = one(whole(at=2930), others=like)

    assert found(case)["not-streamed"].lines() == [
        "not streamed: the first token of the call came with the last, after 2.930s",
        "try: stream the answer, and show it as it arrives (guide, 3: stream)",
        "saves about 2.500s until the first token (estimate from 3 recorded calls)",
    ]


def test_much_output_says_tokens_and_rate() -> None:
    assert speaking("much-output", "a long answer").lines() == [
        "5.000s of the 5.400s of the call went into 400 tokens of output (80 tokens/s)",
        "try: ask for a shorter answer, in sentences or paragraphs (guide, 2: keep prompt and answer short)",
        "saves about 2.500s with half as many tokens (estimate from 1 recorded call)",
    ]


def test_an_answer_cut_off_says_where() -> None:
    fact = speaking("cut-off", "in mid-sentence").fact

    assert fact == "max_tokens=1024 cut the call off in mid-sentence: what was measured is not the whole answer"


def test_counted_words_are_shown_as_the_prompt_asks_for_them() -> None:
    fact = speaking("counted-words", "exactly").fact

    assert fact == 'the prompt of the call asks for a number of words ("in exactly 50 words"), and the answer has 71'


def test_a_lost_cache_says_what_changed_first() -> None:
    assert speaking("cache-lost", "the prefix changed").fact.endswith("what changed first in it is system[0].text")
    assert speaking("cache-lost", "it expired").fact.endswith("nothing in it changed, so it had expired")


def test_a_faster_model_is_named_with_what_it_saves() -> None:
    finding = speaking("slower-model", "the same question")

    assert finding.fact == ("the call took 6.400s with claude-opus-4-6; for like work claude-haiku-4-5 took 2.400s")
    assert finding.lines()[2] == "saves about 4.000s with claude-haiku-4-5 (estimate from 1 recorded call)"


def test_calls_one_after_another_are_asked_about() -> None:
    finding = speaking("one-after-another", "three tickets")

    assert finding.calls == (1, 2, 3)
    assert finding.remedy.startswith("could they run together?")
    assert finding.lines()[2] == (
        "saves about 1.800s if all take the 900ms of the longest (estimate from 3 recorded calls)"
    )


def test_retries_say_what_was_refused_and_when_to_come_back() -> None:
    assert speaking("retries", "a rate limit").fact == (
        "2.080s of the call went into 1 attempt without an answer (429, retry-after 2), 2.000s of it into pauses "
        "between them"
    )


@pytest.mark.parametrize(
    ("failed", "remedy"),
    [
        (refused(asked(stream=True), 429), "spread the requests, or raise the rate limit"),
        (refused(asked(stream=True), 529), "the API was busy"),
        (unanswered(asked(stream=True)), "see what lies between the program and the API"),
    ],
)
def test_the_remedy_for_retries_is_for_what_was_refused(failed: Exchange, remedy: str) -> None:
    assert found(one(failed, streamed(sent=2000)))["retries"].remedy.startswith(remedy)


def test_a_time_to_come_back_that_is_no_number_is_not_shown() -> None:
    case = one(refused(asked(stream=True), 429, retry_after="a secret"), streamed(sent=2000))

    assert "secret" not in found(case)["retries"].fact


def test_a_stall_says_when_and_after_what() -> None:
    assert speaking("stall", "a gap in mid-answer").fact == (
        "the call stalled for 3.000s, 750ms after it was sent, behind piece 8 of 9 (text); the usual gap is 50ms"
    )


def test_time_in_the_application_says_between_which_calls() -> None:
    assert speaking("application", "between two calls").fact == (
        "1.500s of 3.300s passed in the application, 1.500s of it between call 1 and call 2"
    )

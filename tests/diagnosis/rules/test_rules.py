"""Every rule, held against the corpus: it speaks where it must, and keeps silent where it must."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.diagnosis.rules import RULES, Finding, Saving, Trace, find
from pytest_claude_latency.duration import MILLISECOND, SECOND
from pytest_claude_latency.messages_api.exchange import Exchange, Headers
from pytest_claude_latency.messages_api.retries import calls_of
from pytest_claude_latency.strategies import recordings
from tests.support.findings_corpus import CORPUS, Case, Entry, injected, one
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
    return {finding.rule: finding for finding in find(case.trace)}


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

    assert [finding.rule for finding in find(case.trace)] == ["retries", "cut-off"]


@given(any_recordings())
def test_no_recording_is_too_odd_to_look_at(recording: Recording) -> None:
    trace = Trace.of(calls_of(recording.exchanges))
    rules = [finding.rule for finding in find(trace.compared_with([trace]))]

    assert len(rules) == len(set(rules))


@given(recordings(streamed=None, thinking=None, tools=None, errors=True, drops=True, retries=True, calls=(1, 3)))
def test_a_finding_is_about_no_more_time_than_its_calls_took(recording: Recording) -> None:
    trace = Trace.of(calls_of(recording.exchanges))

    for finding in find(trace):
        calls = [trace.calls[number - 1] for number in finding.calls]
        assert finding.cost <= sum(call.breakdown.total for call in calls) or finding.rule == "application"


# ── the measured facts that each one names; the words around them are the rule's ──


def in_order(text: str, *parts: str) -> bool:
    """Whether the text holds these parts, one after the other."""
    return re.search(".*".join(map(re.escape, parts)), text) is not None


def test_a_call_that_does_not_stream_says_when_its_first_token_came_and_what_streaming_saves() -> None:
    like = [one(streamed(pieces=[(at, "text", "a"), (2000, "text", "b")])) for at in (400, 430, 500)]
    finding = found(one(whole(at=2930), others=like))["not-streamed"]

    assert in_order(finding.fact, "the call", "2.930s")
    assert finding.guide == 3
    assert finding.saving == Saving(span=2500 * MILLISECOND, how="until the first token", calls=3)


def test_much_output_says_tokens_and_rate() -> None:
    finding = speaking("much-output", "a long answer")

    assert in_order(finding.fact, "5.000s", "5.400s", "the call", "400 tokens", "80 tokens/s")
    assert finding.guide == 2
    assert finding.saving == Saving(span=2500 * MILLISECOND, how="with half as many tokens", calls=1)


def test_a_finding_reads_as_fact_remedy_and_saving() -> None:
    finding = speaking("much-output", "a long answer")

    fact, remedy, saving = finding.lines()

    assert fact == finding.fact
    assert remedy == f"try: {finding.remedy} (guide, 2: keep prompt and answer short)"
    assert saving == "saves about 2.500s with half as many tokens (estimate from 1 recorded call)"


def test_a_finding_about_several_calls_says_how_many_more_there_are() -> None:
    case = one(*(whole(asked(str(number)), sent=3000 * number, at=2900) for number in range(3)))

    assert in_order(found(case)["not-streamed"].fact, "call 1 of 3", "2.900s", "2 more calls")


def test_an_answer_cut_off_says_where() -> None:
    assert in_order(speaking("cut-off", "in mid-sentence").fact, "max_tokens=1024", "the call", "in mid-sentence")


def test_counted_words_are_shown_as_the_prompt_asks_for_them() -> None:
    assert in_order(speaking("counted-words", "exactly").fact, "the call", '"in exactly 50 words"', "71")


def test_a_lost_cache_says_what_changed_first() -> None:
    assert speaking("cache-lost", "the prefix changed").fact.endswith(" system[0].text")
    assert "expired" in speaking("cache-lost", "it expired").fact


def test_a_faster_model_is_named_with_what_it_saves() -> None:
    finding = speaking("slower-model", "the same question")

    assert in_order(finding.fact, "the call", "6.400s", "claude-opus-4-6", "claude-haiku-4-5", "2.400s")
    assert finding.saving == Saving(span=4 * SECOND, how="with claude-haiku-4-5", calls=1)


def test_calls_one_after_another_are_asked_about() -> None:
    finding = speaking("one-after-another", "three tickets")

    assert finding.calls == (1, 2, 3)
    assert "?" in finding.remedy
    assert finding.saving is not None
    assert in_order(finding.saving.text(), "1.800s", "900ms", "3 recorded calls")


def test_retries_say_what_was_refused_and_when_to_come_back() -> None:
    fact = speaking("retries", "a rate limit").fact

    assert in_order(fact, "2.080s", "the call", "1 attempt", "429, retry-after 2", "2.000s")


@pytest.mark.parametrize(
    ("failed", "remedy"),
    [
        (refused(asked(stream=True), 429), "rate limit"),
        (refused(asked(stream=True), 529), "the API was busy"),
        (unanswered(asked(stream=True)), "network"),
    ],
)
def test_the_remedy_for_retries_is_for_what_was_refused(failed: Exchange, remedy: str) -> None:
    assert remedy in found(one(failed, streamed(sent=2000)))["retries"].remedy


def test_a_time_to_come_back_that_is_no_number_is_not_shown() -> None:
    case = one(refused(asked(stream=True), 429, retry_after="a secret"), streamed(sent=2000))

    assert "secret" not in found(case)["retries"].fact


def test_a_stall_says_when_and_after_what() -> None:
    fact = speaking("stall", "a gap in mid-answer").fact

    assert in_order(fact, "the call", "3.000s", "750ms", "piece 8 of 9", "text", "50ms")


def test_a_stall_that_was_injected_is_told_as_that_and_asks_nothing_of_the_api() -> None:
    finding = speaking("stall", "injected into a short answer")

    assert in_order(finding.fact, "stalled for 3.600s", "after piece 1 of 2 (text), injected")
    assert finding.remedy == "show readers that the answer goes on, and end what takes too long with a read time-out"


@pytest.mark.parametrize(("rule", "case"), SPEAKS)
def test_in_a_run_with_a_fault_nobody_is_told_to_record_again_or_to_write_to_support(rule: str, case: Case) -> None:
    findings = find(replace(case.trace, has_fault=True))

    assert [finding for finding in findings if finding.saving is not None] == []
    assert [finding for finding in findings if re.search("record again|support", finding.remedy)] == []


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("a stall was waited out", "had no time-out that ended it;"),
        ("it hung for an hour", "gave up only then;"),
        ("the client gave up after ten minutes", "tried again only then;"),
    ],
)
def test_a_long_silence_says_what_ended_it(name: str, ending: str) -> None:
    assert f"and its program {ending}" in speaking("no-read-timeout", name).fact


@pytest.mark.parametrize("status", [429, 529, None])
def test_the_remedy_for_an_injected_refusal_is_about_the_program(status: int | None) -> None:
    request = asked(stream=True)
    failed = unanswered(request) if status is None else refused(request, status)
    finding = found(one(injected(failed), streamed(sent=2000)))["retries"]

    assert finding.remedy == "give the whole call a time-out that users can accept"


@pytest.mark.parametrize(("retries", "times"), [(3, "and 1 more time"), (4, "and 2 more times")])
def test_what_came_several_times_is_counted(retries: int, times: str) -> None:
    refusals = [refused(asked(), 400, sent=200 * place) for place in range(retries)]

    assert found(one(*refusals))["retried-in-vain"].fact.endswith(f", {times}")


def test_time_in_the_application_says_between_which_calls() -> None:
    fact = speaking("application", "between two calls").fact

    assert in_order(fact, "1.500s", "3.300s", "1.500s", "between call 1 and call 2")


# ── what the API says itself ──


def rate_limit(name: str, limit: int, remaining: int) -> Headers:
    prefix = f"anthropic-ratelimit-{name}"
    return (f"{prefix}-limit", str(limit)), (f"{prefix}-remaining", str(remaining))


def with_headers(exchange: Exchange, headers: Headers) -> Exchange:
    assert exchange.response is not None
    return replace(exchange, response=replace(exchange.response, headers=(*exchange.response.headers, *headers)))


def test_a_429_names_the_rate_limit_that_was_used_up() -> None:
    request = asked(stream=True)
    headers = rate_limit("requests", 50, 30) + rate_limit("input-tokens", 40_000, 900)
    refusal = with_headers(refused(request, status=429, at=80), headers)

    finding = found(one(refusal, streamed(request, sent=2000)))["retries"]

    assert finding.remedy.startswith("spread the requests, or raise the rate limit of input tokens;")


def test_the_answer_before_a_429_tells_too() -> None:
    before = with_headers(streamed(asked("one")), rate_limit("output-tokens", 8000, 100))
    request = asked("two", stream=True)

    case = one(before, refused(request, status=429, sent=1000, at=80), streamed(request, sent=2500))

    assert "raise the rate limit of output tokens;" in found(case)["retries"].remedy


@pytest.mark.parametrize(
    ("status", "headers"), [(429, ()), (429, rate_limit("requests", 50, 30)), (529, rate_limit("requests", 50, 0))]
)
def test_a_refusal_without_such_a_limit_names_none(status: int, headers: Headers) -> None:
    request = asked(stream=True)
    refusal = with_headers(refused(request, status=status, at=80), headers)

    case = one(refusal, streamed(request, sent=2000))

    assert "rate limit of" not in found(case)["retries"].remedy


@pytest.mark.parametrize(("status", "also"), [(429, "; spread the requests"), (529, "; record again")])
def test_who_waits_long_for_the_api_is_told_to_go_on_without_it(status: int, also: str) -> None:
    request = asked(stream=True)
    asks_for_a_minute = with_headers(refused(request, status=status, at=80), (("retry-after", "60"),))

    finding = found(one(asks_for_a_minute, streamed(request, sent=60_080)))["retries"]

    wait_less = "do not wait so long: max_retries=0, or a time-out around the whole call, and then another model"
    assert finding.remedy.startswith(wait_less + also)


def test_a_missed_cache_is_told_with_the_reason_that_the_api_gives() -> None:
    finding = speaking("cache-reset", next(iter(CORPUS["cache-reset"].speaks)))
    case = CORPUS["cache-reset"].speaks[next(iter(CORPUS["cache-reset"].speaks))]
    *rest, last = case.exchanges
    told = b'"diagnostics":{"cache_miss_reason":{"type":"tools_changed"}},"model"'
    first, *chunks = last.chunks
    assert b'"model"' in first.data
    last = replace(last, chunks=(replace(first, data=first.data.replace(b'"model"', told, 1)), *chunks))

    again = found(replace(case, exchanges=[*rest, last]))["cache-reset"]

    assert again.fact == f"{finding.fact} (the API says: tools changed)"


def test_numbers_have_their_nouns_and_nothing_is_said_of_no_time() -> None:
    assert speaking("no-back-off", "twice").fact.endswith(", and 1 more time")
    at_once = found(one(refused(asked(), 529, at=100), whole(asked(), sent=100)))["retries"]
    assert at_once.fact.endswith("without an answer (529)")

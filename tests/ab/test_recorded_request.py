"""The recorded request that a current call is compared with."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from pytest_claude_latency.ab.recorded_request import (
    CURRENT_QUOTES,
    RECORDED_QUOTES,
    Obstacle,
    RequestPair,
    as_sent_now,
    is_signed,
    prompts,
    request_pairs,
    sendable,
)
from pytest_claude_latency.cassettes.matching import EXACT, Rules
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.messages_api.exchange import End, Exchange, Headers, Request, Response
from tests.support.some_recording import answering, asking, recording
from tests.support.written_calls import refused, whole

LOGIN = ("x-api-key", "a-key-for-tests")
KEPT = (("content-type", "application/json"), ("anthropic-version", "2023-06-01"))
API = "https://api.anthropic.com/v1/messages"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-haiku-4-5/invoke"
VERTEX = "https://europe-west1-aiplatform.googleapis.com/v1/projects/{}/locations/l/publishers/anthropic/models/{}:rawPredict"


def ask(prompt: str, *, model: str = "claude-haiku-4-5", stream: bool = True, url: str = API, **more: Any) -> Request:
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": prompt}], **more}
    return asking(json.dumps(body).encode(), url, (*KEPT, LOGIN))


def run(*requests: Request) -> tuple[Exchange, ...]:
    """These requests, one a second, each answered in between."""
    return tuple(
        replace(answering(b"{}", request=request), sent=place * SECOND) for place, request in enumerate(requests)
    )


def pairs_of(
    recorded: Recording, *now: Request, rules: Rules = EXACT, redact: tuple[re.Pattern[str], ...] = ()
) -> list[RequestPair | Obstacle]:
    made = run(*now)
    return list(request_pairs(recorded, made, made, rules, redact))


def asked(answer: RequestPair | Obstacle) -> tuple[str, str]:
    """What the recorded and the current request say."""
    assert isinstance(answer, RequestPair)
    return tuple(side.json["messages"][0]["content"] for side in (answer.recorded, answer.current))


# ── which recorded call ──


def test_a_call_is_compared_with_the_recorded_call_that_asked_the_same() -> None:
    recorded = recording(*run(ask("one"), ask("two"), ask("three", model="claude-sonnet-4-5")))

    pairs = pairs_of(recorded, ask("three again", model="claude-sonnet-4-5"), ask("two"), ask("new"))

    assert [asked(pair) for pair in pairs] == [("three", "three again"), ("two", "two"), ("one", "new")]


def test_a_call_without_a_recorded_one_can_be_mended_by_recording() -> None:
    first, second = pairs_of(recording(*run(ask("one"))), ask("one"), ask("two"))

    assert asked(first) == ("one", "one")
    assert second == Obstacle("it corresponds to no recorded call", mendable=True)


def test_requests_are_the_same_by_the_rules_of_the_test() -> None:
    recorded = recording(*run(ask("one", metadata={"user_id": "1"}), ask("call [redacted]")))
    now = [ask("call 030 1234"), ask("one", metadata={"user_id": "2"})]

    pairs = pairs_of(recorded, *now, rules=Rules(ignore=("metadata",)), redact=(re.compile(r"030 \d+"),))

    assert pairs[0] == Obstacle("its recorded request holds [redacted]")
    assert asked(pairs[1]) == ("one", "one")


def test_retries_of_the_sdk_are_one_call() -> None:
    refused = replace(run(ask("one"))[0], response=Response(1, 529))
    lost = replace(refused, response=None, sent=SECOND, end=End(1, error="ConnectError"))
    answered, other, again = run(ask("x"), ask("y"), ask("one"), ask("two"), ask("one"))[2:]

    assert prompts([refused, lost, answered, other, again]) == [answered, other, again]


def test_identical_calls_at_one_time_are_not_retries_of_each_other() -> None:
    refused = replace(run(ask("one"))[0], response=Response(1, 529))

    assert len(prompts([refused, refused])) == 2


def test_only_prompt_calls_count_and_a_redirect_is_a_step() -> None:
    count = answering(request=asking(b"{}", "https://api.anthropic.com/v1/messages/count_tokens"))
    redirect = replace(run(ask("one"))[0], response=Response(1, 307))
    (answered,) = run(ask("one"))

    assert prompts([count, redirect, answered]) == [answered]


def test_a_retry_that_the_api_asked_for_is_an_attempt_of_the_same_call() -> None:
    told_to, answered = refused(status=400, x_should_retry="true"), whole(sent=600)
    told_not_to = refused(status=529, x_should_retry="false", sent=2000)

    assert prompts([told_to, answered, told_not_to, whole(sent=2600)]) == [answered, told_not_to, whole(sent=2600)]


# ── what cannot be sent ──


def test_words_of_an_earlier_answer_are_found_on_either_side() -> None:
    first, second = run(ask("one"), ask("about the answer of before"))
    answered = replace(first, chunks=answering(b'{"content": [{"text": "the answer of before"}]}').chunks)
    old = recording(answered, second)
    new = recording(*run(ask("one"), ask("about")))

    in_recording = list(request_pairs(old, run(ask("one"), ask("x")), run(ask("one"), ask("x")), EXACT, ()))
    now = list(request_pairs(new, [answered, second], [answered, second], EXACT, ()))

    assert in_recording[1] == RECORDED_QUOTES
    assert now[1] == CURRENT_QUOTES
    assert isinstance(in_recording[0], RequestPair)
    assert isinstance(now[0], RequestPair)
    assert (sendable(old), sendable(new)) == (1, 2)


@pytest.mark.parametrize(
    ("name", "value", "signed"),
    [
        ("Authorization", "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=host, Signature=…", True),
        ("X-Amz-Date", "20261122T113000Z", True),
        ("Content-Digest", "sha-256=:…:", True),
        ("Authorization", "Bearer a-token", False),
        ("X-Api-Key", "a-key", False),
    ],
)
def test_a_signature_holds_for_one_body(name: str, value: str, signed: bool) -> None:
    request = replace(ask("one"), headers=((name, value),))

    (only,) = pairs_of(recording(*run(ask("one"))), request)

    assert is_signed(request) is isinstance(only, Obstacle) is signed


def test_a_request_of_another_provider_has_another_form() -> None:
    (only,) = pairs_of(recording(*run(ask("one", url=BEDROCK))), ask("one"))

    assert isinstance(only, Obstacle)
    assert only.mendable


# ── how it is sent ──


@pytest.mark.parametrize(
    ("recorded", "current", "sent"),
    [
        (API, "http://127.0.0.1:8080/v1/messages", "http://127.0.0.1:8080/v1/messages"),
        (f"{API}?beta=true", API, f"{API}?beta=true"),
        (API, f"{API}?beta=true", API),
        (API, "https://gate.example/claude/v1/messages", "https://gate.example/claude/v1/messages"),
        ("https://gate.example/claude/v1/messages", API, API),
        (VERTEX.format("theirs", "old"), VERTEX.format("ours", "new"), VERTEX.format("ours", "old")),
        (
            BEDROCK,
            BEDROCK.replace("haiku", "opus").replace("us-east", "eu-west"),
            BEDROCK.replace("us-east", "eu-west"),
        ),
    ],
)
def test_it_goes_where_the_current_one_goes_and_asks_what_the_recorded_one_asked(
    recorded: str, current: str, sent: str
) -> None:
    request = as_sent_now(ask("old", url=recorded), ask("new", url=current))

    assert request.url == sent
    assert request.json["messages"][0]["content"] == "old"


def headers(recorded: Headers, current: Headers) -> dict[str, str]:
    return dict(as_sent_now(replace(ask("old"), headers=recorded), replace(ask("new"), headers=current)).headers)


def test_login_and_all_else_are_the_current_ones_and_the_api_version_is_the_recorded_one() -> None:
    recorded = (("content-type", "application/json"), ("anthropic-version", "2023-01-01"))
    current = (("Host", "h"), ("Anthropic-Version", "2023-06-01"), LOGIN, ("content-length", "3"), ("User-Agent", "u"))

    assert headers(recorded, current) == {
        "Host": "h",
        "x-api-key": "a-key-for-tests",
        "User-Agent": "u",
        "content-type": "application/json",
        "anthropic-version": "2023-01-01",
    }


@pytest.mark.parametrize(
    ("recorded", "current", "sent"),
    [
        ("a,b", None, "a,b"),
        (None, "a", None),
        ("a", "b, oauth-2025-04-20", "a,oauth-2025-04-20"),
        ("a, oauth-2025-04-20", "b", "a"),
        (None, "oauth-2025-04-20", "oauth-2025-04-20"),
    ],
)
def test_betas_are_the_recorded_ones_but_for_that_of_the_login(
    recorded: str | None, current: str | None, sent: str | None
) -> None:
    was, now = (((("anthropic-beta", betas),) if betas else ()) for betas in (recorded, current))

    assert headers(was, now).get("anthropic-beta") == sent


def test_what_numbers_one_sending_is_left_out_of_both() -> None:
    current = (("X-Stainless-Retry-Count", "2"), ("Idempotency-Key", "k"), ("content-length", "9"), LOGIN)

    (pair,) = pairs_of(recording(*run(ask("one"))), replace(ask("one"), headers=current))

    assert isinstance(pair, RequestPair)
    assert pair.current.headers == (LOGIN,)
    assert pair.recorded.headers == (LOGIN, *KEPT)

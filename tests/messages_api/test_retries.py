"""Which exchanges of a recording are the attempts of one call."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.messages_api.exchange import End, Exchange, Response
from pytest_claude_latency.messages_api.retries import calls_of
from pytest_claude_latency.strategies import recordings
from tests.support.written_calls import asked, ns, refused, streamed, unanswered, whole

STREAMED = asked(stream=True)


def sizes(*exchanges: Exchange) -> list[int]:
    return [len(call) for call in calls_of(exchanges)]


@pytest.mark.parametrize(
    "failed",
    [
        refused(status=529),
        refused(status=429, retry_after="1"),
        refused(status=408),
        refused(status=400, x_should_retry="true"),
        unanswered(),
        unanswered(error="ReadTimeout"),
        replace(whole(at=100), end=End(ns(100), error="ReadError")),
    ],
)
def test_what_follows_a_failure_that_the_sdk_retries_is_the_same_call(failed: Exchange) -> None:
    assert sizes(failed, whole(sent=600), whole(asked("else"), sent=2000)) == [2, 1]


@pytest.mark.parametrize(
    "first",
    [
        refused(status=400),
        refused(status=529, x_should_retry="false"),
        whole(at=100),
        replace(whole(at=100), end=End(ns(100), closed="client")),
        refused(status=529, at=700),
        refused(asked("else")),
        refused(sent=-70_000),
    ],
    ids=["not retried", "told not to", "answered", "closed", "not over", "another body", "long ago"],
)
def test_what_follows_anything_else_is_a_call_of_its_own(first: Exchange) -> None:
    assert sizes(first, whole(sent=600)) == [1, 1]


def test_a_stream_that_broke_off_is_handed_to_the_program_so_the_next_one_is_another_call() -> None:
    broken = streamed(asked(), error="ReadError")

    assert sizes(broken, streamed(asked(), sent=2000)) == [1, 1]


def test_clients_of_aws_mark_the_attempts_of_a_call() -> None:
    first, second = (replace(asked(), headers=(("amz-sdk-invocation-id", mark),)) for mark in "ab")

    # A client of AWS retries what the SDK would not, and two calls may ask the same.
    sent = (refused(first, status=400), refused(second, sent=5), whole(second, sent=600), whole(first, sent=700))

    assert sizes(*sent) == [2, 2]


def test_a_redirect_is_a_step_of_its_call() -> None:
    sent_on = replace(whole(), response=Response(ns(50), 307, (("location", "/there"),)), chunks=(), end=End(ns(50)))
    there = replace(whole(sent=60), request=replace(whole().request, url="https://example.com/v1/messages"))

    assert sizes(sent_on, there) == [2]


def test_identical_calls_side_by_side_each_have_their_attempts() -> None:
    first, second = refused(STREAMED, at=100), refused(STREAMED, sent=1, at=100)
    again = [streamed(sent=600), streamed(sent=601)]

    assert sizes(first, second, *again) == [2, 2]


@given(recordings(retries=True, calls=1))
def test_any_one_call_is_found_to_be_one(recording: Recording) -> None:
    assert calls_of(recording.exchanges) == (recording.exchanges,)

"""HTTP/2, where the server may speak first: what it said while recording happens again in the replay."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from pytest_claude_latency.cassettes.mismatch import NOTHING_FITS
from pytest_claude_latency.http.library import HTTPLibrary
from tests.plugin.suite import Suite

pytest.importorskip("h2", reason="h2 is not installed: nothing over HTTP/2 is tested")

from tests.support.http2_server import Connection, HTTP2Server, Script

OF_SDK = HTTPLibrary.of_sdk().name
LIBRARIES = [name for name in ("httpx", "httpx2") if find_spec(name)]

BY_SDK = """
def sync_client(**more):
    http_client = anthropic.DefaultHttpxClient(http1=False, http2=True)
    return anthropic.Anthropic(http_client=http_client, **{"max_retries": 0, "timeout": 5, **more})


def async_client(**more):
    http_client = anthropic.DefaultAsyncHttpxClient(http1=False, http2=True)
    return anthropic.AsyncAnthropic(http_client=http_client, **{"max_retries": 0, "timeout": 5, **more})


def outcome(act, *args):
    try:
        return act(*args)
    except Exception as error:
        inner = error.__cause__ or error
        return f"{type(error).__name__} {type(inner).__module__.partition('.')[0]}.{type(inner).__name__}: {inner}"


def asked(*prompts, pause=0.05, **more):
    with sync_client(**more) as client:
        outcomes = [outcome(stream, prompts[0], client)]
        for prompt in prompts[1:]:
            time.sleep(pause)
            outcomes.append(outcome(stream, prompt, client))
    return outcomes


async def outcome_async(act, *args):
    try:
        return await act(*args)
    except Exception as error:
        inner = error.__cause__ or error
        return f"{type(error).__name__} {type(inner).__module__.partition('.')[0]}.{type(inner).__name__}: {inner}"


def asked_async(*prompts, pause=0.05, **more):
    async def main():
        async with async_client(**more) as client:
            outcomes = [await outcome_async(astream, prompts[0], client)]
            for prompt in prompts[1:]:
                await asyncio.sleep(pause)
                outcomes.append(await outcome_async(astream, prompt, client))
        return outcomes

    return asyncio.run(main())


def test_it(claude_latency):
    save_result(ACT)
"""

FILES_KEEP = 2e-6
"""Seconds: recordings keep offsets to the microsecond."""

JITTER = 0.3
"""Seconds: a back-off of the SDK, drawn by chance while recording, is pinned in a replay."""

SAME = ("ttfb", "ttft", "total", "longest_gap")


def _answer(connection: Connection, times: int = 1) -> None:
    for _ in range(times):
        connection.answer(connection.await_request())


def _record_and_replay(
    suite: Suite, scripts: list[Script], act: str, within: float = FILES_KEEP
) -> tuple[Any, list[dict[str, Any]], list[int]]:
    """Return what the program saw, its calls, and how many requests came over each connection while recording."""
    suite.write(BY_SDK.replace("ACT", act))
    with HTTP2Server(scripts) as server:
        suite.run("--latency-mode=record", key="a-key", base_url=server.url).assert_outcomes(passed=1)
        recorded, calls = suite.saved_result, suite.calls("test_it")
    requests = server.requests  # the server is gone

    for _ in range(2):
        suite.replay().assert_outcomes(passed=1)

        assert suite.saved_result == recorded
        replayed = suite.calls("test_it")
        for before, after in zip(calls, replayed, strict=True):
            for name in SAME:
                assert after[name] == pytest.approx(before[name], abs=within), name
            for name in ("attempts", "error", "closed", "status", "stop_reason", "output_tokens"):
                assert after[name] == before[name], name
    return recorded, calls, requests


WAYS = pytest.mark.parametrize("way", ["asked", "asked_async"])


@WAYS
def test_settings_may_come_before_the_request(suite: Suite, way: str) -> None:
    def answer_twice(connection: Connection) -> None:  # its settings are out already
        _answer(connection, 2)

    outcomes, calls, requests = _record_and_replay(suite, [answer_twice], f"{way}('one', 'two')")

    assert outcomes == ["Hello world", "Hello world"]
    assert requests == [2]
    assert calls[0]["longest_gap"] > 0.015  # each part came by itself


@WAYS
def test_a_server_that_says_goodbye_before_the_request(suite: Suite, way: str) -> None:
    def leave(connection: Connection) -> None:
        connection.say_goodbye(0)

    outcomes, calls, _ = _record_and_replay(suite, [leave], f"{way}('one')")

    assert "Error" in outcomes[0]
    assert calls[0]["error"] is not None
    assert calls[0]["ttft"] is None


@WAYS
def test_a_goodbye_between_two_requests(suite: Suite, way: str) -> None:
    def answer_and_leave(connection: Connection) -> None:
        _answer(connection)
        connection.say_goodbye(1)
        connection.await_end()

    outcomes, calls, requests = _record_and_replay(suite, [answer_and_leave, _answer], f"{way}('one', 'two')")

    assert outcomes == ["Hello world", "Hello world"]
    assert [call["attempts"] for call in calls] == [1, 1]
    assert sum(requests) >= 2


@WAYS
def test_a_stream_that_is_broken_off_and_that_the_sdk_asks_for_again(suite: Suite, way: str) -> None:
    def refuse_once(connection: Connection) -> None:
        connection.reset(connection.await_request())
        _answer(connection)

    outcomes, calls, _ = _record_and_replay(suite, [refuse_once], f"{way}('one', max_retries=1)", within=JITTER)

    assert outcomes == ["Hello world"]
    assert calls[0]["attempts"] == 2


@WAYS
def test_an_answer_that_begins_before_the_body_was_sent(suite: Suite, way: str) -> None:
    def interrupt(connection: Connection) -> None:
        stream = connection.await_request(body=False)
        connection.answer(stream)
        connection.await_body()
        connection.await_end()

    outcomes, calls, _ = _record_and_replay(suite, [interrupt], f"{way}('word ' * 40_000)")

    assert outcomes == ["Hello world"]
    assert calls[0]["status"] == 200
    assert calls[0]["ttft"] is not None


@pytest.mark.parametrize("library", LIBRARIES)
def test_by_hand_a_recording_over_one_protocol_is_replayed_over_the_other(suite: Suite, library: str) -> None:
    source = f"""
import os
import {library} as http

def test_it(claude_latency):
    url = os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com") + "/v1/messages"
    body = {{"model": "claude-haiku-4-5", "max_tokens": 100, "messages": messages("hi"), "stream": True}}
    with http.Client(PROTOCOLS) as client:
        answer = client.post(url, json=body, headers={{"x-api-key": "k"}})
    assert "wor" in answer.text
"""
    suite.write(source.replace("PROTOCOLS", "http1=False, http2=True"))
    with HTTP2Server([_answer]) as server:
        suite.run("--latency-mode=record", key="a-key", base_url=server.url).assert_outcomes(passed=1)

        suite.write(source.replace("PROTOCOLS", ""))
        suite.replay().assert_outcomes(passed=1)
        suite.write(source.replace("PROTOCOLS", "http1=False, http2=True").replace('"hi"', '"ho"'))
        missed = suite.run("--latency-budget", base_url=server.url)

    missed.assert_outcomes(failed=1)
    missed.stdout.fnmatch_lines(["*" + NOTHING_FITS.format(request="POST /v1/messages*")])
    assert server.requests == [1]

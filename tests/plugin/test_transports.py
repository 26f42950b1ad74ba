"""Transports of the program's own: in a replay they run too, around what was recorded below them."""

from __future__ import annotations

import pytest

from pytest_claude_latency.cassettes.mismatch import NOTHING_FITS, NOTHING_RECORDED
from pytest_claude_latency.http.library import HTTPLibrary
from tests.plugin.suite import Suite
from tests.support.claude_answers import status
from tests.support.claude_messages import text

LIBRARY = HTTPLibrary.of_sdk().name

TRANSPORTS = f"""
import os
import {LIBRARY} as sdk_http

IS_REPLAY = "ANTHROPIC_API_KEY" not in os.environ


class Retrying(sdk_http.BaseTransport):
    "Asks again itself, after a pause."

    def __init__(self, **more):
        self.inner = sdk_http.HTTPTransport(**more)
        self.asked = 0

    def handle_request(self, request):
        for left in (2, 1, 0):
            self.asked += 1
            response = self.inner.handle_request(request)
            if response.status_code < 500 or not left:
                return response
            response.close()
            time.sleep(0.5)


class Subclass(sdk_http.HTTPTransport):
    asked = 0

    def handle_request(self, request):
        self.asked += 1
        return super().handle_request(request)


class Async(sdk_http.AsyncBaseTransport):
    def __init__(self):
        self.inner = sdk_http.AsyncHTTPTransport()
        self.asked = 0

    async def handle_async_request(self, request):
        for left in (2, 1, 0):
            self.asked += 1
            response = await self.inner.handle_async_request(request)
            if response.status_code < 500 or not left:
                return response
            await response.aclose()
            await asyncio.sleep(0.5)


class Cache(sdk_http.HTTPTransport):
    "Answers by itself."

    def handle_request(self, request):
        return sdk_http.Response(200, json=BODY)


BODY = {{"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{{"type": "text", "text": "own"}}], "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {{"input_tokens": 1, "output_tokens": 1}}}}


def client_over(transport, **more):
    return anthropic.Anthropic(http_client=sdk_http.Client(transport=transport), **more)
"""


def test_a_retrying_transport_retries_in_a_replay(suite: Suite) -> None:
    suite.write(
        TRANSPORTS
        + """
@pytest.mark.latency_budget(attempts=2, calls=1)
def test_sync(claude_latency):
    began = time.monotonic()
    transport = Retrying()
    with client_over(transport) as client:
        assert ask(client=client) == "Hello"
    assert transport.asked == 2
    assert time.monotonic() - began >= 0.5
    assert claude_latency.calls[0].total >= 0.5


@pytest.mark.latency_budget(attempts=2, calls=1)
def test_async(claude_latency):
    async def main():
        transport = Async()
        async with anthropic.AsyncAnthropic(http_client=sdk_http.AsyncClient(transport=transport)) as client:
            assert await astream(client=client) == "Hello"
        assert transport.asked == 2

    asyncio.run(main())
    assert claude_latency.calls[0].total >= 0.5
"""
    )
    suite.server.answer(status(529), text("Hello"), status(529), text("Hello"))
    suite.record("--latency-budget").assert_outcomes(passed=2)

    suite.replay().assert_outcomes(passed=2)

    assert [call["attempts"] for call in suite.calls("test_sync") + suite.calls("test_async")] == [2, 2]
    assert len(suite.server.log) == 4


def test_retries_of_the_sdk_around_those_of_a_transport_are_attempts_of_one_call(suite: Suite) -> None:
    suite.write(
        TRANSPORTS
        + """
@pytest.mark.latency_budget(attempts=4, calls=2)
def test_it(claude_latency):
    with client_over(Retrying()) as client:
        assert [ask(client=client), ask(client=client)] == ["Hello", "Hello"]
"""
    )
    suite.server.answer(*[status(529)] * 3, text("Hello"), text("Hello"))
    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)

    assert [call["attempts"] for call in suite.calls("test_it")] == [4, 1]


def test_a_subclass_of_the_librarys_transport_runs_and_its_pool_limits(suite: Suite) -> None:
    suite.write(
        TRANSPORTS
        + """
from concurrent.futures import ThreadPoolExecutor


def test_it(claude_latency):
    transport = Subclass(limits=sdk_http.Limits(max_connections=1 if IS_REPLAY else 2))
    began = time.monotonic()
    with client_over(transport) as client, ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda prompt: ask(prompt, client), ["one", "two"]))
    assert transport.asked == 2
    assert not IS_REPLAY or time.monotonic() - began >= 0.2
"""
    )
    suite.server.answers(lambda request: text("Hello", ttfb="100ms"))
    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)


def test_what_a_transport_changes_is_what_has_to_fit(suite: Suite) -> None:
    source = (
        TRANSPORTS
        + """
class Changing(sdk_http.HTTPTransport):
    def handle_request(self, request):
        content = request.read().replace(b'"hi"', b'"WORD"')
        headers = {name: value for name, value in request.headers.items() if name != "content-length"}
        return super().handle_request(sdk_http.Request("POST", request.url, headers=headers, content=content))


def test_it(claude_latency):
    with client_over(Changing()) as client:
        ask(client=client)
"""
    )
    suite.write(source.replace("WORD", "one"))
    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)
    suite.write(source.replace("WORD", "two"))

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([NOTHING_FITS.format(request="POST /v1/messages"), '*sent      "two"'])


def test_a_transport_that_sends_elsewhere_does_not_get_out_of_a_replay(suite: Suite) -> None:
    suite.write(
        TRANSPORTS
        + f"""
class Elsewhere(sdk_http.HTTPTransport):
    def handle_request(self, request):
        request.url = sdk_http.URL("{suite.server.url}/gateway/llm")
        return super().handle_request(request)


def test_it(claude_latency):
    with client_over(Elsewhere()) as client:
        ask(client=client)
"""
    )

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([NOTHING_RECORDED.format(request="POST /gateway/llm")])
    assert not suite.server.log


def test_recordings_answer_before_a_transport_that_answers_by_itself(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    assert ask() == 'Hello world'\n")
    suite.record().assert_outcomes(passed=1)
    suite.write(
        TRANSPORTS
        + """
def test_it(claude_latency):
    with client_over(Cache()) as client:
        assert ask(client=client) == "Hello world"


def test_unrecorded(claude_latency):
    with client_over(Cache()) as client:
        ask(client=client)
"""
    )

    result = suite.replay()

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([NOTHING_RECORDED.format(request="POST /v1/messages")])


@pytest.mark.parametrize("mode", ["record", "live"])
def test_what_a_transport_answers_by_itself_is_not_the_apis(suite: Suite, mode: str) -> None:
    suite.write(
        TRANSPORTS
        + """
def test_it(claude_latency):
    with client_over(Cache()) as client:
        assert ask(client=client) == "own"
    assert claude_latency.calls == ()
"""
    )

    result = suite.record(mode=mode)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["warning: test_it.py::test_it: 1 answer came from a mock*"])
    assert suite.recordings() == []


def test_requests_that_go_round_the_client_are_met_at_the_transport(suite: Suite) -> None:
    suite.write(
        TRANSPORTS
        + """
transport = sdk_http.HTTPTransport()
URL = os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com") + "/v1/messages"


def test_it(claude_latency):
    asked = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": messages("hi")}
    response = transport.handle_request(sdk_http.Request("POST", URL, json=asked))
    assert b"wor" in response.read()
    assert len(claude_latency.calls) == 1
"""
    )
    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)

    assert len(suite.server.log) == 1

"""Attempts belong to the call that made them, also where identical calls run at the same time."""

from __future__ import annotations

import pytest

from tests.plugin.suite import Suite
from tests.support.claude_answers import redirect, status
from tests.support.claude_messages import text

SIDE_BY_SIDE = {
    "tasks": "asyncio.run(tasks())",
    "threads": "threads()",
    "a pool of threads": "pool()",
    "threads of a loop": "asyncio.run(offloaded())",
}

SOURCE = """
import threading
from concurrent.futures import ThreadPoolExecutor

client = anthropic.Anthropic(max_retries=5)


async def tasks():
    async with anthropic.AsyncAnthropic(max_retries=5) as client:
        await asyncio.gather(*(aask(client=client) for _ in range(4)))


def threads():
    all_ = [threading.Thread(target=ask, kwargs={"client": client}) for _ in range(4)]
    for thread in all_:
        thread.start()
    for thread in all_:
        thread.join()


def pool():
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda _: ask(client=client), range(4)))


async def offloaded():
    await asyncio.gather(*(asyncio.to_thread(ask, client=client) for _ in range(4)))


def test_it(claude_latency):
    RUN
    save_result([[call.attempts, call.status, call.total] for call in claude_latency.calls])
"""


@pytest.mark.parametrize("run", SIDE_BY_SIDE.values(), ids=SIDE_BY_SIDE)
def test_attempts_of_identical_calls_are_told_apart(suite: Suite, run: str) -> None:
    suite.write(SOURCE.replace("RUN", run))
    retried = status(529).with_headers(retry_after_ms="30")
    suite.server.answer(retried, retried, retried, retried, retried, retried)
    suite.server.answers(lambda request: text("Hello wor|ld", ttfb="20ms"))

    for once in (suite.record, suite.replay):
        once().assert_outcomes(passed=1)

        attempts = [attempts for attempts, _, _ in suite.saved_result]
        assert len(attempts) == 4
        assert sum(attempts) == 10
        for made, code, total in suite.saved_result:
            assert code == 200
            assert total >= 0.03 * (made - 1) + 0.02


def test_a_call_repeated_after_a_failure_is_another_call(suite: Suite) -> None:
    suite.write(
        """
def test_it(claude_latency):
    client = anthropic.Anthropic(max_retries=0)
    for _ in range(3):  # a program's own retries
        try:
            ask(client=client)
        except anthropic.APIStatusError:
            pass
    assert [call.attempts for call in claude_latency.calls] == [1, 1, 1]
    assert [call.status for call in claude_latency.calls] == [529, 529, 200]
"""
    )
    suite.server.answer(status(529), status(529), text("Hello world"))

    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)


def test_redirects_and_retries_in_one_call(suite: Suite) -> None:
    suite.write(
        """
def test_it(claude_latency):
    assert ask() == "Hello world"
    (call,) = claude_latency.calls
    assert call.attempts == 2
    assert call.total >= 0.025
"""
    )
    away = redirect("/elsewhere/v1/messages", ttfb="5ms")
    suite.server.answer(away, status(529, ttfb="5ms").with_headers(retry_after_ms="10"), away, text("Hello world"))

    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)

    assert len(suite.server.log) == 4


def test_a_401_that_makes_the_client_fetch_a_new_token_is_an_attempt(suite: Suite) -> None:
    pytest.importorskip("anthropic.lib.credentials")
    suite.write(
        """
from anthropic.lib.credentials import AccessToken


def test_it(claude_latency):
    client = anthropic.Anthropic(credentials=lambda **more: AccessToken(token="a-token", expires_at=None))
    assert ask(client=client) == "Hello world"
    (call,) = claude_latency.calls
    assert call.attempts == 2
"""
    )
    suite.server.answer(status(401), text("Hello world"))

    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)

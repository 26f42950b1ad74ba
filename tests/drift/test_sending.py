"""Sending recorded requests: once each, and no limit of the API is overrun."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from pytest_claude_latency.drift.sending import NotSentError, Sender
from pytest_claude_latency.messages_api.exchange import Exchange, Request
from tests.support.claude_answers import Answer, status
from tests.support.claude_messages import text
from tests.support.claude_server import ClaudeServer


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.time += seconds


@pytest.fixture
def server() -> Iterator[ClaudeServer]:
    with ClaudeServer() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sender(clock: Clock) -> Iterator[Sender]:
    sender = Sender(clock.sleep, clock.now)
    yield sender
    sender.close()


def ask(server: ClaudeServer, model: str = "claude-haiku-4-5") -> Request:
    body = {"model": model, "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    headers = (("content-type", "application/json"), ("x-api-key", "a-key-for-tests"))
    return Request("POST", f"{server.url}/v1/messages", headers, json.dumps(body).encode())


def statuses(*exchanges: Exchange) -> list[int | None]:
    return [None if exchange.response is None else exchange.response.status for exchange in exchanges]


def asked(server: ClaudeServer) -> int:
    return sum(request.method == "POST" for request in server.requests)


def test_an_answer_is_noted_with_its_times_and_without_the_opening_of_a_connection(
    server: ClaudeServer, sender: Sender
) -> None:
    server.answer(text("Hello |world", ttfb="20ms"), text("Hello |world"))

    first, second = sender.exchange_for(ask(server)), sender.exchange_for(ask(server))

    assert statuses(first, second) == [200, 200]
    assert first.connect is second.connect is None
    assert first.response is not None
    assert first.response.at >= 20_000_000
    assert sender.count == asked(server) == 2


def test_a_limit_is_waited_for_as_long_as_the_api_asks(server: ClaudeServer, sender: Sender, clock: Clock) -> None:
    server.answer(status(429, retry_after=7), status(529), text("Hello"))

    assert statuses(sender.exchange_for(ask(server))) == [200]
    assert clock.slept == [7.0, 5.0]


def test_a_call_is_repeated_twice_and_after_that_the_others_are_asked_once(
    server: ClaudeServer, sender: Sender, clock: Clock
) -> None:
    server.answers(lambda request: status(429, retry_after=1))

    exchanges = [sender.exchange_for(ask(server)) for _ in range(4)]

    assert statuses(*exchanges) == [429] * 4
    assert asked(server) == 3 + 1 + 1 + 1
    assert clock.slept == [1.0] * 5


def test_what_would_have_to_wait_for_long_is_not_sent_and_other_models_are(
    server: ClaudeServer, sender: Sender, clock: Clock
) -> None:
    limited: Answer = status(429, retry_after=300)
    server.answers(lambda request: limited if request.json["model"] == "claude-opus-4-6" else text("Hello"))

    with pytest.raises(NotSentError, match="asks to wait for 300 s"):
        sender.exchange_for(ask(server, "claude-opus-4-6"))
    with pytest.raises(NotSentError, match="asks to wait for 300 s"):
        sender.exchange_for(ask(server, "claude-opus-4-6"))
    assert statuses(sender.exchange_for(ask(server))) == [200]
    assert asked(server) == 2
    assert clock.slept == []


def test_a_key_that_is_not_taken_is_sent_once(server: ClaudeServer, sender: Sender) -> None:
    server.answers(lambda request: status(401))

    assert statuses(sender.exchange_for(ask(server))) == [401]
    with pytest.raises(NotSentError, match="does not take the key"):
        sender.exchange_for(ask(server))
    assert asked(server) == 1


def test_other_failures_are_not_repeated(server: ClaudeServer, sender: Sender) -> None:
    server.answer(status(500), text("Hello |world").dropped(after=1), text("Hello"))

    failed, dropped, answered = (sender.exchange_for(ask(server)) for _ in range(3))

    assert statuses(failed, dropped, answered) == [500, 200, 200]
    assert dropped.end is not None
    assert dropped.end.error == "RemoteProtocolError"
    assert asked(server) == 3


def test_a_connection_that_is_refused_is_an_exchange_with_an_error(sender: Sender) -> None:
    with ClaudeServer() as gone:
        request = ask(gone)

    exchange = sender.exchange_for(request)

    assert exchange.response is None
    assert exchange.end is not None
    assert exchange.end.error == "ConnectError"

"""Connections opened ahead of the requests that would have had to open them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.http.connection_warmup import ConnectionWarmup
from pytest_claude_latency.http.interception import Interception
from pytest_claude_latency.http.library import HTTPLibrary
from pytest_claude_latency.measurement.call_log import Phase
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.measurement.sources import LiveSource
from pytest_claude_latency.virtual_time.clock import WallClock
from tests.support.claude_messages import text
from tests.support.claude_server import ClaudeServer, Served

ASKED: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hi"}],
}


@pytest.fixture
def measurement(claude_server: ClaudeServer) -> Iterator[Measurement]:
    """A live measurement that warms connections, of whatever the test sends."""
    responder: list[Measurement] = []
    interception = Interception(lambda: responder[0] if responder else None)
    interception.start()
    measurement = Measurement("test", WallClock(), LiveSource(), warmup=ConnectionWarmup())
    measurement.enter()
    responder.append(measurement)
    yield measurement
    measurement.close()
    measurement.leave()
    interception.stop()


def client(server: ClaudeServer, **more: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.url, api_key="a-key-for-tests", max_retries=0, **more)


def asked(server: ClaudeServer) -> list[str]:
    return [f"{served.request.method} {served.request.path}" for served in server.log]


def header_names(served: Served) -> set[str]:
    return {name.lower() for name, _ in served.request.headers}


def test_the_first_request_of_a_client_finds_its_connection_open(
    claude_server: ClaudeServer, measurement: Measurement
) -> None:
    claude_server.answer(text("Hello wor|ld"))
    with client(claude_server) as claude:
        claude.messages.create(**ASKED)

    assert asked(claude_server) == ["GET /", "POST /v1/messages"]
    assert {served.connection for served in claude_server.log} == {1}
    (exchange,) = measurement.log.exchanges
    assert exchange.connect is None
    assert measurement.warmup is not None
    assert len(measurement.warmup.durations) == 1


def test_what_opens_it_carries_no_credential_and_no_body(claude_server: ClaudeServer, measurement: Measurement) -> None:
    claude_server.answer(text("Hello wor|ld"))
    with client(claude_server) as claude:
        claude.messages.create(**ASKED)

    ahead, asking = claude_server.log
    assert header_names(ahead).isdisjoint({"x-api-key", "authorization", "content-length", "cookie"})
    assert not header_names(asking).isdisjoint({"x-api-key", "authorization"})
    assert ahead.request.content == b""


def test_a_connection_that_is_open_is_used_again(claude_server: ClaudeServer, measurement: Measurement) -> None:
    claude_server.answer(text("Hello wor|ld"), text("Hello wor|ld"))
    with client(claude_server) as claude:
        claude.messages.create(**ASKED)
        claude.messages.create(**ASKED)

    assert asked(claude_server) == ["GET /", "POST /v1/messages", "POST /v1/messages"]


def test_calls_at_the_same_time_each_find_a_connection_open(
    claude_server: ClaudeServer, measurement: Measurement
) -> None:
    claude_server.answer(*(text("Hello wor|ld", ttfb="50ms") for _ in range(3)))

    async def program() -> None:
        async with anthropic.AsyncAnthropic(base_url=claude_server.url, api_key="test") as claude:
            await asyncio.gather(*(claude.messages.create(**ASKED) for _ in range(3)))

    asyncio.run(program())

    assert len(measurement.log.of(Phase.SETUP).calls) == 3
    assert [exchange.connect for exchange in measurement.log.exchanges] == [None] * 3
    assert sorted(asked(claude_server)) == ["GET /"] * 3 + ["POST /v1/messages"] * 3


def test_the_time_it_took_is_in_no_other(
    claude_server: ClaudeServer, measurement: Measurement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ConnectionWarmup, "note", lambda warmup, attempt: time.sleep(0.05))
    claude_server.answer(text("Hello wor|ld"))
    with client(claude_server) as claude:
        claude.messages.create(**ASKED)

    (exchange,) = measurement.log.exchanges
    assert exchange.sent >= 50 * MILLISECOND  # its stopwatches start when the connection is open


def test_a_server_that_cannot_be_reached_is_an_error_of_the_request_itself(
    claude_server: ClaudeServer, measurement: Measurement
) -> None:
    claude_server.close()
    with client(claude_server) as claude, pytest.raises(anthropic.APIConnectionError):
        claude.messages.create(**ASKED)

    (exchange,) = measurement.log.exchanges
    assert exchange.end is not None
    assert exchange.end.error == "ConnectError"
    assert measurement.warmup is not None
    assert measurement.warmup.durations == []


def test_a_connection_is_opened_ahead_below_a_transport_of_the_program(
    claude_server: ClaudeServer, measurement: Measurement
) -> None:
    module = HTTPLibrary.of_sdk().module

    class Holding(module.BaseTransport):  # type: ignore[misc, name-defined]  # known when it runs
        def __init__(self) -> None:
            self._real = module.HTTPTransport()

        def handle_request(self, request: Any) -> Any:
            return self._real.handle_request(request)

    claude_server.answer(text("Hello wor|ld"))
    with client(claude_server, http_client=module.Client(transport=Holding())) as claude:
        claude.messages.create(**ASKED)

    assert asked(claude_server) == ["GET /", "POST /v1/messages"]


def test_a_transport_without_a_pool_is_left_alone(claude_server: ClaudeServer, measurement: Measurement) -> None:
    module = HTTPLibrary.of_sdk().module
    real = module.HTTPTransport()

    class Passing(module.BaseTransport):  # type: ignore[misc, name-defined]
        def handle_request(self, request: Any) -> Any:
            return real.handle_request(request)

    claude_server.answer(text("Hello wor|ld"))
    with client(claude_server, http_client=module.Client(transport=Passing())) as claude:
        claude.messages.create(**ASKED)

    assert asked(claude_server) == ["POST /v1/messages"]
    (exchange,) = measurement.log.exchanges
    assert exchange.connect is not None

"""A replay reproduces the offsets of any recording exactly, and recording a replay gives the same recording."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from pytest_claude_latency import Recording, play
from pytest_claude_latency.duration import SECOND, Nanoseconds
from pytest_claude_latency.http.library import HTTPLibrary
from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange, Response
from pytest_claude_latency.strategies import recordings
from tests.plugin.suite import Suite
from tests.support.claude_messages import text
from tests.support.properties import examples

library: Any = HTTPLibrary.of_sdk().module

ANYTHING = recordings(
    streamed=None, thinking=None, tools=None, errors=True, drops=True, retries=True, calls=(1, 3), deltas=(1, 3)
)


class _Reader:
    """Asks what was asked, when it was asked, and notes when what comes back; its clock is the program's."""

    def __init__(self) -> None:
        self._origin = time.monotonic_ns()

    def now(self) -> Nanoseconds:
        return time.monotonic_ns() - self._origin

    def until(self, exchange: Exchange) -> float:
        return (exchange.sent - self.now()) / SECOND

    def read(self, client: Any, exchange: Exchange) -> Exchange:
        time.sleep(max(0, self.until(exchange)))
        seen = replace(exchange, sent=self.now(), connect=None, response=None, chunks=(), end=None)
        request = client.build_request("POST", exchange.request.url, content=exchange.request.content, headers=HEADERS)
        try:
            response = client.send(request, stream=True)
            seen = self._answered(seen, response)
            for data in response.iter_raw():
                seen = self._arrived(seen, data)
        except library.TransportError as error:
            return self._ended(seen, type(error).__name__)
        return self._ended(seen)

    async def aread(self, client: Any, exchange: Exchange) -> Exchange:
        await asyncio.sleep(max(0, self.until(exchange)))
        seen = replace(exchange, sent=self.now(), connect=None, response=None, chunks=(), end=None)
        request = client.build_request("POST", exchange.request.url, content=exchange.request.content, headers=HEADERS)
        try:
            response = await client.send(request, stream=True)
            seen = self._answered(seen, response)
            async for data in response.aiter_raw():
                seen = self._arrived(seen, data)
        except library.TransportError as error:
            return self._ended(seen, type(error).__name__)
        return self._ended(seen)

    def _answered(self, seen: Exchange, response: Any) -> Exchange:
        headers = tuple(response.headers.multi_items())
        return replace(seen, response=Response(self.now() - seen.sent, response.status_code, headers))

    def _arrived(self, seen: Exchange, data: bytes) -> Exchange:
        return replace(seen, chunks=(*seen.chunks, Chunk(self.now() - seen.sent, data)))

    def _ended(self, seen: Exchange, error: str | None = None) -> Exchange:
        return replace(seen, end=End(self.now() - seen.sent, error))


HEADERS = {"anthropic-version": "2023-06-01"}
CLIENT = library.Client(timeout=None)


def _reads(recording: Recording) -> list[Exchange]:
    reader = _Reader()
    return [reader.read(CLIENT, exchange) for exchange in recording.exchanges]


def _reads_asynchronously(recording: Recording) -> list[Exchange]:
    async def run() -> list[Exchange]:
        reader = _Reader()
        async with library.AsyncClient(timeout=None, transport=library.AsyncHTTPTransport(verify=False)) as client:
            return [await reader.aread(client, exchange) for exchange in recording.exchanges]

    return asyncio.run(run())


READS = pytest.mark.parametrize("reads", [_reads, _reads_asynchronously], ids=["sync", "async"])


def _without_empty_chunks(exchange: Exchange) -> Exchange:
    """As a program sees it: the client library hands out no empty chunks."""
    return replace(exchange, chunks=tuple(chunk for chunk in exchange.chunks if chunk.data))


@READS
@examples(60)
@given(recording=ANYTHING)
def test_a_program_meets_everything_at_the_recorded_offset(
    reads: Callable[[Recording], list[Exchange]], recording: Recording
) -> None:
    with play(recording):
        seen = reads(recording)

    assert seen == [_without_empty_chunks(exchange) for exchange in recording.exchanges]


def _without_a_text_of_its_own(exchange: Exchange, asked: Exchange) -> Exchange:
    """Leave out the text of a served error where the recording has none: the library's own stands in for it."""
    if exchange.end is None or asked.end is None or asked.end.message is not None:
        return exchange
    return replace(exchange, end=replace(exchange.end, message=None))


@READS
@examples(60)
@given(recording=ANYTHING)
def test_recording_what_a_replay_serves_gives_the_recording_back(
    reads: Callable[[Recording], list[Exchange]], recording: Recording
) -> None:
    with play(recording) as measured:
        reads(recording)

    observed = measured._measurement.log.exchanges
    assert tuple(
        replace(_without_a_text_of_its_own(exchange, asked), request=asked.request)
        for exchange, asked in zip(observed, recording.exchanges, strict=True)
    ) == (recording.exchanges)
    for exchange, asked in zip(observed, recording.exchanges, strict=True):
        assert exchange.request.content == asked.request.content
        assert exchange.request.url == asked.request.url


def test_calls_sent_at_one_instant_are_listed_in_the_order_they_were_recorded(suite: Suite) -> None:
    slow = text("slow", ttfb="80ms")
    suite.server.answers(lambda request: slow if b"second" in request.content else text("quick", ttfb="5ms"))
    body = """
import threading


def test_it(claude_latency):
    {body}
"""
    suite.write(body.format(body='ask("first"); ask("second")'))
    suite.record()
    together = """threads = [threading.Thread(target=ask, args=[prompt]) for prompt in ("second", "first")]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]"""
    suite.write(body.format(body=together))

    suite.replay().assert_outcomes(passed=1)

    first, second = suite.calls("test_it")
    assert first["sent"] == second["sent"] == 0.0
    assert first["ttfb"] < second["ttfb"]

"""Programs on asyncio: what their calls take together follows from their structure, exactly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import anthropic
import anyio
import pytest

from pytest_claude_latency import play
from pytest_claude_latency.http.library import HTTPLibrary
from tests.support.program_answers import recording, refused, streamed, unstreamed
from tests.support.program_claude import aask, ask, read, words

MICROSECOND = 1e-6  # float readings run late by less; what is measured is exact


def test_two_awaited_calls_add_up() -> None:
    async def program() -> None:
        await aask()
        await aask()

    with play(recording(unstreamed(2.0), unstreamed(1.5))) as measured:
        asyncio.run(program())

    assert measured.elapsed == 3.5


def test_gathered_calls_overlap() -> None:
    async def program() -> None:
        await asyncio.gather(aask(), aask(), aask())

    with play(recording(unstreamed(5), unstreamed(1), unstreamed(3.5))) as measured:
        asyncio.run(program())

    assert measured.elapsed == 5.0


def test_a_semaphore_of_two_runs_two_at_a_time() -> None:
    async def program() -> None:
        gate = asyncio.Semaphore(2)

        async def limited_call() -> None:
            async with gate:
                await aask()

        await asyncio.gather(*[limited_call() for _ in range(4)])

    with play(recording(*map(unstreamed, (5, 1, 1, 1)))) as measured:
        asyncio.run(program())

    assert measured.elapsed == 5.0


def test_the_first_of_two_calls_wins_and_the_client_closes_the_loser() -> None:
    async def program() -> float:
        tasks = [asyncio.create_task(aask()), asyncio.create_task(aask())]
        _, losers = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in losers:
            task.cancel()
        await asyncio.gather(*losers, return_exceptions=True)
        return time.monotonic()

    with play(recording(unstreamed(5), unstreamed(1))) as measured:
        began = time.monotonic()
        ended = asyncio.run(program())

    assert ended - began == pytest.approx(1.0, abs=MICROSECOND)
    assert measured.elapsed == 1.0
    assert [(call.closed, call.total) for call in measured.calls] == [("client", 1.0), (None, 1.0)]


def test_a_hedge_starts_when_its_delay_has_passed() -> None:
    async def first_word() -> str:
        return await anext(words())

    async def program() -> float:
        began = time.monotonic()
        primary = asyncio.create_task(first_word())
        await asyncio.wait([primary], timeout=0.8)
        hedge = asyncio.create_task(first_word())
        _, losers = await asyncio.wait([primary, hedge], return_when=asyncio.FIRST_COMPLETED)
        shown = time.monotonic()
        for task in losers:
            task.cancel()
        await asyncio.gather(*losers, return_exceptions=True)
        return shown - began

    with play(recording(streamed(3.0, 4.0), streamed(0.5, 4.0))):
        took = asyncio.run(program())

    assert took == pytest.approx(1.3, abs=MICROSECOND)


async def _timeout() -> None:
    async with asyncio.timeout(2):
        await read()


async def _wait_for() -> None:
    await asyncio.wait_for(read(), 2)


async def _move_on_after() -> None:
    with anyio.move_on_after(2) as scope:
        await read()
    if scope.cancelled_caught:
        raise TimeoutError


async def _fail_after() -> None:
    with anyio.fail_after(2):
        await read()


@pytest.mark.parametrize("limited", [_timeout, _wait_for, _move_on_after, _fail_after])
def test_a_time_out_fires_when_virtual_time_reaches_it(limited: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def program() -> float:
        began = time.monotonic()
        try:
            await limited()
        except TimeoutError:
            fired = time.monotonic() - began
            await aask()
            return fired
        raise AssertionError("the time-out did not fire")

    with play(recording(streamed(0.5, 4.9, total=5.0), unstreamed(1))) as measured:
        fired = asyncio.run(program())

    assert fired == pytest.approx(2.0, abs=MICROSECOND)
    assert measured.elapsed == 3.0
    assert measured.calls[0].closed == "client"


def test_a_gap_longer_than_the_clients_time_out_ends_the_stream_as_it_does_live() -> None:
    timeout = HTTPLibrary.of_sdk().module.ReadTimeout

    async def program() -> float:
        asked = 0.0
        try:
            async for _ in words(timeout=1.0):
                asked = time.monotonic()
        except timeout:
            return time.monotonic() - asked
        raise AssertionError("the time-out did not fire")

    with play(recording(streamed(0.5, 3.5))) as measured:
        waited = asyncio.run(program())

    assert waited == pytest.approx(1.0, abs=MICROSECOND)
    assert measured.calls[0].error == "ReadTimeout"


def test_the_wait_for_headers_obeys_the_clients_time_out_too() -> None:
    with play(recording(unstreamed(3))) as measured, pytest.raises(anthropic.APITimeoutError):
        asyncio.run(aask(timeout=1.0))

    assert measured.elapsed == 1.0


def test_the_sdk_waits_as_long_as_retry_after_says() -> None:
    with play(recording(refused(429, 0.2, retry_after="2"), unstreamed(1))) as measured:
        asyncio.run(aask(max_retries=2))

    assert measured.elapsed == 3.2
    assert measured.calls[0].attempts == 2


def test_the_sdks_back_off_is_the_same_in_every_run() -> None:
    def run() -> float | None:
        with play(recording(refused(529, 0.1), refused(529, 0.1), unstreamed(1))) as measured:
            asyncio.run(aask(max_retries=2))
        assert measured.calls[0].attempts == 3
        return measured.elapsed

    first, *repeats = [run() for _ in range(5)]

    assert first is not None
    assert first > 1.2 + 0.75 * 1.5  # back-offs of 0.5 and 1 s, less a quarter at most
    assert repeats == [first] * 4


def test_a_sync_client_inside_a_coroutine_blocks_its_loop() -> None:
    async def program() -> None:
        async def blocking() -> None:
            ask()

        await asyncio.gather(blocking(), aask())

    with play(recording(unstreamed(2), unstreamed(1))) as measured:
        asyncio.run(program())

    assert measured.elapsed == 3.0


@pytest.mark.parametrize("blocks", [True, False])
def test_a_slow_consumer_gets_a_chunk_when_it_has_come_and_is_asked_for(blocks: bool) -> None:
    async def program() -> list[float]:
        began, seen = time.monotonic(), []
        async for _ in words():
            seen.append(round(time.monotonic() - began, 6))
            if blocks:
                time.sleep(0.5)  # on purpose: this program blocks its loop
            else:
                await asyncio.sleep(0.5)
        return seen

    with play(recording(streamed(1.0, 1.1, 1.2, 3.0))):
        seen = asyncio.run(program())

    assert seen == [1.0, 1.5, 2.0, 3.0]


def test_an_agent_waits_for_its_tool_between_two_calls() -> None:
    async def program() -> None:
        await aask()
        await asyncio.sleep(0.2)
        await aask()

    with play(recording(unstreamed(1), unstreamed(1))) as measured:
        asyncio.run(program())

    assert measured.elapsed == 2.2


def test_code_that_polls_the_clock_falls_back_in_time() -> None:
    async def program() -> float:
        began = time.monotonic()
        answer = asyncio.create_task(read())
        while time.monotonic() - began < 2:
            await asyncio.sleep(0.25)
        answer.cancel()
        return time.monotonic() - began

    with play(recording(streamed(1.0, 4.9, total=5.0))):
        fell_back = asyncio.run(program())

    assert fell_back == pytest.approx(2.0, abs=MICROSECOND)


def test_an_hour_passes_at_once() -> None:
    with play(recording(unstreamed(3600))) as measured:
        asyncio.run(aask(timeout=4000.0))

    assert measured.elapsed == 3600.0

"""What came while the program held its event loop or its thread: a replay hands it on in the order of the live run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.http.library import HTTPLibrary
from pytest_claude_latency.messages_api.exchange import Exchange
from tests.plugin.suite import Suite
from tests.support.recorded_programs import call, record, stream

MS = 1_000_000

BESIDE = """
@pytest.mark.asyncio
@pytest.mark.latency_budget(total="9s")
async def test_it():
    log = []

    async def save():
        await asyncio.sleep(0.1)
        {hold}

    async def timer():
        await asyncio.sleep(0.3)
        log.append("timer")

    async def call():
        log.append(await {call}("one", client))

    async with anthropic.AsyncAnthropic(timeout={read}) as client:
        saving = asyncio.create_task(save())
{program}
        await saving
    save_result(log)
"""
HEDGE = """
        task = asyncio.create_task(call())
        done, _ = await asyncio.wait({task}, timeout=0.3)
        log.append("in time" if done else "hedge")
        await task
"""
SLEEP = """
        timing = asyncio.create_task(timer())
        await asyncio.gather(call(), timing)
"""
TIMEOUT = """
        try:
            async with asyncio.timeout(0.3):
                await call()
        except TimeoutError:
            log.append("gave up")
"""


def program(body: str, *, call: str = "aask", hold: str = "time.sleep(0.6)", read: float = 9) -> str:
    return BESIDE.format(program=body.strip("\n"), call=call, hold=hold, read=read)


def taken_late(exchange: Exchange, at: Nanoseconds, late: Nanoseconds) -> Exchange:
    """Return the exchange as a program records it that read what came before `at` only then, so `late`."""
    assert exchange.response is not None
    assert exchange.end is not None
    return replace(
        exchange,
        response=replace(exchange.response, at=at, late=late),
        chunks=tuple(replace(chunk, at=at, late=late) if chunk.at < at else chunk for chunk in exchange.chunks),
        end=replace(exchange.end, at=max(exchange.end.at, at)),
    )


def replayed(suite: Suite, source: str, exchange: Exchange) -> Any:
    suite.write(source)
    record(suite.path / "test_it.py", "test_it", [exchange])
    suite.replay().assert_outcomes(passed=1)
    return suite.saved_result


# While recording, the hold of 600 ms ended some milliseconds of computing later than it does in a replay.
ASKED = taken_late(call(0.4, "one"), at=703 * MS, late=601 * MS)


def test_an_answer_that_came_during_a_hold_is_handed_on_with_its_end(suite: Suite) -> None:
    # httpx takes one more turn of the loop to close an answer, so the timer is before it, live as well
    in_one_turn = HTTPLibrary.of_sdk().name == "httpx2"

    hedged = replayed(suite, program(HEDGE), ASKED)

    assert hedged == (["Hello", "in time"] if in_one_turn else ["hedge", "Hello"])
    assert suite.calls("test_it")[0]["total"] == pytest.approx(0.7)


def test_a_timer_that_was_due_during_the_hold_fires_in_the_same_turn(suite: Suite) -> None:
    in_one_turn = HTTPLibrary.of_sdk().name == "httpx2"

    assert replayed(suite, program(SLEEP), ASKED) == (["Hello", "timer"] if in_one_turn else ["timer", "Hello"])
    assert replayed(suite, program(TIMEOUT), ASKED) == ["gave up"]


def test_a_hold_that_is_gone_or_shorter_leaves_the_answer_where_it_was_recorded(suite: Suite) -> None:
    # Nobody knows when in the recorded hold it came, and the timer of 0.3 s does not wait for it.
    for hold in ("pass", "time.sleep(0.3)"):
        assert replayed(suite, program(HEDGE, hold=hold), ASKED) == ["hedge", "Hello"], hold
        assert suite.calls("test_it")[0]["total"] == pytest.approx(0.703)


def test_a_longer_hold_hands_it_on_at_its_own_end(suite: Suite) -> None:
    replayed(suite, program(SLEEP, hold="time.sleep(1)"), ASKED)

    assert suite.calls("test_it")[0]["total"] == pytest.approx(1.1)


def test_a_part_of_a_stream_comes_with_the_end_of_the_hold_and_the_others_in_their_time(suite: Suite) -> None:
    recorded = taken_late(stream("one", 0.4, 0.5, 0.9, 1.4), at=703 * MS, late=601 * MS)

    assert replayed(suite, program(HEDGE, call="astream"), recorded) == ["hedge", "aaa"]

    (made,) = suite.calls("test_it")
    assert (made["ttft"], made["total"]) == (pytest.approx(0.7), pytest.approx(1.4))


def test_a_read_time_out_does_not_fire_for_what_came_during_the_hold(suite: Suite) -> None:
    assert sorted(replayed(suite, program(SLEEP, read=0.45), ASKED)) == ["Hello", "timer"]
    assert suite.calls("test_it")[0]["attempts"] == 1


def test_a_slow_consumer_reads_the_end_before_a_timer_that_was_due_meanwhile(suite: Suite) -> None:
    recorded = stream("one", 0.4, 0.41)
    assert recorded.end is not None
    recorded = replace(recorded, end=replace(recorded.end, at=715 * MS))
    source = """
@pytest.mark.asyncio
@pytest.mark.latency_budget(total="9s")
async def test_it():
    log = []

    async def timer():
        await asyncio.sleep(0.5)
        log.append("timer")

    async def read():
        async with client.messages.stream(
            model="claude-haiku-4-5", max_tokens=100, messages=messages("one")
        ) as answer:
            async for _ in answer.text_stream:
                time.sleep(0.3)
        log.append("read")

    async with anthropic.AsyncAnthropic() as client:
        await asyncio.gather(read(), timer())
    save_result(log)
"""
    in_one_turn = HTTPLibrary.of_sdk().name == "httpx2"

    assert replayed(suite, source, recorded) == (["read", "timer"] if in_one_turn else ["timer", "read"])


def test_trio_hands_it_on_before_a_deadline_of_the_same_instant(suite: Suite) -> None:
    source = """
@pytest.mark.latency_budget(total="9s")
def test_it():
    import trio

    log = []

    async def main():
        async def save():
            await trio.sleep(0.1)
            time.sleep(0.6)

        async with anthropic.AsyncAnthropic() as client, trio.open_nursery() as nursery:
            nursery.start_soon(save)
            with trio.move_on_after(0.3):
                async with client.messages.stream(
                    model="claude-haiku-4-5", max_tokens=100, messages=messages("one")
                ) as answer:
                    async for word in answer.text_stream:
                        log.append(word)

    trio.run(main)
    save_result(log)
"""
    recorded = taken_late(stream("one", 0.4, 0.41), at=703 * MS, late=601 * MS)

    assert replayed(suite, source, recorded) == ["a"]

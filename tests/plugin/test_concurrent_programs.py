"""Programs whose latency comes from their structure, replayed as a user runs them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from pytest_claude_latency.messages_api.exchange import Exchange
from tests.plugin.suite import Suite
from tests.support.recorded_programs import call, calls, record, refusal, stream

PROGRAMS = """
import threading, queue, contextvars
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, as_completed, wait
from concurrent.futures import TimeoutError as FutureTimeout
import anyio

pytestmark = pytest.mark.latency_budget(elapsed="60min")
START = time.monotonic()  # read before all tests: no test may read an earlier time


def since(start):
    return round(time.monotonic() - start, 6)


@pytest.fixture
def start():
    return time.monotonic()


@pytest.mark.asyncio
async def test_one_after_the_other():
    await aask("2")
    await aask("1.5")


@pytest.mark.asyncio
async def test_gathered():
    await asyncio.gather(aask("5"), aask("1"), aask("3.5"))


@pytest.mark.asyncio(loop_scope="session")
async def test_two_at_a_time():
    two = asyncio.Semaphore(2)

    async def limited_call(prompt):
        async with two:
            await aask(prompt)

    await asyncio.gather(*map(limited_call, ["5", "1", "1 again", "1 more"]))


@pytest.mark.asyncio(loop_scope="session")
async def test_the_first_of_two():
    tasks = [asyncio.create_task(aask(prompt)) for prompt in ("5", "1")]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for loser in pending:
        loser.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


@pytest.mark.asyncio
async def test_a_hedge(start):
    async def first_token(prompt):
        client = anthropic.AsyncAnthropic()
        asked = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": messages(prompt)}
        async with client.messages.stream(**asked) as answer:
            async for _ in answer.text_stream:
                return prompt

    primary = asyncio.create_task(first_token("slow"))
    done, _ = await asyncio.wait([primary], timeout=0.8)
    assert not done
    hedge = asyncio.create_task(first_token("quick"))
    done, pending = await asyncio.wait([primary, hedge], return_when=asyncio.FIRST_COMPLETED)
    assert [task.result() for task in done] == ["quick"]
    assert since(start) == 1.3
    primary.cancel()
    await asyncio.gather(primary, return_exceptions=True)


@pytest.mark.asyncio
async def test_a_timeout_and_a_fallback(start):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await astream("long")
    assert since(start) == 2
    await aask("1")


@pytest.mark.asyncio
async def test_wait_for_and_a_fallback(start):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(astream("long"), timeout=2)
    assert since(start) == 2
    await aask("1")


@pytest.mark.anyio
async def test_move_on_after_and_a_fallback(start):
    with anyio.move_on_after(2) as scope:
        await astream("long")
    assert scope.cancelled_caught and since(start) == 2
    await aask("1")


@pytest.mark.anyio
async def test_fail_after_and_a_fallback(start):
    with pytest.raises(TimeoutError):
        with anyio.fail_after(2):
            await astream("long")
    assert since(start) == 2
    await aask("1")


@pytest.mark.trio
async def test_trio(start):
    import trio

    async with trio.open_nursery() as nursery:
        nursery.start_soon(aask, "2")
        nursery.start_soon(aask, "1")
    with trio.move_on_after(0.5):
        await astream("long")
    assert since(start) == 2.5


def test_on_uvloop(start):
    import uvloop

    async def main():
        await asyncio.gather(aask("2"), asyncio.sleep(3))

    uvloop.run(main())
    assert since(start) == 3


def test_a_client_time_out_in_mid_stream(start):
    with pytest.raises(Exception) as raised:
        stream("gap", anthropic.Anthropic(timeout=1.0, max_retries=0))
    assert type(raised.value).__name__ == "ReadTimeout"
    assert since(start) == 1.5


def test_a_client_time_out_before_the_headers(start):
    with pytest.raises(anthropic.APITimeoutError):
        ask("5", anthropic.Anthropic(timeout=1.0, max_retries=0))
    assert since(start) == 1


def test_retry_after():
    ask("busy")


def test_overloaded_twice():
    ask("overloaded")


@pytest.mark.asyncio
async def test_threads_of_the_loop():
    await asyncio.gather(*[asyncio.to_thread(ask, prompt) for prompt in ("5", "1", "3")])


def test_a_pool_of_two():
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(ask, ["5", "1", "1 again", "1 more"]))


def test_threads_joined():
    threads = [threading.Thread(target=ask, args=(prompt,)) for prompt in ("1", "3", "2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_results_as_they_complete(start):
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(ask, prompt) for prompt in ("3", "1", "2")]
        seen = []
        for future in as_completed(futures):
            seen.append(since(start))
        assert seen == [1, 2, 3]
        slow = pool.submit(ask, "5")
        with pytest.raises(FutureTimeout):
            slow.result(timeout=2)
        assert since(start) == 5


@pytest.mark.asyncio
async def test_a_sync_client_in_a_coroutine(start):
    sleeper = asyncio.create_task(asyncio.sleep(1))
    await asyncio.sleep(0)
    ask("3")
    await sleeper
    assert since(start) == 3


@pytest.mark.asyncio
async def test_a_slow_consumer(start):
    client = anthropic.AsyncAnthropic()
    seen = []
    async with client.messages.stream(model="claude-haiku-4-5", max_tokens=100, messages=messages("steady")) as answer:
        async for text in answer.text_stream:
            seen.append(since(start))
            await asyncio.sleep(0.25)
            time.sleep(0.25)
    assert seen == [1.0, 1.5, 2.0, 4.0]


def test_an_agent_with_a_slow_tool():
    ask("1")
    time.sleep(0.2)
    ask("1 again")


def test_a_fallback_by_the_clock(start):
    client = anthropic.Anthropic()
    with client.messages.stream(model="claude-haiku-4-5", max_tokens=100, messages=messages("steady")) as answer:
        for _ in answer.text_stream:
            if time.monotonic() - start >= 2:
                break
    assert since(start) == 4
    assert time.monotonic() > START


def test_retry_libraries(start):
    import stamina, tenacity

    attempts = []

    def flaky():
        attempts.append(since(start))
        if len(attempts) < 3:
            raise ValueError
        return ask("1")

    tenacity.retry(wait=tenacity.wait_fixed(2), stop=tenacity.stop_after_attempt(5))(flaky)()
    assert attempts == [0, 2, 4]
    attempts.clear()
    stamina.retry(on=ValueError, attempts=5, wait_initial=3, wait_max=3, wait_jitter=0)(flaky)()
    assert attempts == [5, 8, 11]


def test_context_and_loops_within_threads(start):
    var, local = contextvars.ContextVar("var"), threading.local()
    var.set("outside")

    def work(prompt):
        local.value = prompt
        with asyncio.Runner() as runner:
            runner.run(aask(prompt))
        assert local.value == prompt

    async def main():
        assert await asyncio.to_thread(lambda: var.get()) == "outside"
        await asyncio.gather(asyncio.to_thread(work, "2"), asyncio.to_thread(work, "1"))

    asyncio.run(main())
    assert since(start) == 2


old_pool = ThreadPoolExecutor(2)
old_loop = asyncio.new_event_loop()
threading.Thread(target=old_loop.run_forever, daemon=True).start()


@pytest.mark.parametrize("turn", [1, 2])
def test_a_pool_and_a_loop_older_than_the_test(turn, start):
    futures = [asyncio.run_coroutine_threadsafe(aask(prompt), old_loop) for prompt in ("1", "2")]
    assert list(old_pool.map(ask, ["3", "1 again", "1 more"]))
    for future in futures:
        future.result()
    assert since(start) == 3


def test_a_pool_left_open():
    ThreadPoolExecutor(2).submit(ask, "1").result()
"""

LONG = stream("long", 0.5, 1.0, 3.0, 5.0)
STEADY = stream("steady", 0.5, 1.0, 1.2, 1.4, 4.0)
OVERLAPPING = (call(1, "1 again"), call(1, "1 more"))

RECORDED: dict[str, Iterable[Exchange]] = {
    "test_one_after_the_other": calls(2, 1.5),
    "test_gathered": calls(5, 1, 3.5),
    "test_two_at_a_time": [*calls(5, 1), *OVERLAPPING],
    "test_the_first_of_two": calls(5, 1),
    "test_a_hedge": [stream("slow", 0.5, 3.0, 4.0), stream("quick", 0.25, 0.5, 4.0)],
    "test_a_timeout_and_a_fallback": [LONG, call(1)],
    "test_wait_for_and_a_fallback": [LONG, call(1)],
    "test_move_on_after_and_a_fallback[asyncio]": [LONG, call(1)],
    "test_move_on_after_and_a_fallback[trio]": [LONG, call(1)],
    "test_fail_after_and_a_fallback[asyncio]": [LONG, call(1)],
    "test_fail_after_and_a_fallback[trio]": [LONG, call(1)],
    "test_trio": [*calls(2, 1), LONG],
    "test_on_uvloop": calls(2),
    "test_a_client_time_out_in_mid_stream": [stream("gap", 0.25, 0.5, 3.5)],
    "test_a_client_time_out_before_the_headers": calls(5),
    "test_retry_after": [refusal(429, 0.25, "busy", retry_after=2), call(1, "busy")],
    "test_overloaded_twice": [*[refusal(529, 0.25, "overloaded")] * 2, call(1, "overloaded")],
    "test_threads_of_the_loop": calls(5, 1, 3),
    "test_a_pool_of_two": [*calls(5, 1), *OVERLAPPING],
    "test_threads_joined": calls(1, 3, 2),
    "test_results_as_they_complete": calls(3, 1, 2, 5),
    "test_a_sync_client_in_a_coroutine": calls(3),
    "test_a_slow_consumer": [STEADY],
    "test_an_agent_with_a_slow_tool": [*calls(1), call(1, "1 again")],
    "test_a_fallback_by_the_clock": [STEADY],
    "test_retry_libraries": [call(1), call(1)],
    "test_context_and_loops_within_threads": calls(2, 1),
    "test_a_pool_and_a_loop_older_than_the_test[1]": [*calls(1, 2, 3), *OVERLAPPING],
    "test_a_pool_and_a_loop_older_than_the_test[2]": [*calls(1, 2, 3), *OVERLAPPING],
    "test_a_pool_left_open": calls(1),
}

ELAPSED = {
    "test_one_after_the_other": 3.5,
    "test_gathered": 5.0,
    "test_two_at_a_time": 5.0,
    "test_the_first_of_two": 1.0,
    "test_a_timeout_and_a_fallback": 3.0,
    "test_wait_for_and_a_fallback": 3.0,
    "test_move_on_after_and_a_fallback[asyncio]": 3.0,
    "test_move_on_after_and_a_fallback[trio]": 3.0,
    "test_fail_after_and_a_fallback[asyncio]": 3.0,
    "test_fail_after_and_a_fallback[trio]": 3.0,
    "test_trio": 2.5,
    "test_on_uvloop": 2.0,
    "test_retry_after": 3.25,
    "test_threads_of_the_loop": 5.0,
    "test_a_pool_of_two": 5.0,
    "test_threads_joined": 3.0,
    "test_results_as_they_complete": 8.0,
    "test_an_agent_with_a_slow_tool": 2.2,
    "test_a_pool_and_a_loop_older_than_the_test[1]": 3.0,
    "test_a_pool_and_a_loop_older_than_the_test[2]": 3.0,
    "test_a_pool_left_open": 1.0,
}


@pytest.fixture
def programs(suite: Suite) -> Suite:
    """The programs above with their recordings."""
    suite.write(PROGRAMS)
    for test, exchanges in RECORDED.items():
        record(suite.path / "test_it.py", test, exchanges)
    return suite


def elapsed(suite: Suite) -> dict[str, float]:
    return {test["nodeid"].partition("::")[2]: test["elapsed"] for test in suite.report["tests"]}


def test_programs_take_the_time_that_follows_from_their_structure(programs: Suite) -> None:
    result = programs.replay()

    result.assert_outcomes(passed=len(RECORDED))
    assert {test: seconds for test, seconds in elapsed(programs).items() if test in ELAPSED} == ELAPSED


@pytest.mark.slow
def test_a_run_on_workers_writes_the_same_report_byte_for_byte(programs: Suite) -> None:
    programs.replay()
    alone = (programs.path / "report.json").read_bytes()

    result = programs.pytester.runpytest_subprocess(
        "-p", "no:cacheprovider", "--latency-report=report.json", "--latency-budget", "-n2"
    )

    result.assert_outcomes(passed=len(RECORDED))
    assert (programs.path / "report.json").read_bytes() == alone


def test_the_loser_of_a_race_is_a_call_closed_by_the_client(programs: Suite) -> None:
    programs.replay("-k", "test_the_first_of_two")

    assert [(call["closed"], call["total"]) for call in programs.calls("test_the_first_of_two")] == [
        ("client", 1.0),
        (None, 1.0),
    ]


def test_a_retried_call_counts_its_attempts(programs: Suite) -> None:
    programs.replay("-k", "retry or overloaded")

    assert [call["attempts"] for call in programs.calls("test_retry_after")] == [2]
    assert [call["attempts"] for call in programs.calls("test_overloaded_twice")] == [3]


def test_back_off_with_jitter_is_the_same_every_time(programs: Suite) -> None:
    runs = []
    for _ in range(3):
        programs.replay("-k", "overloaded")
        runs.append(json.dumps(programs.report["tests"]))

    assert len(set(runs)) == 1


@pytest.mark.slow
def test_the_interpreter_exits_after_a_replay(programs: Suite) -> None:
    result = programs.pytester.runpytest_subprocess("-p", "no:cacheprovider", "-q", timeout=60)

    result.assert_outcomes(passed=len(RECORDED))
    assert Path(programs.path / "cassettes").exists()

"""The limits of a client's pool in a replay: as many requests are under way as the client may have connections."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from pytest_claude_latency.http.library import HTTPLibrary
from tests.plugin.suite import Suite
from tests.support.claude_messages import text

LIBRARIES = [name for name in ("httpx", "httpx2") if find_spec(name)]
OF_SDK = HTTPLibrary.of_sdk().name

POOLS = f"""
import os
from concurrent.futures import ThreadPoolExecutor
import {OF_SDK} as sdk_http

IS_REPLAY = "ANTHROPIC_API_KEY" not in os.environ
PROMPTS = ["one", "two", "three"]


def limits(recorded, replayed):
    return sdk_http.Limits(max_connections=replayed if IS_REPLAY else recorded)


def asked(limits, ask=ask, **more):
    http_client = anthropic.DefaultHttpxClient(limits=limits)
    with anthropic.Anthropic(http_client=http_client, **more) as client, ThreadPoolExecutor(3) as pool:
        ask("warm", client)
        began = time.monotonic()
        first = pool.submit(ask, PROMPTS[0], client)
        # first in the recording as in a replay: on a busy machine another thread would overtake it
        while not (IS_REPLAY or first.done() or http_client._transport._pool._requests):
            time.sleep(0.001)
        list(pool.map(lambda prompt: ask(prompt, client), PROMPTS[1:]))
        first.result()
        return time.monotonic() - began


def asked_async(limits, ask=aask, **more):
    async def main():
        http_client = anthropic.DefaultAsyncHttpxClient(limits=limits)
        async with anthropic.AsyncAnthropic(http_client=http_client, **more) as client:
            await ask("warm", client)
            began = time.monotonic()
            await asyncio.gather(*(ask(prompt, client) for prompt in PROMPTS))
            return time.monotonic() - began

    return asyncio.run(main())


WAYS = {{
    "sync": asked,
    "async": asked_async,
    "streams": lambda limits, **more: asked(limits, stream, **more),
    "async streams": lambda limits, **more: asked_async(limits, astream, **more),
}}
"""


@pytest.fixture(autouse=True)
def answers(suite: Suite) -> None:
    suite.server.answers(lambda request: text("Hello", ttfb="100ms"))


def test_a_clients_limit_holds_in_a_replay(suite: Suite) -> None:
    suite.write(
        POOLS
        + """
@pytest.mark.parametrize("way", WAYS)
def test_it(way, claude_latency):
    took = WAYS[way](limits(3, 1))
    assert not IS_REPLAY or took >= 0.3
"""
    )

    suite.record().assert_outcomes(passed=4)
    suite.replay().assert_outcomes(passed=4)

    starts = [call["ttfb"] for call in suite.calls("test_it[async]")[1:4]]
    assert starts == sorted(starts)
    assert starts[2] - starts[0] > 0.19


def test_a_wait_that_the_recorded_program_had_too_is_not_waited_twice(suite: Suite) -> None:
    suite.write(
        POOLS
        + """
@pytest.mark.parametrize("way", ["sync", "async streams"])
def test_it(way, claude_latency):
    WAYS[way](limits(1, 1))
"""
    )
    suite.record().assert_outcomes(passed=2)
    recorded = {way: suite.test(f"test_it[{way}]")["elapsed"] for way in ("sync", "async streams")}

    suite.replay().assert_outcomes(passed=2)

    for way, elapsed in recorded.items():
        assert suite.test(f"test_it[{way}]")["elapsed"] < elapsed + 0.15, way


def test_a_pool_time_out_fires_in_virtual_time(suite: Suite) -> None:
    suite.write(
        POOLS
        + """
@pytest.mark.parametrize("way", ["async", "streams"])
def test_it(way, claude_latency):
    times = {"timeout": sdk_http.Timeout(30, pool=0.05 if IS_REPLAY else 30), "max_retries": 0}
    if IS_REPLAY:
        with pytest.raises(anthropic.APITimeoutError) as raised:
            WAYS[way](limits(3, 1), **times)
        assert isinstance(raised.value.__cause__, sdk_http.PoolTimeout)
        assert [call.error for call in claude_latency.calls].count("PoolTimeout") in {1, 2}
    else:
        WAYS[way](limits(3, 1), **times)
"""
    )
    suite.record().assert_outcomes(passed=2)

    suite.replay().assert_outcomes(passed=2)


def test_a_recorded_pool_time_out_is_replayed_when_it_came(suite: Suite) -> None:
    # An answer that is not read keeps the only connection until both time-outs have fired, however slow the machine is.
    suite.write(
        POOLS
        + """
def test_it(claude_latency):
    http_client = anthropic.DefaultHttpxClient(limits=limits(1, 1))
    times = {"timeout": sdk_http.Timeout(30, pool=0.05), "max_retries": 0}
    with anthropic.Anthropic(http_client=http_client, **times) as client, ThreadPoolExecutor(2) as pool:
        with client.messages.create(model="claude-haiku-4-5", max_tokens=100, messages=messages("kept"), stream=True):
            for late in [pool.submit(ask, prompt, client) for prompt in ("one", "two")]:
                with pytest.raises(anthropic.APITimeoutError):
                    late.result()
    save_result([call.total for call in claude_latency.calls if call.error == "PoolTimeout"])
"""
    )
    suite.record().assert_outcomes(passed=1)
    recorded = suite.saved_result

    suite.replay().assert_outcomes(passed=1)

    assert len(recorded) == 2
    assert suite.saved_result == [0.05, 0.05]


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_answer_that_is_not_read_keeps_its_connection(suite: Suite, library: str) -> None:
    suite.write(
        f"""
import os
import {library} as http

BODY = {{"model": "claude-haiku-4-5", "max_tokens": 9, "messages": messages("hi"), "stream": True}}
URL = os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com") + "/v1/messages"


def test_it(claude_latency):
    with http.Client(limits=http.Limits(max_connections=1), timeout=http.Timeout(9, pool=0.1)) as client:
        with client.stream("POST", URL, json=BODY) as kept:
            with pytest.raises(http.PoolTimeout):
                client.post(URL, json=BODY)
        assert client.post(URL, json=BODY).status_code == 200
"""
    )

    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)


def test_the_limit_of_a_client_over_aiohttp_holds_too(suite: Suite) -> None:
    pytest.importorskip("httpx_aiohttp", reason="the SDK's aiohttp extra is not installed")
    suite.write(
        POOLS
        + """
@pytest.mark.parametrize("before", [3, 1])
def test_it(before, claude_latency):
    async def main():
        http_client = anthropic.DefaultAioHttpClient(limits=limits(before, 1))
        async with anthropic.AsyncAnthropic(http_client=http_client) as client:
            await aask("warm", client)
            began = time.monotonic()
            await asyncio.gather(*(aask(prompt, client) for prompt in PROMPTS))
            return time.monotonic() - began

    took = asyncio.run(main())
    assert not IS_REPLAY or took >= 0.3
    save_result(took)
"""
    )
    suite.record().assert_outcomes(passed=2)
    recorded = suite.saved_result

    suite.replay().assert_outcomes(passed=2)

    assert suite.saved_result < recorded + 0.15


def test_cancelled_waits_leave_the_line(suite: Suite) -> None:
    suite.write(
        POOLS
        + """
def test_it(claude_latency):
    async def main():
        http_client = anthropic.DefaultAsyncHttpxClient(limits=limits(3, 1))
        async with anthropic.AsyncAnthropic(http_client=http_client) as client:
            first, second, third = [asyncio.create_task(aask(prompt, client)) for prompt in PROMPTS]
            await asyncio.sleep(0.05)
            if IS_REPLAY:
                second.cancel()
            await third
            return time.monotonic()

    began = time.monotonic()
    took = asyncio.run(main()) - began
    ends = sorted(call.total for call in claude_latency.calls if call.closed is None)
    assert not IS_REPLAY or took == pytest.approx(ends[-1], abs=0.05)  # behind the second it would take 0.3
    assert not IS_REPLAY or took >= 0.2
"""
    )

    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)


def test_tasks_of_trio_wait_in_line_too(suite: Suite) -> None:
    suite.write(
        POOLS
        + """
import trio


def test_it(claude_latency):
    async def main():
        client = anthropic.AsyncAnthropic(http_client=anthropic.DefaultAsyncHttpxClient(limits=limits(3, 1)))
        began = trio.current_time()
        async with client, trio.open_nursery() as nursery:
            for prompt in PROMPTS:
                nursery.start_soon(aask, prompt, client)
        return trio.current_time() - began

    took = trio.run(main)
    assert not IS_REPLAY or took >= 0.3
"""
    )

    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)


REQUESTS = """
import os, requests
from concurrent.futures import ThreadPoolExecutor

IS_REPLAY = "ANTHROPIC_API_KEY" not in os.environ
URL = os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com") + "/v1/messages"


def test_it(claude_latency):
    size = 1 if IS_REPLAY else 3
    with requests.Session() as session, ThreadPoolExecutor(3) as pool:
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=size, pool_block=True)
        session.mount("http://", adapter)
        session.mount("https://", adapter)

        def post(prompt):
            body = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": messages(prompt)}
            return session.post(URL, json=body).content

        list(pool.map(post, ["a", "b", "c"]))
        began = time.monotonic()
        list(pool.map(post, ["d", "e", "f"]))
        took = time.monotonic() - began
    assert not IS_REPLAY or took >= 0.3
"""


def test_the_limit_of_a_pool_of_urllib3_holds_for_open_connections_too(suite: Suite) -> None:
    suite.write(REQUESTS)

    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)


def test_over_http2_a_limit_of_connections_holds_no_request_back(suite: Suite) -> None:
    pytest.importorskip("h2")
    suite.write(
        POOLS
        + """
def test_it(claude_latency):
    if not IS_REPLAY:
        asked_async(limits(3, 3))
        return
    http_client = anthropic.DefaultAsyncHttpxClient(limits=limits(1, 1), http2=True)

    async def main():
        async with anthropic.AsyncAnthropic(http_client=http_client, base_url="https://api.anthropic.com") as client:
            await aask("warm", client)
            began = time.monotonic()
            await asyncio.gather(*(aask(prompt, client) for prompt in PROMPTS))
            return time.monotonic() - began

    assert asyncio.run(main()) < 0.3
"""
    )

    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)


SHARED = """
{marker}
def test_it(claude_latency):
    with anthropic.Anthropic() as client:
        for number in range({calls}):
            ask(f'number {{number}}', {client})
"""


def _recorded_by_one_client(suite: Suite, *, calls: int = 3, marker: str = "") -> None:
    suite.write(SHARED.format(marker=marker, calls=calls, client="client"))
    suite.record().assert_outcomes(passed=1)
    suite.write(SHARED.format(marker=marker, calls=calls, client="None"))


def test_a_client_for_each_call_breaks_a_limit_on_connections_that_the_recording_cannot_tell(suite: Suite) -> None:
    _recorded_by_one_client(suite, marker="@pytest.mark.latency_budget(connection='1s')")

    result = suite.run("--latency-budget")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "each of 3 calls was sent by a client of its own",
            "  made at   app.py:15 in ask",
            "  recorded  2 of them used a connection that was open already, *",
            "  do        share one client between the calls",
        ]
    )


def test_a_client_for_each_call_is_warned_of_and_fails_a_strict_run(suite: Suite) -> None:
    _recorded_by_one_client(suite)

    suite.run("--latency-budget").stdout.fnmatch_lines(["warning: *each of 3 calls was sent by a client of its own"])
    suite.run("--latency-budget", "--latency-strict").assert_outcomes(passed=1, errors=1)


def test_clients_of_which_each_opened_its_connection_while_recording_too_are_not_told_of(suite: Suite) -> None:
    suite.write(SHARED.format(marker="", calls=3, client="None"))
    suite.record().assert_outcomes(passed=1)

    suite.run("--latency-budget", "--latency-strict").assert_outcomes(passed=1)


def test_two_clients_of_one_line_may_be_two_that_the_program_keeps(suite: Suite) -> None:
    _recorded_by_one_client(suite, calls=2)

    suite.run("--latency-budget", "--latency-strict").assert_outcomes(passed=1)

"""Nothing leaks: after a latency test, however it ended, the process is as it was."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import anthropic
import pytest
from respx.mocks import Mocker

from pytest_claude_latency.http.library import HTTPLibrary
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS
from tests.plugin.suite import Suite

ENDINGS = {
    "passes": "pass",
    "fails": "assert False",
    "breaks its budget": "stream('slowly')",
    "is skipped": "pytest.skip('not now')",
    "is interrupted": "raise KeyboardInterrupt",
    "is interrupted in an async program": "asyncio.run(interrupted())",
    "ends the run": "pytest.exit('enough')",
    "times out": "subprocess.run(['sleep', '20'])",
    "asks what was not recorded": "ask('something new')",
    "leaves a stream open": "left.append(stream_left_open())",
    "leaves a loop open": "left.append(asyncio.new_event_loop())",
}

SOURCE = """
import signal, subprocess
from app import ASKED

left = []


async def interrupted():
    await asyncio.gather(asyncio.sleep(5), interrupting())


async def interrupting():
    signal.raise_signal(signal.SIGINT)  # os.kill lets another thread take it, and that one may be late
    await asyncio.sleep(5)


def stream_left_open():
    return anthropic.Anthropic().messages.create(**ASKED, messages=messages("slowly"), stream=True)


@pytest.mark.timeout(LIMIT, method="signal")
@pytest.mark.latency_budget(ttft="1ms")
def test_it(claude_client):
    time.sleep(300)
    ENDING


def test_next():
    ahead = time.monotonic() - time.monotonic.machine()
    time.sleep(0.01)
    assert time.monotonic() - time.monotonic.machine() == pytest.approx(ahead, abs=0.5)
"""


@pytest.fixture(autouse=True)
def _can_be_interrupted() -> Iterator[None]:
    """Give SIGINT Python's handler. What a shell runs in the background inherits that the signal is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _state() -> dict[str, Any]:
    """Return what a latency test changes while it runs, threads aside."""
    library = HTTPLibrary.of_sdk().module
    base_client = import_module("anthropic._base_client")
    return {
        "authentication": [vars(kind)["auth_headers"] for kind in (anthropic.Anthropic, anthropic.AsyncAnthropic)],
        "signatures": vars(anthropic.AnthropicBedrock)["_prepare_request"],
        "jitter": base_client.random,
        "senders": [vars(kind)["_send_single_request"] for kind in (library.Client, library.AsyncClient)],
        "transports": [vars(kind)["_transport_for_url"] for kind in (library.Client, library.AsyncClient)],
        "respx": [vars(Mocker)["handler"], vars(Mocker)["async_handler"]],
        "routers": {name: list(mocker.routers) for name, mocker in Mocker.registry.items() if mocker.routers},
        "environment": {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "clocks": [time.monotonic, time.sleep, time.time, asyncio.BaseEventLoop.run_forever],
    }


def _threads() -> set[Any]:
    """Return the threads of the process, and those of them that are members of a world.

    Some of them may end at any time: trio caches threads for ten seconds, those of earlier tests of this process too.
    So only threads that are new can be the ones that a test left behind.
    """
    threads = {thread for thread in threading.enumerate() if "run_server" not in thread.name}
    return {*threads, *MEMBERS.values()}


def _assert_time_is_real() -> None:
    """Clocks may be ahead of the machine's, so that none goes back after a test; they go at its pace."""
    clocks: list[Any] = [time.monotonic, time.time]
    ahead = [clock() - clock.machine() for clock in clocks]  # `machine` is the function that was replaced
    began = time.monotonic.machine()  # type: ignore[attr-defined]  # as above
    time.sleep(0.02)
    asyncio.run(asyncio.sleep(0.02))
    assert time.monotonic.machine() - began >= 0.04  # type: ignore[attr-defined]  # as above
    assert [clock() - clock.machine() for clock in clocks] == pytest.approx(ahead, abs=0.5)


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_the_process_is_as_it_was(suite: Suite, ending: str) -> None:
    suite.write("def test_it(claude_latency):\n    stream('slowly')\n")
    suite.record()
    limit = "0.5" if "'20'" in ending else "60"  # seconds
    suite.write(SOURCE.replace("ENDING", ending).replace("LIMIT", limit))
    before, threads_before = _state(), _threads()

    try:
        result = suite.replay()
    except KeyboardInterrupt:
        assert "interrupt" in ending.lower()
    else:
        assert "interrupt" not in ending.lower()
        assert "exit" in ending or "passed" in result.parseoutcomes()

    assert _state() == before
    assert _threads() - threads_before == set()
    _assert_time_is_real()


def test_other_tests_of_the_run_are_untouched(suite: Suite) -> None:
    suite.write(
        f"""
import httpx, respx


def test_measured(claude_latency):
    stream()


def test_reaches_a_server():
    client = anthropic.Anthropic(base_url={suite.server.url!r}, api_key="x")
    assert stream("unmeasured", client=client) == "Hello world"
    assert httpx.get({suite.server.url!r}).status_code == 400


@respx.mock
def test_mocks():
    respx.get("https://shop.example/").respond(418)
    assert httpx.get("https://shop.example/").status_code == 418


def test_waits():
    began = time.monotonic.machine()
    time.sleep(0.05)
    assert time.monotonic.machine() - began >= 0.05


def test_needs_a_key():
    with pytest.raises(Exception, match="authentication"):
        ask(client=anthropic.Anthropic(base_url="http://127.0.0.1:9"))


def test_measured_again(claude_latency):
    stream()
"""
    )
    suite.record("-k", "measured").assert_outcomes(passed=2)
    asked_before = len(suite.server.log)

    suite.replay().assert_outcomes(passed=6)

    assert len(suite.server.log) == asked_before + 2


def test_nothing_of_a_test_is_kept_when_it_is_over(suite: Suite) -> None:
    suite.write(
        """
import contextvars, gc


def kept():
    gc.collect()
    names = ("Measurement", "Attempt", "Exchange", "World")
    return [thing for thing in gc.get_objects() if type(thing).__name__ in names]


def test_what_was_there():
    global before
    before = kept()


@pytest.mark.parametrize("number", range(3))
def test_it(number, claude_latency):
    stream()
    asyncio.run(astream())


def new():
    return [thing for thing in kept() if not any(thing is old for old in before)]


def test_what_is_left():
    for _ in range(100):  # a thread of the plugin's own may be about to end
        if not new():
            break
        time.sleep(0.05)
    assert new() == []
    # Which call, and which sending of it, the code that runs now belongs to.
    names = {variable.name for variable in contextvars.copy_context() if variable.name.startswith("claude")}
    assert names <= {"claude_latency_call", "claude_latency_httpx_invocation"}
"""
    )

    suite.record(report=None).assert_outcomes(passed=5)  # a report compares tests with others, whose traces it keeps
    suite.run("--latency-budget", report=None).assert_outcomes(passed=5)

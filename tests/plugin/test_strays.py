"""Threads that outlive their test: their later requests are not sent, and are reported."""

from __future__ import annotations

import pytest

from pytest_claude_latency.run.messages import STRAY
from tests.plugin.suite import Suite
from tests.support.claude_messages import text

LEAVING = """
import threading
from concurrent.futures import ThreadPoolExecutor

over = threading.Event()
gate = threading.Lock()  # not an event: whom a test wakes by one of those works for that test
gate.acquire()
pool = ThreadPoolExecutor(1)


def stray():
    gate.acquire()
    try:
        ask("stray", client=anthropic.Anthropic(default_query={"api_key": "a-secret"}))
    except BaseException as error:
        save_result(type(error).__name__)
    finally:
        over.set()


def thread():
    threading.Thread(target=stray, name="the stray").start()


def job():
    pool.submit(stray)


def queued_job():
    pool.submit(gate.acquire)
    pool.submit(gate.release)
    pool.submit(stray)


def loop():
    threading.Thread(target=lambda: asyncio.run(asyncio.to_thread(stray))).start()


def test_leaves_a_thread(claude_latency):
    ask()
    LEAVE()


def test_next(NEXT):
    gate.release()
    assert over.wait()
    if "NEXT" == "claude_latency":
        assert ask("mine") == "Hello world"
        assert len(claude_latency.calls) == 1
"""

TOLD = [
    "warning: " + STRAY,
    "*test      test_it.py::test_leaves_a_thread",
    "*request   POST /v1/messages",
    "*do        join the thread, or shut its pool down, before the test returns",
]


@pytest.mark.parametrize("following", ["claude_latency", "request"], ids=["a latency test", "another test"])
@pytest.mark.parametrize("leave", ["thread", "job", "queued_job", "loop"])
def test_its_request_is_blocked_and_reported(suite: Suite, leave: str, following: str) -> None:
    suite.write(LEAVING.replace("LEAVE", leave).replace("NEXT", following))

    for run in (suite.record, suite.replay):
        result = run()

        result.assert_outcomes(passed=2)
        assert suite.saved_result == "Failed"
        result.stdout.fnmatch_lines(TOLD)
        result.stdout.no_fnmatch_line("*a-secret*")
        assert [request.json["messages"][0]["content"] for request in suite.server.requests] == (
            ["hi", "mine"] if following == "claude_latency" else ["hi"]
        )


def test_a_thread_that_asks_when_all_tests_are_over_is_blocked_too(suite: Suite) -> None:
    suite.write(LEAVING[: LEAVING.index("def test_next")].replace("LEAVE", "thread"))
    (suite.path / "conftest.py").write_text(
        """
import pytest


@pytest.fixture(scope="session", autouse=True)
def last():
    yield
    import test_it

    test_it.gate.release()
    assert test_it.over.wait()
"""
    )

    for run in (suite.record, suite.replay):
        result = run()

        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(TOLD)
    assert len(suite.server.log) == 1


def test_what_was_sent_in_time_belongs_to_the_test_and_is_closed_with_it(suite: Suite) -> None:
    suite.server.answers(lambda request: text("one|two", gaps=["5ms", "300ms"]))
    suite.write(
        """
import threading

begun = threading.Event()
threads = []


def reader():
    with anthropic.Anthropic().messages.create(
        model="m", max_tokens=9, messages=messages("hi"), stream=True
    ) as answer:
        for event in answer:
            begun.set()


def test_leaves_a_reader(claude_latency):
    threads.append(threading.Thread(target=reader))
    threads[0].start()
    begun.wait()


def test_next():
    threads[0].join()
"""
    )

    for run in (suite.record, suite.replay):
        run().assert_outcomes(passed=2)

        (call,) = suite.calls("test_leaves_a_reader")
        assert call["closed"] == "client"

"""Ordinary tests that run after latency tests, in one process with the state of one application."""

from __future__ import annotations

import pytest

from tests.plugin.suite import Suite

STATE = """
import asyncio, datetime, threading, uuid

NEXT, SEEN = [0.0], []
LOOP = asyncio.new_event_loop()


@pytest.fixture(autouse=True)
def forgotten(request):  # a test that records reads the machine's date: servers check it
    if request.config.getoption("latency_mode") == "record":
        SEEN.clear()


def limited():
    wait = NEXT[0] - time.monotonic()
    if wait > 0:
        time.sleep(wait)
    NEXT[0] = time.monotonic() + 3600


def look():
    now = (
        time.monotonic(), time.perf_counter(), time.time(), LOOP.time(), uuid.uuid1().time,
        time.clock_gettime(time.CLOCK_MONOTONIC), datetime.datetime.now(),
    )
    assert not SEEN or all(before <= reading for before, reading in zip(SEEN[-1], now))
    SEEN.append(now)
"""


def test_an_ordinary_test_neither_waits_nor_sees_time_go_back(suite: Suite) -> None:
    suite.write(
        STATE
        + """
@pytest.mark.latency_budget(calls=1)
def test_1():
    look()
    ask()
    look()


def limit_twice():
    limited()
    limited()
    look()


@pytest.mark.latency_budget(calls=1)
def test_2(request):
    ask()
    if request.config.getoption("latency_mode") != "record":
        limit_twice()


def test_3():
    look()
    before = time.perf_counter()
    time.sleep(max(0, NEXT[0] - 3600 - time.monotonic()))
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert time.perf_counter() - before < 60


@pytest.mark.latency_budget(calls=1)
def test_4():
    look()
    ask()
    look()
"""
    )
    suite.record().assert_outcomes(passed=4)

    suite.replay().assert_outcomes(passed=4)


def test_dates_that_a_library_sets_are_those_of_the_prompt(suite: Suite) -> None:
    pytest.importorskip("time_machine")
    pytest.importorskip("freezegun")
    suite.write(
        """
import datetime
import freezegun, time_machine


def dated():
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    ask(f"Today is {today}. What is due?")
    assert datetime.date.today().isoformat() == today == "2020-01-01"
    return time.time()


@pytest.mark.latency_budget(calls=1)
@time_machine.travel("2020-01-01T00:00:00Z")
def test_travel():
    dated()


@pytest.mark.latency_budget(calls=1)
def test_a_travel_that_stands_still():
    with time_machine.travel("2020-01-01T00:00:00Z", tick=False):
        assert dated() == 1577836800.0


@pytest.mark.latency_budget(calls=1)
@freezegun.freeze_time("2020-01-01")
def test_freeze():
    assert dated() == 1577836800.0


@pytest.mark.latency_budget(calls=1)
def test_freeze_that_ticks():
    with freezegun.freeze_time("2020-01-01", tick=True):
        dated()


def test_ordinary():
    with time_machine.travel("2020-01-01T00:00:00Z", tick=False):
        assert time.time() == 1577836800.0
"""
    )
    suite.record().assert_outcomes(passed=5)

    suite.replay().assert_outcomes(passed=5)


@pytest.mark.parametrize(
    "order", [("time_machine", "pytest_claude_latency.plugin"), ("pytest_claude_latency.plugin", "time_machine")]
)
def test_a_suite_without_a_latency_test_travels_whatever_is_loaded_first(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, order: tuple[str, str]
) -> None:
    pytest.importorskip("time_machine")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(
        """
import datetime
import time_machine


def test_travel():
    with time_machine.travel("2020-01-01T00:00:00Z", tick=False):
        assert datetime.datetime.now(datetime.UTC).year == 2020
"""
    )
    first, second = order

    # In a process of its own: a crash takes it along.
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", first, "-p", second)

    result.assert_outcomes(passed=1)

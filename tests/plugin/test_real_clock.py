"""`--latency-clock=real`: a replay waits for real, and measures about what was recorded."""

from __future__ import annotations

import pytest

from pytest_claude_latency.cassettes.mismatch import NOTHING_FITS
from tests.plugin.suite import Suite
from tests.support.claude_messages import text

PROGRAM = """
@pytest.mark.latency_budget(total="9s", elapsed="9s")
def test_it(claude_latency):
    began = time.monotonic()
    stream("one")
    time.sleep(0.1)
    asyncio.run(both())
    save_result(time.monotonic() - began)


async def both():
    await asyncio.gather(aask("two"), astream("three"), asyncio.sleep(0.1))
"""


@pytest.fixture
def recorded(suite: Suite) -> Suite:
    suite.write(PROGRAM)
    suite.server.answers(lambda request: text("Hello wor|ld", ttfb="60ms", gaps=["60ms", "60ms"]))
    suite.once(suite.record).assert_outcomes(passed=1)
    return suite


def test_recorded_waits_take_real_time(recorded: Suite) -> None:
    virtual = recorded.replay()
    in_virtual_time = recorded.report, recorded.saved_result

    real = recorded.replay("--latency-clock=real")

    virtual.assert_outcomes(passed=1)
    real.assert_outcomes(passed=1)
    assert recorded.report["clock"] == "real"
    assert (
        0.46 <= in_virtual_time[1] <= recorded.saved_result < in_virtual_time[1] + 9
    )  # 180 ms, a sleep, two answers at once
    for slow, exact in zip(recorded.calls("test_it"), in_virtual_time[0]["tests"][0]["calls"], strict=True):
        for metric in ("ttfb", "total"):
            assert exact[metric] - 0.001 <= slow[metric] < exact[metric] + 9
    real.stdout.fnmatch_lines(["claude latency: mode replay, clock real", "*(replay, real clock)"])


def test_the_ini_file_can_choose_the_real_clock(recorded: Suite) -> None:
    recorded.ini("latency_clock = real")

    recorded.replay().assert_outcomes(passed=1)
    chosen_by_ini = recorded.report["clock"]
    recorded.replay("--latency-clock=virtual").assert_outcomes(passed=1)

    assert (chosen_by_ini, recorded.report["clock"]) == ("real", "virtual")


def test_time_outs_and_back_offs_are_real_too(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_budget(attempts=2)
def test_times_out():
    client = anthropic.Anthropic(timeout=0.2, max_retries=1)
    began = time.monotonic.machine()
    assert ask(client=client) == "Hello world"
    save_result(time.monotonic.machine() - began)
"""
    )
    suite.server.answer(text("Hello world", ttfb="9s"), text("Hello world"))
    suite.record("--latency-budget").assert_outcomes(passed=1)

    suite.replay("--latency-clock=real").assert_outcomes(passed=1)

    (call,) = suite.calls("test_times_out")
    assert call["attempts"] == 2
    assert 0.5 <= call["total"] <= suite.saved_result < 9


def test_a_miss_in_real_time_fails_at_once(recorded: Suite) -> None:
    recorded.write(PROGRAM.replace('stream("one")', 'stream("other")'))

    result = recorded.replay("--latency-clock=real")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([NOTHING_FITS.format(request="POST /v1/messages")])
    assert result.duration < 9

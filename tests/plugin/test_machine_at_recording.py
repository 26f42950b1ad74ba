"""What a recording contains of the machine: a cold SDK is warmed before, and a stall is told when it was made."""

from __future__ import annotations

import sys

import pytest

from pytest_claude_latency.http import sdk_warmup
from tests.plugin.suite import Suite


@pytest.fixture
def warmups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Gets an entry whenever a run warms the SDK."""
    made: list[str] = []
    monkeypatch.setattr(sdk_warmup, "warm_up_sdk", lambda: made.append("warm-up"))
    return made


TWO_TESTS = """
@pytest.fixture(scope="module")
def answer():
    return ask("of the fixture")


@pytest.mark.latency_budget(elapsed="60s")
def test_one(answer):
    ask("one")


@pytest.mark.latency_budget(elapsed="60s")
def test_two():
    ask("two")


def test_without_claude():
    pass
"""


def test_the_sdk_is_warmed_once_and_only_when_a_test_is_about_to_call_the_api(suite: Suite, warmups: list[str]) -> None:
    suite.write(TWO_TESTS)

    suite.record("-k", "without_claude").assert_outcomes(passed=1, deselected=2)
    assert warmups == []
    suite.record().assert_outcomes(passed=3)
    assert warmups == ["warm-up"]
    suite.replay().assert_outcomes(passed=3)
    suite.record(mode="record-missing").assert_outcomes(passed=3)
    assert warmups == ["warm-up"]
    (suite.path / "cassettes/test_it/@module.answer.jsonl").unlink()
    suite.record(mode="record-missing").assert_outcomes(passed=3)
    assert warmups == ["warm-up"] * 2
    suite.record(mode="live").assert_outcomes(passed=3)
    assert warmups == ["warm-up"] * 3


@pytest.mark.slow
def test_what_the_first_answer_needs_is_there_before_it_is_measured(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.write(
        """
import sys

@pytest.mark.latency_budget(elapsed="60s")
def test_it():
    assert {"anthropic.lib.streaming", "anthropic.types.beta", "anyio._backends._asyncio"} <= sys.modules.keys()
    stream()
"""
    )
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-for-tests")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", suite.server.url)

    result = suite.pytester.runpytest_subprocess("-p", "no:cacheprovider", "--latency-mode=record")

    result.assert_outcomes(passed=1)
    assert len(suite.server.requests) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="a process is stopped by a signal")
@pytest.mark.parametrize(("mode", "advice"), [("record", "record it again"), ("live", "run it again")])
def test_a_machine_that_stalls_while_a_test_calls_the_api_is_told_at_once(suite: Suite, mode: str, advice: str) -> None:
    suite.write(
        """
import os, subprocess

@pytest.mark.latency_budget(elapsed="60s")
def test_it():
    ask("before")
    stop = f"kill -STOP {os.getpid()}; sleep 0.6; kill -CONT {os.getpid()}"
    subprocess.run(["sh", "-c", stop], check=True)
    ask("after")
"""
    )

    result = suite.record("--latency-budget", mode=mode)

    result.assert_outcomes(passed=1)
    output = " ".join(result.stdout.str().split())
    assert "test_it.py::test_it: the machine stalled for " in output
    assert advice in output


def test_what_sdks_ask_about_the_machine_is_answered_before_the_test(suite: Suite) -> None:
    suite.write(
        """
import platform, subprocess

platform._platform_cache.clear()
platform._uname_cache = None


@pytest.mark.latency_answers("Yes.", ttft="1s", tokens_per_second=10)
@pytest.mark.latency_budget(elapsed="60s")
def test_it(monkeypatch):
    started = []
    monkeypatch.setattr(subprocess, "check_output", lambda *args, **kwargs: started.append(args))
    platform.platform()
    assert started == []
    ask()
"""
    )

    suite.replay().assert_outcomes(passed=1)

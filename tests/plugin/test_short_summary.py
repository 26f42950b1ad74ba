"""The short summary, JUnit's messages and `--tb=line` say what happened to a test, and not a class of exception."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.plugin.suite import Suite

SLOW = """
import os


@pytest.mark.latency_budget(ttft="1ms")
def test_marker():
    stream()


@pytest.mark.latency_budget(total="1h")
def test_block(claude_latency):
    with claude_latency.budget(ttft="1ms"):
        stream()


@pytest.mark.latency_budget(total="1h")
def test_group(claude_latency):
    try:
        with claude_latency.budget(ttft="1ms"):
            stream()
    except AssertionError as error:
        raise BaseExceptionGroup("unhandled errors in a TaskGroup", [error])


@pytest.mark.latency_budget(total="1h")
def test_changed():
    ask(os.environ.get("PROMPT", "hi"))


@pytest.mark.latency_budget(total="1h")
def test_own():
    ask()
    assert "PROMPT" not in os.environ, "of its own"
"""
LINES = [
    "FAILED test_it.py::test_marker - ttft was *ms, *ms over the budget of 1ms",
    "FAILED test_it.py::test_block - ttft was *ms, *ms over the budget of 1ms",
    "FAILED test_it.py::test_group - ttft was *ms, *ms over the budget of 1ms",
    "FAILED test_it.py::test_changed - no recorded answer fits this POST /v1/messages",
    "FAILED test_it.py::test_own - AssertionError: of its own",
]


@pytest.mark.parametrize(
    "workers", [pytest.param([], id="alone"), pytest.param(["-n", "1"], id="one worker", marks=pytest.mark.slow)]
)
def test_the_short_summary_says_the_verdict(suite: Suite, monkeypatch: pytest.MonkeyPatch, workers: list[str]) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    suite.write(SLOW)
    suite.record()
    monkeypatch.setenv("PROMPT", "a new one")

    result = suite.replay("--latency-budget", "--junitxml=junit.xml", *workers)

    result.stdout.fnmatch_lines_random(LINES)
    cases = ElementTree.parse(suite.path / "junit.xml").getroot().iter("testcase")
    told = {case.attrib["name"]: failure.attrib["message"] for case in cases for failure in case.iter("failure")}
    assert told["test_block"].startswith("ttft was ")
    assert told["test_changed"].startswith("no recorded answer fits")


def test_a_broken_percentile_is_summed_up_as_its_verdict(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    suite.write('@pytest.mark.latency_budget(ttft={"p50": "1ms"})\ndef test_it(): stream()')
    suite.record("--latency-samples=5")

    result = suite.replay("--latency-budget", "--tb=line")

    result.stdout.fnmatch_lines(["*test_it.py:*: ttft p50 was *"])
    result.stdout.fnmatch_lines(["FAILED test_it.py::test_it::latency* - ttft p50 was *, * over the budget of 1ms"])

"""Other plugins' reports: JUnit's XML holds scalars, and a rerun starts measuring anew."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.plugin.suite import Suite
from tests.support.claude_messages import text

pytestmark = pytest.mark.usefixtures("with_reruns")

FLAKY = """
import os, pathlib


@pytest.mark.latency_budget(total="3s")
def test_flaky():
    runs = pathlib.Path("runs.txt")
    before = len(runs.read_text()) if runs.exists() else 0
    runs.write_text("x" * (before + 1))
    stream()
    if "FAILS" in os.environ:
        assert before % 2 == 1
"""


def _cases(suite: Suite) -> dict[str, ElementTree.Element]:
    root = ElementTree.parse(suite.path / "junit.xml").getroot()
    return {case.attrib["name"]: case for case in root.iter("testcase")}


def _properties(case: ElementTree.Element) -> list[tuple[str, str]]:
    return [(item.attrib["name"], item.attrib["value"]) for item in case.iter("property")]


TWO = """
@pytest.mark.latency_budget(ttft="1ms")
def test_slow(record_property):
    record_property("mine", "kept")
    stream()
    ask()


@pytest.mark.latency_budget(ttft="1s")
def test_prompt():
    stream()


def test_other():
    pass
"""


@pytest.mark.parametrize(
    "workers",
    [pytest.param([], id="alone"), pytest.param(["-n", "1"], id="one worker", marks=pytest.mark.slow)],
)
def test_junit_gets_scalars_and_broken_budgets_as_failures(suite: Suite, workers: list[str]) -> None:
    suite.write(TWO)
    suite.record()

    suite.replay("--junitxml=junit.xml", *workers)

    cases = _cases(suite)
    properties = dict(_properties(cases["test_slow"]))
    calls = suite.calls("test_slow")
    assert len(properties) == len(_properties(cases["test_slow"]))
    assert properties.pop("mine") == "kept"
    assert {name: float(value) for name, value in properties.items()} == {
        "latency.ttft": max(call["ttft"] for call in calls),
        "latency.total": max(call["total"] for call in calls),
        "latency.elapsed": suite.test("test_slow")["elapsed"],
        "latency.calls": 2,
    }
    (failure,) = cases["test_slow"].iter("failure")
    assert failure.attrib["message"].startswith("ttft was")
    assert not list(cases["test_prompt"].iter("failure"))
    assert _properties(cases["test_other"]) == []


def test_a_rerun_replaces_the_measurements(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.write(FLAKY)
    suite.record()
    (suite.path / "runs.txt").unlink()
    monkeypatch.setenv("FAILS", "1")

    result = suite.replay("--reruns=2", "--junitxml=junit.xml")

    result.assert_outcomes(passed=1)
    assert "1 rerun" in result.stdout.str()
    assert len(suite.calls("test_flaky")) == 1
    assert suite.test("test_flaky")["outcome"] == "passed"
    names = [name for name, _ in _properties(_cases(suite)["test_flaky"])]
    assert names == ["latency.ttft", "latency.total", "latency.elapsed", "latency.calls"]


def test_a_rerun_that_passes_is_recorded(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.write(FLAKY)
    suite.server.answer(text("first"), text("second"))
    monkeypatch.setenv("FAILS", "1")

    suite.record("--reruns=1").assert_outcomes(passed=1)

    (recording,) = suite.recordings()
    assert "second" in (suite.path / recording).read_text()
    assert "first" not in (suite.path / recording).read_text()


def test_a_rerun_that_fails_for_good_leaves_no_recording(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.write(FLAKY.replace("assert before % 2 == 1", "assert False"))
    monkeypatch.setenv("FAILS", "1")

    suite.record("--reruns=1").assert_outcomes(failed=1)

    assert suite.recordings() == []


@pytest.mark.parametrize("marked", [False, True], ids=["the option", "the marker"])
def test_reruns_of_live_budgets_give_a_warning(suite: Suite, marked: bool) -> None:
    mark = "@pytest.mark.flaky(reruns=1)\n" if marked else ""
    suite.write(f"\n{mark}@pytest.mark.latency_budget(ttft='2ms')\ndef test_it():\n    stream()\n")

    result = suite.record("--latency-budget", *([] if marked else ["--reruns=1"]), mode="live")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["warning: reruns measured broken budgets again, which chance may have let pass:", "*test_it.py::test_it"]
    )


def test_reruns_of_other_failures_give_no_warning(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.write(FLAKY)
    monkeypatch.setenv("FAILS", "1")

    result = suite.record("--latency-budget", "--reruns=1", mode="live")

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*warning: *reruns*")


def test_reruns_of_a_replay_give_no_warning(suite: Suite) -> None:
    suite.write(TWO)
    suite.record()

    result = suite.replay("--reruns=1")

    result.stdout.no_fnmatch_line("*warning: *reruns*")
    assert len(suite.calls("test_slow")) == 2

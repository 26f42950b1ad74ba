"""Record once, then replay: what the plugin is for."""

from __future__ import annotations

import pytest

from pytest_claude_latency.report.table import SOME_NOT_JUDGED
from tests.plugin.suite import Suite, whole_lines
from tests.support.claude_messages import text

STREAMED = """
@pytest.mark.latency_budget(ttft="800ms", total="3s")
def test_stream():
    assert stream() == "Hello world"
"""


def test_a_recorded_test_replays_without_key_or_network(suite: Suite) -> None:
    suite.write(STREAMED)
    suite.server.answer(text("Hello wor|ld", ttfb="40ms", gaps=["10ms", "30ms"]))

    recorded = suite.record()
    suite.server.close()
    replayed = suite.replay()

    recorded.assert_outcomes(passed=1)
    replayed.assert_outcomes(passed=1)
    assert suite.recordings() == ["cassettes/test_it/test_stream.1.jsonl"]


def test_a_replay_measures_what_the_server_did(suite: Suite) -> None:
    suite.write(STREAMED)
    suite.server.answer(text("Hello wor|ld", ttfb="40ms", gaps=["10ms", "30ms"]))
    suite.record()
    (served,) = suite.server.log

    suite.replay()

    (call,) = suite.calls("test_stream")
    first, last = served.writes[0].at, served.writes[-1].at
    assert call["ttfb"] * 1e9 >= 40e6
    assert call["ttft"] * 1e9 >= first
    assert call["total"] * 1e9 >= last
    assert call["streamed"] is True


def test_replays_report_the_same_bytes_every_time(suite: Suite) -> None:
    suite.write(STREAMED)
    suite.server.answer(text("Hello wor|ld", ttfb="20ms", gaps=["10ms", "30ms"]))
    suite.record()

    suite.replay()
    first = (suite.path / "report.json").read_bytes()
    suite.replay()
    second = (suite.path / "report.json").read_bytes()

    assert first == second


def test_a_broken_budget_fails_its_test_with_budget_measurement_and_evidence(suite: Suite) -> None:
    suite.write(STREAMED.replace("800ms", "5ms"))
    suite.server.answer(text("Hello wor|ld", ttfb="20ms", gaps=["10ms", "30ms"]))
    suite.record()

    result = suite.replay()

    result.assert_outcomes(failed=1)
    whole_lines(result).fnmatch_lines(
        [
            "ttft was *ms, *ms over the budget of 5ms",
            "  budget    ttft<5ms *@latency_budget on test_it.py::test_stream",
            "  measured  *ms *call 1 of 1, claude-haiku-4-5, streamed",
            "  timeline  sent 0ms · headers *ms · first token *ms · end *ms",
            "  recording cassettes/test_it/test_stream.1.jsonl",
        ]
    )
    result.stdout.no_fnmatch_line("*site-packages*")


def test_without_the_switch_tests_replay_but_budgets_are_not_judged(suite: Suite) -> None:
    suite.write(STREAMED.replace("800ms", "5ms"))
    suite.server.answer(text("Hello wor|ld", ttfb="20ms", gaps=["10ms", "30ms"]))
    suite.record()

    result = suite.run()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([SOME_NOT_JUDGED.format(number=2)])


@pytest.mark.parametrize("expression", ["ask()", "stream()", "asyncio.run(aask())", "asyncio.run(astream())"])
def test_every_way_to_call_is_measured(suite: Suite, expression: str) -> None:
    suite.write(f"def test_it(claude_latency):\n    {expression}\n    assert len(claude_latency.calls) == 1\n")
    suite.record()

    result = suite.replay()

    result.assert_outcomes(passed=1)
    assert suite.calls("test_it")[0]["streamed"] is ("stream" in expression)

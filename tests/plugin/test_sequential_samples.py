"""`--latency-samples=auto:N`: samples until the limits of a test are settled."""

from __future__ import annotations

import pytest

from tests.plugin.suite import Suite
from tests.support.claude_messages import text

MEDIAN = """
@pytest.mark.latency_budget(ttft={"p50": "60s"})
def test_it():
    stream()
"""
NAME = "test_it.py::test_it::latency[ttft p50]"


def live(suite: Suite, samples: str, *args: str) -> pytest.RunResult:
    return suite.record("--latency-budget", f"--latency-samples={samples}", *args, mode="live")


def test_samples_after_the_verdict_are_skipped_and_cost_nothing(suite: Suite) -> None:
    suite.write(MEDIAN)

    result = live(suite, "auto:20", "--latency-strict", "-rs")

    result.assert_outcomes(passed=6, skipped=14)
    assert result.ret == 0
    assert len([request for request in suite.server.requests if request.method == "POST"]) == 6
    assert suite.report["verdicts"][0]["verdict"] == "kept"
    result.stdout.fnmatch_lines(
        [
            "claude latency: mode live, at most 20 samples of 1 test: *",
            "  test_it (6 samples) *kept",
            "SKIPPED [[]14[]] test_it.py*: settled after 6 samples",
        ]
    )


def test_a_broken_promise_is_shown_as_soon_as_it_is_certain(suite: Suite) -> None:
    suite.write(MEDIAN.replace("60s", "1us"))

    result = live(suite, "auto:20")

    result.assert_outcomes(passed=6, skipped=14, failed=1)
    assert suite.report["verdicts"][0]["verdict"] == "broken"


def test_all_samples_run_where_they_settle_nothing(suite: Suite) -> None:
    suite.write(MEDIAN.replace("60s", "50ms"))
    suite.server.answer(*(text("Hello", ttfb=f"{delay}ms") for delay in (1, 150) * 3))

    result = live(suite, "auto:6")

    result.assert_outcomes(passed=6)
    assert suite.report["verdicts"][0]["verdict"] == "inconclusive"


def test_each_test_is_settled_by_its_own_samples_and_every_percentile_counts(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_budget(ttft={"p50": "60s", "p60": "60s"})
def test_it():
    stream()


def test_plain():
    pass


@pytest.mark.latency_budget(total="60s")
def test_always():
    ask()


@pytest.mark.latency_budget(total="1us")
def test_never():
    ask()
"""
    )

    result = live(suite, "auto:12", "-rs")

    # the median alone would be settled earlier; a limit on every sample only by one that breaks it
    result.assert_outcomes(passed=7 + 12 + 1, skipped=5 + 11, failed=1)
    result.stdout.fnmatch_lines(["*settled after 7 samples*", "*settled after 1 sample"])


def test_no_further_sample_is_taken_of_a_test_that_fails_by_itself(suite: Suite) -> None:
    suite.write(MEDIAN + "    assert False\n")

    result = live(suite, "auto:9", "-rs")

    result.assert_outcomes(failed=1, skipped=8)
    result.stdout.fnmatch_lines(["*not judged any more: a sample among the first 1 ended before it was done*"])


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--latency-mode=replay", "--latency-budget"), "needs --latency-mode=live"),
        (("--latency-mode=record", "--latency-budget"), "needs --latency-mode=live"),
        (("--latency-mode=live",), "needs --latency-budget"),
        (("--latency-mode=live", "--latency-budget", "-n2"), "needs one process"),
        (("--latency-mode=live", "--latency-budget", "--latency-ab"), "does not go with --latency-ab"),
        (("--latency-mode=live", "--latency-budget", "--latency-save=x"), "does not go with --latency-save"),
        (("--latency-mode=live", "--latency-budget", "--latency-variants"), "does not go with --latency-variants"),
    ],
)
def test_where_nothing_could_be_settled_it_is_a_usage_error(suite: Suite, args: tuple[str, ...], why: str) -> None:
    suite.write(MEDIAN)

    result = suite.run("--latency-samples=auto:20", *args, report=None)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--latency-samples=auto:20 {why}*"])


@pytest.mark.parametrize("value", ["auto:", "auto:0", "auto:10001", "auto", "AUTO:5"])
def test_a_number_that_is_none_is_a_usage_error_that_says_what_is_accepted(suite: Suite, value: str) -> None:
    result = suite.run(f"--latency-samples={value}", report=None)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["  accepted  a whole number, at least 1, or auto:N with N up to 10000*"])


def test_an_ini_file_that_asks_for_it_leaves_replays_alone(suite: Suite) -> None:
    suite.ini("latency_samples = auto:20")
    suite.write(MEDIAN)
    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)
    live_run = suite.record("--latency-budget", mode="live")

    live_run.assert_outcomes(passed=6, skipped=14)


def test_a_number_that_can_never_settle_a_percentile_is_said_before_anything_is_sent(suite: Suite) -> None:
    suite.write(MEDIAN.replace("p50", "p95"))

    result = live(suite, "auto:6")

    result.stdout.fnmatch_lines(["*6 samples can never show that ttft.p95<60s holds: p95 needs 59*"])

"""Percentile budgets: judged over all samples of a test, when the run is at its end."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from pytest_claude_latency.budgets.judgement import NO_CALL
from pytest_claude_latency.report.table import ONE_NOT_JUDGED
from pytest_claude_latency.results.verdict import INCOMPLETE, NOT_JUDGED
from pytest_claude_latency.run.messages import INTERRUPTED
from tests.plugin.suite import Suite
from tests.support.claude_messages import text

TEST = """
@pytest.mark.latency_budget(ttft={"p50": "60s"})
def test_it():
    stream()

def test_other():
    pass
"""
NAME = "test_it.py::test_it::latency[ttft p50]"


@pytest.fixture
def ten(suite: Suite) -> Suite:
    """A suite whose one latency test has ten recorded samples, whose first tokens came after 10 ms to 100 ms."""
    suite.write(TEST)
    suite.server.answer(*(text("Hello wor|ld", ttfb=f"{delay}ms") for delay in range(10, 110, 10)))
    suite.once(suite.record, "--latency-samples=10").assert_outcomes(passed=11)
    return suite


def promise(suite: Suite, limits: str) -> None:
    suite.write(TEST.replace('ttft={"p50": "60s"}', limits))


def verdicts(suite: Suite) -> dict[str, str]:
    return {verdict["name"]: verdict["verdict"] for verdict in suite.report["verdicts"]}


# ── the three verdicts ──


def test_a_percentile_that_enough_samples_keep_is_kept(ten: Suite) -> None:
    result = ten.replay()

    result.assert_outcomes(passed=11)
    assert verdicts(ten) == {NAME: "kept"}
    result.stdout.fnmatch_lines(
        [
            "  test_it (10 samples) *kept",
            "    ttft p50 was *, within the budget of 60s (0 of 10 over 60s)",
            "1 test, 10 calls, 1 budget: 1 kept (replay, virtual clock)",
        ]
    )


def test_a_percentile_that_samples_refute_is_a_failure_with_a_name(ten: Suite) -> None:
    promise(ten, 'ttft={"p50": "5ms"}')

    result = ten.replay()

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=11, failed=1)
    assert verdicts(ten) == {NAME: "broken"}
    result.stdout.fnmatch_lines(
        [
            "*_ test_it::latency[[]ttft p50[]] _*",
            "ttft p50 was *, * over the budget of 5ms",
            "  budget    ttft.p50<5ms *@latency_budget on test_it.py::test_it",
            "  measured  *10 of 10 samples over 5ms",
            "  test_it (10 samples) *broken",
            f"FAILED {NAME.replace('[', '[[]')} - ttft p50 was *",
        ]
    )
    result.stdout.no_fnmatch_line("*site-packages*")
    result.stdout.no_fnmatch_line("*ending.py*")


def test_what_samples_cannot_settle_is_a_warning_that_says_how_many_would(ten: Suite) -> None:
    promise(ten, 'ttft={"p95": "60s"}')

    result = ten.replay()

    result.assert_outcomes(passed=11)
    assert verdicts(ten) == {"test_it.py::test_it::latency[ttft p95]": "inconclusive"}
    result.stdout.fnmatch_lines(
        [
            "  test_it (10 samples) *inconclusive",
            "warning: test_it.py::test_it: 0 of 10 over 60s: p95 needs 59 samples; 49 more",
        ]
    )


def test_what_samples_cannot_settle_fails_a_strict_run(ten: Suite) -> None:
    promise(ten, 'ttft={"p95": "60s"}')

    result = ten.replay("--latency-strict")

    result.assert_outcomes(passed=11, failed=1)
    result.stdout.fnmatch_lines(["0 of 10 over 60s: p95 needs 59 samples; 49 more", "*--latency-strict*"])


def test_the_measured_percentile_is_a_sample_of_the_report(ten: Suite) -> None:
    ten.replay()

    (verdict,) = ten.report["verdicts"]
    readings = sorted(test["calls"][0]["ttft"] for test in ten.report["tests"])
    assert verdict["measured"] == readings[4]
    assert (verdict["nodeid"], verdict["metric"], verdict["statistic"]) == ("test_it.py::test_it", "ttft", "p50")
    assert (verdict["limit"], verdict["over"], verdict["samples"]) == (60.0, 0, 10)


def test_a_sample_gives_its_worst_call(suite: Suite) -> None:
    suite.write("@pytest.mark.latency_budget(ttft={'p50': '40ms'})\ndef test_it():\n    stream()\n    stream()\n")
    suite.server.answer(*(text("Hello wor|ld", ttfb=delay) for _ in range(5) for delay in ("1ms", "60ms")))
    suite.record("--latency-samples=5")

    suite.replay()

    (verdict,) = suite.report["verdicts"]
    assert (verdict["over"], verdict["samples"], verdict["verdict"]) == (5, 5, "broken")


def test_several_percentiles_are_judged_each_by_itself(ten: Suite) -> None:
    promise(ten, 'ttft={"p50": "5ms", "p95": "5ms"}, elapsed={"p50": "3s"}')

    result = ten.replay()

    result.assert_outcomes(passed=11, failed=2)
    assert verdicts(ten) == {
        "test_it.py::test_it::latency[ttft p50]": "broken",
        "test_it.py::test_it::latency[ttft p95]": "broken",
        "test_it.py::test_it::latency[elapsed p50]": "kept",
    }


def test_a_plain_limit_still_holds_for_every_sample(ten: Suite) -> None:
    promise(ten, 'ttft={"p50": "60s"}, total="85ms"')

    result = ten.replay()

    failed = result.parseoutcomes()["failed"]
    assert failed == sum(test["calls"][0]["total"] > 0.085 for test in ten.report["tests"]) > 0
    assert verdicts(ten) == {NAME: "kept"}  # a broken budget does not spoil what was measured


def test_percentiles_may_stand_on_the_command_line(ten: Suite) -> None:
    promise(ten, 'total="9s"')

    ten.replay("--latency-limits=ttft.p50<5ms").assert_outcomes(passed=11, failed=1)

    assert verdicts(ten) == {NAME: "broken"}


@pytest.mark.slow
def test_workers_judge_as_one_run(ten: Suite) -> None:
    promise(ten, 'ttft={"p50": "5ms"}')

    alone = ten.replay()
    report = ten.report
    spread = ten.replay("-n2")

    alone.assert_outcomes(passed=11, failed=1)
    spread.assert_outcomes(passed=11, failed=1)
    assert spread.ret == pytest.ExitCode.TESTS_FAILED
    assert ten.report == report


# ── where it is not judged ──


def test_without_the_switch_percentiles_are_counted_among_what_was_not_judged(ten: Suite) -> None:
    promise(ten, 'ttft={"p50": "5ms"}')

    result = ten.run()

    result.assert_outcomes(passed=11)
    result.stdout.fnmatch_lines([ONE_NOT_JUDGED])
    assert verdicts(ten) == {NAME: "not judged"}


def test_a_sample_that_failed_by_itself_leaves_the_percentile_open(ten: Suite) -> None:
    ten.write(
        TEST.replace(
            "def test_it():\n    stream()",
            "def test_it(request):\n    stream()\n    assert '-3]' not in request.node.name",
        )
    )

    result = ten.replay()

    result.assert_outcomes(passed=10, failed=1)
    assert verdicts(ten) == {NAME: "not judged"}
    reason = INCOMPLETE.format(incomplete=1, ran=10)
    result.stdout.fnmatch_lines([f"*{NOT_JUDGED.format(about='ttft p50', reason=reason)}"])


@pytest.mark.parametrize("stop", ["-x", "--maxfail=1"])
def test_what_an_interrupted_run_left_open_is_not_judged(ten: Suite, stop: str) -> None:
    ten.write(TEST.replace('"60s"', '"5ms"').replace("pass\n", "assert False\n"))

    result = ten.replay(stop)

    result.assert_outcomes(passed=10, failed=1)
    assert verdicts(ten) == {NAME: "not judged"}
    result.stdout.fnmatch_lines([f"*{NOT_JUDGED.format(about='ttft p50', reason=INTERRUPTED)}"])


def test_a_run_stopped_by_hand_judges_nothing_at_its_end(ten: Suite) -> None:
    ten.write(TEST.replace('"60s"', '"5ms"').replace("pass\n", "pytest.exit('enough')\n"))

    result = ten.replay()

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert verdicts(ten) == {NAME: "not judged"}


def test_the_first_verdict_may_be_the_last_failure_a_run_is_to_have(ten: Suite) -> None:
    promise(ten, 'ttft={"p50": "5ms"}, elapsed={"p50": "5ms"}')

    result = ten.replay("-x")

    result.assert_outcomes(passed=11, failed=1)
    assert verdicts(ten) == {NAME: "broken", "test_it.py::test_it::latency[elapsed p50]": "not judged"}
    result.stdout.fnmatch_lines(["*stopping after 1 failures*"])


def test_a_test_that_made_no_call_fails_although_it_has_percentiles_only(suite: Suite) -> None:
    suite.write("@pytest.mark.latency_budget(ttft={'p50': '1s'})\ndef test_it():\n    pass\n")

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{NO_CALL}*"])


def test_an_inherited_percentile_over_no_call_is_warned_of_and_fails_a_strict_run(suite: Suite) -> None:
    suite.write("pytestmark = pytest.mark.latency_budget(ttft={'p50': '1s'})\ndef test_it():\n    pass\n")

    warned, strict = suite.replay(), suite.replay("--latency-strict")

    warned.assert_outcomes(passed=1)
    warned.stdout.fnmatch_lines(["warning: test_it.py::test_it: ttft p50 has no value: no sample has one for ttft"])
    strict.assert_outcomes(passed=1, failed=1)


# ── proper outcomes ──


def test_junit_has_the_failure_and_its_measure(ten: Suite) -> None:
    promise(ten, 'ttft={"p50": "5ms"}')

    ten.replay("--junitxml=junit.xml")

    suites = ElementTree.parse(ten.path / "junit.xml").getroot()
    (found,) = [case for case in suites.iter("testcase") if "latency[" in case.get("name", "")]
    failure = found.find("failure")
    properties = {element.get("name"): element.get("value") for element in found.iter("property")}
    assert (found.get("classname"), found.get("name")) == ("test_it.test_it", "latency[ttft p50]")
    assert failure is not None
    assert failure.get("message", "").startswith("ttft p50 was ")
    assert float(properties["latency.ttft.p50"] or 0) == ten.report["verdicts"][0]["measured"]
    assert next(iter(suites)).get("failures") == "1"


@pytest.mark.parametrize("workers", [(), pytest.param(("-n2",), marks=pytest.mark.slow)])
def test_last_failed_reruns_the_samples_that_were_judged(ten: Suite, workers: tuple[str, ...]) -> None:
    promise(ten, 'ttft={"p50": "5ms"}')
    ten.pytester.runpytest("--latency-budget", *workers)

    again = ten.pytester.runpytest("--latency-budget", "--lf")

    again.assert_outcomes(passed=10, failed=1)
    again.stdout.fnmatch_lines(["run-last-failure: rerun previous 10 failures*"])


def test_last_failed_forgets_what_is_mended(ten: Suite) -> None:
    promise(ten, 'ttft={"p50": "5ms"}')
    ten.pytester.runpytest("--latency-budget")
    promise(ten, 'ttft={"p50": "60s"}')
    ten.pytester.runpytest("--latency-budget", "--lf").assert_outcomes(passed=10)

    again = ten.pytester.runpytest("--latency-budget", "--lf")

    again.assert_outcomes(passed=11)
    again.stdout.fnmatch_lines(["run-last-failure: no previously failed tests*"])


def test_the_verdict_stands_behind_parameters_and_class(suite: Suite) -> None:
    suite.write("""
class TestLabel:
    @pytest.mark.parametrize("language", ["en"])
    @pytest.mark.latency_budget(ttft={"p50": "1us"})
    def test_it(self, language):
        stream(language)
""")
    suite.record("--latency-samples=5")

    result = suite.replay()

    assert list(verdicts(suite)) == ["test_it.py::TestLabel::test_it[en]::latency[ttft p50]"]
    result.stdout.fnmatch_lines(["*_ TestLabel.test_it[[]en[]]::latency[[]ttft p50[]] _*"])


# ── said beforehand ──


def test_percentiles_that_so_many_samples_can_never_settle_are_said_at_collection(suite: Suite) -> None:
    suite.write(TEST.replace("p50", "p95"))

    few = suite.record("--latency-samples=10", "--collect-only")
    enough = suite.record("--latency-samples=59", "--collect-only")

    few.stdout.fnmatch_lines(
        [
            "claude latency: 10 samples can never show that ttft.p95<60s holds: p95 needs 59",
            "  (@latency_budget on test_it.py::test_it)",
        ]
    )
    enough.stdout.no_fnmatch_line("*can never show*")


def test_a_replay_that_judges_says_so_of_what_is_recorded(ten: Suite) -> None:
    promise(ten, 'ttft={"p95": "60s"}')

    ten.replay().stdout.fnmatch_lines(["*10 samples can never show that ttft.p95<60s holds: p95 needs 59*"])
    ten.run().stdout.no_fnmatch_line("*can never show*")


@pytest.mark.parametrize("form", ["md", "html"])
def test_report_files_show_the_verdict(ten: Suite, form: str) -> None:
    promise(ten, 'ttft={"p50": "5ms"}')

    ten.replay(f"--latency-report=report.{form}")

    content = (ten.path / f"report.{form}").read_text()
    assert "Over all samples" in content
    assert "over the budget of 5ms" in content


def test_a_percentile_of_many_parameters_is_said_once(suite: Suite) -> None:
    parametrized = '@pytest.mark.parametrize("ticket", range(3))\n' + TEST.lstrip().replace(
        "test_it()", "test_it(ticket)"
    )
    suite.write(parametrized.replace("p50", "p95"))

    result = suite.record("--latency-samples=10", "--collect-only")

    (said,) = (place for place, line in enumerate(result.outlines) if "can never show" in line)
    assert result.outlines[said + 1] == "  (@latency_budget on test_it.py::test_it[0] and 2 more)"

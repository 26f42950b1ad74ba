"""Under xdist: what workers measure, record and have to say reaches the same reports as without."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from pytest_claude_latency.cassettes.mismatch import NOTHING_RECORDED
from pytest_claude_latency.run.messages import STRAY
from tests.plugin.suite import Suite

MANY = """
@pytest.mark.latency_budget(ttft="800ms", total="3s")
@pytest.mark.parametrize("prompt", ["one", "two", "three"])
def test_stream(prompt):
    stream(prompt)


@pytest.mark.latency_budget(ttft="1ms")
def test_broken():
    ask()


@pytest.mark.latency_budget(elapsed="5s", calls=2)
class TestGroup(unittest.TestCase):
    def test_case(self):
        asyncio.run(aask())
        ask("again")


def test_no_latency():
    pass


@pytest.fixture(scope="module")
def warm():
    return ask("warm")


@pytest.mark.latency_budget(ttft="1s")
def test_warm(warm):
    stream("after")
"""


def _section(result: pytest.RunResult) -> list[str]:
    """What the run prints from the section on; failures stand before it, durations after it."""
    text = result.stdout.str()
    return re.split(r"=+ (?:short test summary info|\d+ failed)", text.split(" claude latency ")[1])[0].splitlines()[1:]


@pytest.mark.slow
def test_two_workers_report_the_same_bytes_as_none(suite: Suite) -> None:
    suite.write(MANY)
    suite.record()
    alone = suite.replay()
    report = (suite.path / "report.json").read_bytes()

    shared = suite.replay("-n", "2")

    alone.assert_outcomes(passed=6, failed=1)
    shared.assert_outcomes(passed=6, failed=1)
    assert (suite.path / "report.json").read_bytes() == report
    assert _section(shared) == _section(alone)
    assert len(_section(alone)) > 6


@pytest.mark.slow
def test_two_workers_record_what_one_does(suite: Suite) -> None:
    suite.write(MANY)
    suite.record()
    alone = suite.recordings()
    for name in alone:
        (suite.path / name).unlink()

    recorded = suite.record("-n", "2")

    assert suite.recordings() == alone
    recorded.stdout.fnmatch_lines(["warning: mode record under -n: workers load each other*"])
    suite.replay().assert_outcomes(passed=6, failed=1)


@pytest.mark.slow
def test_a_broken_marker_and_a_missing_recording_on_workers_are_shown(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_budget(tfft="1s")
def test_misspelt():
    ask()


@pytest.mark.latency_budget(ttft="1s")
def test_unrecorded():
    ask()
"""
    )

    result = suite.replay("-n", "2")

    result.assert_outcomes(errors=1, failed=1)
    result.stdout.fnmatch_lines_random(["*unknown metric*tfft*", NOTHING_RECORDED.format(request="*")])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--latency-limits=tfft<1s", "*tfft*"),
        ("--latency-cassettes=a/b", "*--latency-cassettes: 'a/b' is not understood*"),
        ("--latency-report=report.pdf", "*--latency-report*report.pdf*"),
        ("--latency-mode=rewind", "*--latency-mode*rewind*"),
    ],
)
def test_a_usage_error_is_one_under_xdist_too(suite: Suite, option: str, message: str) -> None:
    suite.write(MANY)

    result = suite.replay("-n", "2", option)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


@pytest.mark.slow
def test_a_worker_that_crashes_takes_only_its_own_test_with_it(suite: Suite) -> None:
    suite.write(
        """
import os


@pytest.mark.latency_budget(ttft="1s")
@pytest.mark.parametrize("number", range(4))
def test_stream(number):
    if number == 1 and os.path.exists("crash"):
        os._exit(3)
    stream(str(number))
"""
    )
    suite.record()
    (suite.path / "crash").touch()

    result = suite.replay("-n", "2")

    result.assert_outcomes(passed=3, failed=1)
    assert [test["outcome"] for test in suite.report["tests"]] == ["passed"] * 3


@pytest.mark.slow
def test_a_thread_that_outlives_its_test_is_reported_from_a_worker(suite: Suite) -> None:
    suite.write(
        """
import threading

gate = threading.Lock()
gate.acquire()
thread = threading.Thread(target=lambda: (gate.acquire(), ask("stray")), daemon=True)


def test_leaves_a_thread(claude_latency):
    ask()
    thread.start()


def test_meets_it():
    gate.release()
    thread.join()
"""
    )
    suite.record("-k", "test_leaves_a_thread")

    result = suite.replay("-n", "1")

    result.stdout.fnmatch_lines(["*" + STRAY + "*"])


@pytest.mark.slow
@pytest.mark.parametrize("options", [["-x"], ["--maxfail=1"], ["-x", "-n", "1"]], ids=" ".join)
def test_the_first_broken_budget_can_end_the_run(suite: Suite, options: list[str]) -> None:
    suite.write(
        """
@pytest.mark.latency_budget(ttft="1ms")
@pytest.mark.parametrize("number", range(3))
def test_broken(number):
    ask()
"""
    )
    suite.record()

    result = suite.replay(*options)

    assert result.parseoutcomes()["failed"] == 1
    assert result.ret in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)
    assert [test["outcome"] for test in suite.report["tests"]] == ["failed"]
    result.stdout.fnmatch_lines(["*1 broken*"])


@pytest.mark.slow
@pytest.mark.skipif(
    not (unshare := shutil.which("unshare")) or bool(subprocess.run([unshare, "-rn", "true"], check=False).returncode),
    reason="no namespace without a network can be made here",
)
def test_workers_replay_where_there_is_no_network_at_all(suite: Suite) -> None:
    suite.write(MANY)
    suite.record()
    # pytest-rerunfailures connects its workers over 127.0.0.1, which is down too
    options = ("--latency-budget", "-n", "2", "-p", "no:rerunfailures", "-p", "no:cacheprovider")

    result = suite.pytester.run("unshare", "-rn", sys.executable, "-m", "pytest", *options)

    result.assert_outcomes(passed=6, failed=1)
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


@pytest.mark.slow
def test_a_live_run_under_xdist_gives_a_warning(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    stream()\n")

    result = suite.record("-n", "1", mode="live")

    result.stdout.fnmatch_lines(["warning: mode live under -n: workers load each other*"])
    result.assert_outcomes(passed=1)
    assert suite.recordings() == []

"""`--latency-report`: where it is written, in which formats, and what happens where it cannot be."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.plugin.suite import Suite, whole_lines

TEST = "def test_it(claude_latency):\n    stream()\n"


@pytest.fixture
def recorded(suite: Suite) -> Suite:
    suite.write(TEST)
    suite.once(suite.record)
    return suite


def test_a_format_is_given_by_suffix_or_by_name(recorded: Suite) -> None:
    files = ["a.json", "b.html", "c.md", "markdown:d.txt", "json:e"]

    recorded.replay(*(f"--latency-report={file}" for file in files)).assert_outcomes(passed=1)

    texts = {name: (recorded.path / name).read_text(encoding="utf-8") for name in ("a.json", "b.html", "c.md", "d.txt")}
    assert json.loads(texts["a.json"])["schema"] == 1
    assert "<html" in texts["b.html"]
    assert texts["c.md"] == texts["d.txt"]
    assert "test_it.py::test_it" in texts["c.md"]
    assert (recorded.path / "e").read_text(encoding="utf-8") == texts["a.json"]


def test_a_report_is_written_where_pytest_was_started(recorded: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = recorded.path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    recorded.replay("--latency-report=made/for/it.json", "--rootdir=..", "../test_it.py").assert_outcomes(passed=1)

    assert (elsewhere / "made" / "for" / "it.json").exists()
    assert (elsewhere / "report.json").exists()
    assert not (recorded.path / "made").exists()


def test_a_test_that_changes_the_directory_does_not_move_the_report(suite: Suite) -> None:
    suite.write(
        """
import os


def test_it(claude_latency, tmp_path):
    os.chdir(tmp_path)
    stream()
"""
    )
    suite.record().assert_outcomes(passed=1)

    suite.replay("--latency-report=here.json").assert_outcomes(passed=1)

    assert (suite.path / "here.json").exists()


def test_a_report_that_cannot_be_written_is_an_error_and_the_others_are_written(recorded: Suite) -> None:
    (recorded.path / "file").write_text("")

    result = recorded.replay("--latency-report=file/report.json", "--latency-report=other.json")

    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    whole_lines(result).fnmatch_lines(["--latency-report: cannot write *file/report.json: *"])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert (recorded.path / "other.json").exists()


def test_a_report_that_cannot_be_written_leaves_the_last_one(recorded: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded.replay("--latency-report=kept.json")
    before = (recorded.path / "kept.json").read_bytes()
    (recorded.path / "test_it.py").write_text("def test_it(claude_latency):\n    pass\n")

    def full(self: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    result = recorded.replay("--latency-report=kept.json")

    whole_lines(result).fnmatch_lines(["--latency-report: cannot write *kept.json: No space left on device"])
    assert (recorded.path / "kept.json").read_bytes() == before
    assert not list(recorded.path.glob(".kept*"))


def test_a_run_without_latency_tests_reports_none(suite: Suite) -> None:
    suite.write("def test_it():\n    pass\n")

    suite.replay().assert_outcomes(passed=1)

    assert suite.report["tests"] == []


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("def test_it():\n    assert False\n", "1 other test failed"),
        ("import nothing_of_this_name\n", "1 file could not be collected"),
        ("def test_it():\n    pytest.exit('enough')\n", "the run was interrupted"),
        ("def test_it():\n    pytest.exit('enough', returncode=9)\n", "the run ended with status 9"),
    ],
)
def test_no_report_calls_a_run_good_that_failed(suite: Suite, source: str, verdict: str) -> None:
    suite.write(source)

    suite.replay("--latency-report=a.html", "--latency-report=a.md")

    assert suite.report["summary"]["verdict"] == f"no latency tests, {verdict}"
    assert suite.report["summary"]["fails"]
    assert "<title>Failed: Claude latency</title>" in (suite.path / "a.html").read_text("utf-8")
    assert f"## Claude latency: no latency tests, {verdict}" in (suite.path / "a.md").read_text("utf-8")


def test_a_run_that_asked_the_api_has_its_date_and_a_replay_has_none(suite: Suite) -> None:
    suite.write(TEST)
    suite.record()
    measured = suite.report

    suite.replay()

    assert datetime.now(UTC) - datetime.fromisoformat(measured["date"]) < timedelta(days=1)
    assert "date" not in suite.report


def test_every_test_has_its_row_whatever_became_of_it(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_budget(ttft="3s")
class TestAll:
    def test_passed(self):
        stream()

    def test_failed(self):
        assert False, stream()

    def test_skipped(self):
        stream()
        pytest.skip()

    @pytest.mark.xfail
    def test_xfailed(self):
        assert False, stream()

    @pytest.mark.xfail
    def test_xpassed(self):
        stream()

    def test_error(self, nothing_of_this_name):
        pass
"""
    )
    suite.record(mode="live")

    outcomes = {test["nodeid"].rpartition("_")[2]: test["outcome"] for test in suite.report["tests"]}

    assert outcomes == {name: name for name in ("passed", "failed", "skipped", "xfailed", "xpassed", "error")}


def test_a_broken_budget_is_an_annotation_in_github_actions(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.write('@pytest.mark.latency_budget(ttft="1ms")\ndef test_it():\n    stream()\n')
    suite.record()
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(suite.path))

    judged = suite.replay("--latency-budget")

    judged.stdout.fnmatch_lines(
        ["::error file=test_it.py,line=*,title=latency budget of test_it.py%3A%3Atest_it::ttft*"]
    )
    monkeypatch.setenv("GITHUB_ACTIONS", "")
    suite.replay("--latency-budget").stdout.no_fnmatch_line("::error*")


def test_a_miss_is_in_the_report_without_what_it_quotes(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    stream()\n")
    suite.record()
    suite.write("def test_it(claude_latency):\n    stream(prompt='the secret')\n")

    suite.replay("--latency-report=a.html", "--latency-report=a.md")
    suite.replay("--latency-report=b.md", "--latency-report-content")

    assert "the secret" not in suite.path.joinpath("a.html").read_text("utf-8")
    assert "no recorded answer fits" in suite.path.joinpath("a.html").read_text("utf-8")
    assert "the secret" not in suite.path.joinpath("a.md").read_text("utf-8")
    assert "the secret" in suite.path.joinpath("b.md").read_text("utf-8")


@pytest.mark.parametrize("content", [False, True])
def test_a_test_that_fails_by_itself_shows_where_and_quotes_only_if_asked(recorded: Suite, content: bool) -> None:
    recorded.write("def test_it(claude_latency):\n    assert stream() == 'a secret guess'\n")

    recorded.replay("--latency-report=a.html", *(["--latency-report-content"] if content else []))

    page = (recorded.path / "a.html").read_text("utf-8")
    (test,) = json.loads((recorded.path / "report.json").read_text("utf-8"))["tests"]
    assert test["outcome"] == "failed"
    assert ("a secret guess" in test["traceback"]) is content
    assert content or test["traceback"].splitlines() == ["test_it.py:6 in test_it", "AssertionError"]
    assert "test_it.py:6" in page
    assert ("a secret guess" in page) is content


@pytest.mark.slow
def test_pages_are_dated_by_the_machine_also_after_a_month_of_virtual_time(suite: Suite) -> None:
    pytest.importorskip("pytest_html")
    suite.write(
        "import time\nfrom pathlib import Path\n\n\ndef test_waits(claude_latency):\n    time.sleep(3_000_000)\n\n\n"
        "def test_is_ahead():\n    assert time.time() - Path('began').stat().st_mtime > 2_999_000\n"
    )
    (suite.path / "began").touch()

    # a process of its own: the clocks of this one would stay ahead for the tests that follow
    run = suite.pytester.runpytest_subprocess(
        "-p", "no:cacheprovider", "--html=theirs.html", "--latency-report=ours.html"
    )

    run.assert_outcomes(passed=2)
    today = datetime.fromtimestamp((suite.path / "theirs.html").stat().st_mtime).astimezone()
    days = [today - timedelta(days=1), today, today + timedelta(days=1)]
    theirs, ours = ((suite.path / name).read_text("utf-8") for name in ("theirs.html", "ours.html"))
    assert any(f"Report generated on {day:%d-%b-%Y}" in theirs for day in days)
    assert any(f"<dd>{day:%Y-%m-%d} " in ours for day in days)

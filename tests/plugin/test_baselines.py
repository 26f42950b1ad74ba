"""Saving a run as a baseline, and comparing a later one with it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pytest_claude_latency.baselines.verdicts import NEW, OTHER_KIND
from tests.plugin.suite import Suite, whole_lines
from tests.support.claude_messages import text

TWO = """
import threading


@pytest.mark.latency_budget(total="60s")
def test_two():
    {body}


def test_other(claude_latency):
    stream("three")
"""
TOGETHER = """
    threads = [threading.Thread(target=ask, args=[name]) for name in ("one", "two")]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""
IN_TURN = """
    ask("one")
    ask("two")
"""


@pytest.fixture
def saved_suite(suite: Suite) -> Suite:
    """A suite with a baseline `main` of two replayed tests."""
    suite.server.answers(lambda _request: text("Hello wor|ld", ttfb="40ms", gaps=["2ms", "3ms"]))
    suite.write(TWO.format(body=TOGETHER.strip()))
    suite.once(suite.record)
    suite.once(suite.replay, "--latency-save=main").assert_outcomes(passed=2)
    return suite


def baseline(suite: Suite, name: str = "main") -> Path:
    return suite.path / ".latency" / f"{name}.jsonl"


def saved_tests(suite: Suite) -> list[str]:
    return [fact["test"] for fact in map(json.loads, baseline(suite).read_text().splitlines()) if "test" in fact]


def verdicts(suite: Suite) -> dict[str, str]:
    return {verdict["name"].partition("::")[2]: verdict["verdict"] for verdict in suite.report["verdicts"]}


def test_a_run_is_saved_and_compares_unchanged_with_itself(saved_suite: Suite) -> None:
    before = baseline(saved_suite).read_bytes()

    result = saved_suite.replay("--latency-compare=main", "--latency-save=main")

    assert result.ret == 0
    assert set(verdicts(saved_suite).values()) == {"unchanged"}
    assert saved_tests(saved_suite) == ["test_it.py::test_other", "test_it.py::test_two"]
    assert baseline(saved_suite).read_bytes() == before
    result.stdout.fnmatch_lines(["*12 comparisons: 12 unchanged*"])


def test_calls_that_no_longer_overlap_fail_the_run_under_names_of_their_own(saved_suite: Suite) -> None:
    saved_suite.write(TWO.format(body=IN_TURN.strip()))

    result = saved_suite.replay("--latency-compare=main", "--junitxml=junit.xml")

    result.assert_outcomes(passed=2, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "elapsed slowed from * to *",
            "  changed   call 2 (app.py:15 in ask) no longer overlaps call 1",
            "  test_two *regression",
            "FAILED test_it.py::test_two::latency[[]elapsed against main[]] - *",
        ]
    )
    assert verdicts(saved_suite)["test_two::latency[elapsed against main]"] == "regression"
    assert verdicts(saved_suite)["test_other::latency[elapsed against main]"] == "unchanged"
    failed = ElementTree.parse(saved_suite.path / "junit.xml").findall(".//testcase[failure]")
    assert [case.get("name") for case in failed] == ["latency[elapsed against main]"]


def test_a_tolerance_lets_changes_pass(saved_suite: Suite) -> None:
    saved_suite.write(TWO.format(body=IN_TURN.strip()))

    saved_suite.replay("--latency-compare=main", "--latency-tolerance=30").assert_outcomes(passed=2)

    assert set(verdicts(saved_suite).values()) == {"unchanged"}


def test_a_run_that_got_slower_does_not_become_the_baseline_it_was_compared_with(saved_suite: Suite) -> None:
    before = baseline(saved_suite).read_bytes()
    saved_suite.write(TWO.format(body=IN_TURN.strip()))

    result = saved_suite.replay("--latency-compare=main", "--latency-save=main")

    assert baseline(saved_suite).read_bytes() == before
    whole_lines(result).fnmatch_lines(["--latency-save: *not saved*latency[[]elapsed against main[]]"])


def test_nothing_is_saved_of_a_run_in_which_a_latency_test_failed(saved_suite: Suite) -> None:
    before = baseline(saved_suite).read_bytes()
    saved_suite.write(TWO.format(body=TOGETHER.strip()).replace('stream("three")', 'stream("three")\n    assert False'))

    result = saved_suite.replay("--latency-save=main")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert baseline(saved_suite).read_bytes() == before
    whole_lines(result).fnmatch_lines(["--latency-save: *test_it.py::test_other*"])


@pytest.mark.parametrize(
    "selection", [("-k", "other"), ("test_it.py::test_other",), ("--deselect", "test_it.py::test_two")]
)
def test_a_part_of_the_tests_updates_only_what_it_ran(saved_suite: Suite, selection: tuple[str, ...]) -> None:
    result = saved_suite.replay("--latency-compare=main", "--latency-save=main", *selection)

    result.assert_outcomes(passed=1, deselected=0 if "::" in selection[0] else 1)
    assert saved_tests(saved_suite) == ["test_it.py::test_other", "test_it.py::test_two"]
    result.stdout.no_fnmatch_line("*no longer exists*")


def test_a_run_that_was_stopped_updates_what_it_ran(saved_suite: Suite) -> None:
    saved_suite.write("def test_last(claude_latency):\n    ask('one')\n", "test_last")
    saved_suite.record("test_last.py")
    saved_suite.replay("--latency-save=main").assert_outcomes(passed=3)
    saved_suite.write("def test_fails():\n    assert False\n", "test_just_a_test")
    saved_suite.write(TWO.format(body=IN_TURN.strip()))

    saved_suite.replay("--latency-save=main", "-x").assert_outcomes(passed=2, failed=1)

    compared = saved_suite.replay("--latency-compare=main", "test_it.py", "test_last.py")
    compared.assert_outcomes(passed=3)
    assert set(verdicts(saved_suite).values()) == {"unchanged"}
    assert saved_tests(saved_suite) == ["test_it.py::test_other", "test_it.py::test_two", "test_last.py::test_last"]


def test_a_test_that_no_longer_exists_is_named_and_removed(saved_suite: Suite) -> None:
    saved_suite.write(TWO.format(body=TOGETHER.strip()).replace("def test_two", "def test_pair"))
    saved_suite.record("-k", "pair")

    compared = saved_suite.replay("--latency-compare=main")
    saved_suite.replay("--latency-save=main")

    compared.stdout.fnmatch_lines(["warning: baseline main has a test that no longer exists: test_it.py::test_two"])
    assert verdicts(saved_suite) == {}
    assert saved_tests(saved_suite) == ["test_it.py::test_other", "test_it.py::test_pair"]


def test_a_test_that_the_baseline_does_not_have_is_new_and_fails_a_strict_run(saved_suite: Suite) -> None:
    saved_suite.write(TWO.format(body=TOGETHER.strip()).replace("def test_two", "def test_pair"))
    saved_suite.record("-k", "pair")

    lenient = saved_suite.replay("--latency-compare=main")
    strict = saved_suite.replay("--latency-compare=main", "--latency-strict")

    assert lenient.ret == 0
    lenient.stdout.fnmatch_lines([f"    {NEW.format(name='main')}"])
    strict.assert_outcomes(passed=2, failed=1)
    strict.stdout.fnmatch_lines(["FAILED test_it.py::test_pair::latency[[]against main[]]*"])


def test_a_missing_baseline_is_a_warning_and_fails_only_a_strict_run(saved_suite: Suite) -> None:
    lenient = saved_suite.replay("--latency-compare=release")
    strict = saved_suite.replay("--latency-compare=release", "--latency-strict")

    assert lenient.ret == 0
    whole_lines(lenient).fnmatch_lines(["warning: there is no baseline release yet; pytest --latency-save=release *"])
    assert strict.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.slow
def test_workers_save_and_compare_as_one_process_does(saved_suite: Suite) -> None:
    alone = baseline(saved_suite).read_bytes()
    saved_suite.write(TWO.format(body=IN_TURN.strip()))
    saved_suite.replay("--latency-compare=main")
    report = (saved_suite.path / "report.json").read_bytes()
    saved_suite.write(TWO.format(body=TOGETHER.strip()))

    saved_suite.replay("--latency-save=shared", "-n", "2").assert_outcomes(passed=2)
    saved_suite.write(TWO.format(body=IN_TURN.strip()))
    compared = saved_suite.replay("--latency-compare=main", "-n", "2")

    dated = [line for line in alone.splitlines() if b'"saved"' not in line]
    assert [
        line for line in baseline(saved_suite, "shared").read_bytes().splitlines() if b'"saved"' not in line
    ] == dated
    assert compared.ret == pytest.ExitCode.TESTS_FAILED
    assert (saved_suite.path / "report.json").read_bytes() == report


def test_what_was_measured_in_another_way_is_never_compared_nor_replaced(saved_suite: Suite) -> None:
    before = baseline(saved_suite).read_bytes()

    compared = saved_suite.record("--latency-compare=main", mode="live")
    saved = saved_suite.record("--latency-save=main", mode="live")

    compared.assert_outcomes(passed=2, failed=2)
    whole_lines(compared).fnmatch_lines(
        [OTHER_KIND.format(name="main", ways="was replayed on the virtual clock then and measured live now")]
    )
    whole_lines(saved).fnmatch_lines(["--latency-save: *these are never compared*"])
    assert baseline(saved_suite).read_bytes() == before


@pytest.mark.slow
def test_a_live_run_that_got_slower_warns_and_fails_only_a_strict_one(suite: Suite) -> None:
    suite.write("@pytest.mark.latency_budget(total='60s')\ndef test_it():\n    ask()\n")
    suite.server.answers(lambda _request: text("fast", ttfb="1ms"))
    suite.record("--latency-save=main", "--latency-samples=5", mode="live").assert_outcomes(passed=5)
    suite.server.answers(lambda _request: text("slow", ttfb="700ms"))

    lenient = suite.record("--latency-compare=main", "--latency-samples=5", mode="live")
    strict = suite.record("--latency-compare=main", "--latency-samples=5", "--latency-strict", mode="live")

    lenient.assert_outcomes(passed=5)
    lenient.stdout.fnmatch_lines(["*warning: test_it.py::test_it: ttft slowed from * to *: ratio *"])
    strict.assert_outcomes(passed=5, failed=3)


def test_one_live_sample_is_too_few_for_a_verdict(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    ask()\n")
    suite.record("--latency-save=main", mode="live")

    result = suite.record("--latency-compare=main", mode="live")

    result.assert_outcomes(passed=1)
    assert set(verdicts(suite).values()) == {"too few runs"}
    result.stdout.fnmatch_lines(["*too few runs (1 sample before, 1 now; 4 a side are needed)"])


def test_the_commit_and_nothing_of_the_machine_is_saved(saved_suite: Suite) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.example"]
    subprocess.run(["git", "init", "-q"], cwd=saved_suite.path, check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], cwd=saved_suite.path, check=True)

    saved_suite.replay("--latency-save=other")

    text_of = baseline(saved_suite, "other").read_text()
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=saved_suite.path, check=True, capture_output=True, text=True
    )
    assert f'"commit": "{commit.stdout.strip()}' in text_of
    assert str(saved_suite.path) not in text_of
    assert "127.0.0.1" not in text_of


def test_a_baseline_in_the_old_form_is_saved_again_and_left_alone(saved_suite: Suite) -> None:
    old = baseline(saved_suite).with_suffix(".json")
    old.write_text('[\n{"format": "claude-latency-baseline", "version": 1, "unit": "s"},\n{"end": "claude-latency-base')
    baseline(saved_suite).unlink()
    written = old.read_bytes()

    refused = saved_suite.replay("--latency-compare=main")
    saved_suite.replay("--latency-save=main").assert_outcomes(passed=2)

    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(
        [
            "ERROR: baseline main is in the old form; save it again with",
            "  --latency-save=main, then delete .latency/main.json",
        ]
    )
    assert old.read_bytes() == written
    assert saved_suite.replay("--latency-compare=main").ret == 0


@pytest.mark.parametrize("option", ["--latency-compare=main", "--latency-save=main"])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text[: len(text) // 2], "*cut off*"),
        (lambda text: text.replace('"version": 1', '"version": 2'), "*newer*"),
        (lambda text: text.replace('"unit": "s"', '"unit": "ms"'), "*seconds*"),
        (lambda _text: "{}", "*not a baseline*"),
    ],
    ids=["truncated", "newer", "other units", "foreign"],
)
def test_a_baseline_that_cannot_be_read_ends_the_run_before_any_test(
    suite: Suite, option: str, damage: object, reason: str
) -> None:
    header = '{"format": "claude-latency-baseline", "version": 1, "unit": "s"}\n'
    whole = header + '{"end": "claude-latency-baseline"}\n'
    suite.write("def test_it(claude_latency):\n    ask()\n")
    baseline(suite).parent.mkdir()
    baseline(suite).write_text(damaged := damage(whole))  # type: ignore[operator]  # parametrized

    result = suite.replay(option)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    whole_lines(result, of_errors=True).fnmatch_lines([f"*.latency/main.jsonl{reason}"])
    assert baseline(suite).read_text() == damaged


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--latency-save=../main", "*--latency-save: '../main' is not a name of a baseline"),
        ("--latency-tolerance=many", "*--latency-tolerance: 'many' is not a number"),
        ("--latency-tolerance=-1", "*--latency-tolerance: tolerance must be *"),
        ("--latency-min-ratio=0.5", "*--latency-min-ratio: min-ratio must be *, got 0.5"),
        ("--latency-min-ratio=nan", "*--latency-min-ratio: min-ratio must be *, got nan"),
        ("--latency-min-shift=quick", "*--latency-min-shift: 'quick' is not a duration"),
    ],
)
def test_an_option_that_is_not_understood_is_a_usage_error(suite: Suite, option: str, reason: str) -> None:
    suite.write("def test_it(claude_latency):\n    ask()\n")

    result = suite.replay(option)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([reason])


def test_a_baseline_that_cannot_be_written_is_named_and_fails_the_run(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    ask()\n")
    suite.record()
    (suite.path / ".latency").write_text("a file")

    result = suite.replay("--latency-save=main")

    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    whole_lines(result).fnmatch_lines(["--latency-save: *.latency/main.jsonl*could not be written*"])


def test_a_test_whose_samples_did_not_all_run_keeps_what_was_kept(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    ask()\n")
    suite.record("--latency-samples=3")
    suite.replay("--latency-save=main")
    before = baseline(suite).read_bytes()

    suite.replay("--latency-save=main", "test_it.py::test_it[sample-2]").assert_outcomes(passed=1)

    assert baseline(suite).read_bytes() == before

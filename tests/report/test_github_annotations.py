from __future__ import annotations

from pathlib import Path

import pytest

from pytest_claude_latency.metrics.watched import Watched
from pytest_claude_latency.report import github_annotations
from tests.support.some_pages import BLOCK, SLOW_OUTPUT
from tests.support.some_results import some_result, summary_of


@pytest.fixture(autouse=True)
def _workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))


def test_a_broken_budget_is_shown_at_the_line_of_its_test(tmp_path: Path) -> None:
    result = some_result("tests/test_it.py::test_a", limits={"ttft": "400ms"}, place="tests/test_it.py:12")

    (command,) = github_annotations.lines(summary_of(result, some_result("b.py::b")), tmp_path / "service")

    assert command == (
        "::error file=service/tests/test_it.py,line=12,title=latency budget of tests/test_it.py%3A%3Atest_a"
        "::ttft was 412ms, 12ms over the budget of 400ms"
    )


def test_limits_of_blocks_and_watched_outputs_are_shown_too(tmp_path: Path) -> None:
    output = Watched(items=3, ttft=1.2, longest_gap=0.1, total=3.9, budgets=(SLOW_OUTPUT,))
    result = some_result("a.py::t", place="a.py:12", blocks=(BLOCK,), watched=(output,), outcome="failed")

    commands = github_annotations.lines(summary_of(result), tmp_path)

    assert [command.partition("a.py%3A%3At::")[2] for command in commands] == [
        "ttft was 612ms, 212ms over the budget of 400ms",
        "elapsed was 2.875s, 875ms over the budget of 2s",
        "watched output: ttft was 1.200s, 200ms over the budget of 1s",
    ]


def test_an_expected_failure_is_no_annotation(tmp_path: Path) -> None:
    assert github_annotations.lines(summary_of(some_result(limits={"ttft": "1ms"}, outcome="xfailed")), tmp_path) == []


def test_the_worst_nine_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    results = [some_result(f"a.py::t{number}", limits={"ttft": f"{number}ms"}) for number in range(1, 12)]

    commands = github_annotations.lines(summary_of(*results), tmp_path)

    assert len(commands) == 10
    assert "t1::" in commands[0]
    assert commands[9] == "::error title=latency budgets::2 more broken budgets: the reports of the run have them all"


def test_no_name_becomes_another_command(tmp_path: Path) -> None:
    result = some_result("a.py::t[\n::add-mask::x,y%0A]", limits={"ttft": "1ms"}, place="a,b.py:1")

    (command,) = github_annotations.lines(summary_of(result), tmp_path)

    assert command.startswith("::error file=a%2Cb.py,line=1,title=latency budget of a.py%3A%3At[")
    assert "\n" not in command
    assert command.count("::") == 2

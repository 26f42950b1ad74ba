"""Every command takes `-o`: what it would print goes into a file, whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from pytest_claude_latency.baselines.baseline import Baseline
from pytest_claude_latency.cli.command import main
from pytest_claude_latency.report.data import build, render
from tests.support.some_recording import answering, recording
from tests.support.some_results import some_result, summary_of

PRINTING: Final[Mapping[str, list[str]]] = {
    "check": ["cassettes", "--no-collect"],
    "show": ["cassettes"],
    "diff": ["cassettes/a.jsonl", "cassettes/b.jsonl"],
    "explain": ["cassettes", "--format=markdown"],
    "compare": ["run.json", "run.json", "--format=markdown"],
    "list": ["."],
    "export": ["run.json", "--format=bencher"],
    "suggest": ["run.json"],
    "drift": ["cassettes", "--dry-run"],
}
"""Arguments with which each command prints something here."""
WRITING: Final = {"merge", "report", "profile", "demo"}
"""Commands with a file of their own, and one that takes seconds: they are tested with what they write."""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two recordings, a baseline and a report; the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    recording(answering(b"one")).save(tmp_path / "cassettes/a.jsonl")
    recording(answering(b"two")).save(tmp_path / "cassettes/b.jsonl")
    (tmp_path / "run.json").write_text(render(build(summary_of(some_result("test_a.py::test_x")))))
    Baseline({}).save(tmp_path / ".latency/main.jsonl")
    return tmp_path


def test_every_command_takes_it(capsys: pytest.CaptureFixture[str]) -> None:
    for command in all_commands(capsys):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert re.search("-o( [A-Z]+)?, --output", capsys.readouterr().out), command


def test_every_command_is_tested(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(all_commands(capsys)) == PRINTING.keys() | WRITING


def all_commands(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the names of the commands as the help lists them."""
    with pytest.raises(SystemExit):
        main(["--help"])
    return re.findall(r"^    (\w+)", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("command", PRINTING)
@pytest.mark.parametrize("option", ["-o", "--output"])
def test_the_file_holds_what_is_printed(command: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = main([command, *PRINTING[command]])
    printed = capsys.readouterr().out

    assert printed
    assert main([command, *PRINTING[command], option, "-"]) == status
    assert capsys.readouterr().out == printed
    assert main([command, *PRINTING[command], option, "new/there.txt"]) == status
    assert capsys.readouterr().out == ""
    assert Path("new/there.txt").read_text("utf-8") == printed


@pytest.mark.parametrize("target", ["cassettes/a.jsonl", "cassettes/b.jsonl", ".latency/main.jsonl", "cassettes"])
def test_no_recording_or_baseline_is_written_over(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}

    assert main(["show", "cassettes/a.jsonl", "-o", target]) == 2
    assert target in capsys.readouterr().err
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_a_report_is_not_replaced_by_what_is_made_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["suggest", "run.json", "-o", "./run.json"]) == 2
    assert "run.json is read by the command; --output must name another file" in capsys.readouterr().err


def test_a_command_that_fails_leaves_the_file_of_before(capsys: pytest.CaptureFixture[str]) -> None:
    Path("there.txt").write_text("of before")

    assert main(["diff", "cassettes/a.jsonl", "run.json", "-o", "there.txt"]) == 2
    assert Path("there.txt").read_text() == "of before"
    assert capsys.readouterr().out == ""


def test_a_file_that_cannot_be_written_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "cassettes/a.jsonl", "-o", "run.json/below.txt"]) == 2
    assert capsys.readouterr().err.startswith("claude-latency: cannot write run.json/below.txt: ")


def test_a_report_may_go_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "run.json", "-o", "json:-"]) == 0
    assert capsys.readouterr().out == Path("run.json").read_text("utf-8")
    assert not Path("-").exists()

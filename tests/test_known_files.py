"""What a file is that something else was expected in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_claude_latency.cli.command import main
from pytest_claude_latency.known_files import REPORT_MARKER, is_report, what_it_is

TEXTS = {
    "report.json": (json.dumps({"schema": 1, "tests": []}, indent=1), "it is the JSON report of a run"),
    "compact.json": ('{"schema": 1, "tests": []}', "it is the JSON report of a run"),
    "test_a.1.jsonl": ('{"format": "claude-latency-cassette", "version": 99}\n{}\n', "it is a recording"),
    "main.jsonl": ('{"format": "claude-latency-baseline", "version": 99}\n{}\n', "it is a baseline"),
    "trace.json": ('{"traceEvents": [],\n"x": 1}', "it is a trace"),
    "page.html": ("<!DOCTYPE html>\n<html></html>", "it is an HTML page"),
    "page.md": (f"{REPORT_MARKER}\n\n## Claude latency", "it is a Markdown report"),
}
FOREIGN = ["", "{", "[]", "null", "1", '{"format": 1}', '{"format": "other"}', "\x00", "[" * 100_000]
READERS = {
    "show {}": "a recording",
    "diff {} {}": "a recording",
    "profile {}": "a recording",
    "drift {}": "a recording",
    "report {} -o x.html": "the JSON report",
    "explain {}": "a recording or the JSON report",
    "explain --format=json {}": "a recording or the JSON report",
    "compare {} {}": "a baseline or the JSON report",
    "suggest {}": "a baseline or the JSON report",
    "export --format=github {}": "a baseline or the JSON report",
    "merge {} --output=new": "a baseline",
}
"""What each command reads."""


@pytest.mark.parametrize(("text", "what"), TEXTS.values(), ids=TEXTS)
def test_files_that_this_package_writes_are_known(text: str, what: str) -> None:
    assert str(what_it_is(text)).startswith(what)
    assert is_report(text) == ("report of a run" in what)


@pytest.mark.parametrize("text", FOREIGN)
def test_other_files_are_not(text: str) -> None:
    assert what_it_is(text) is None


@pytest.mark.parametrize("command", READERS)
def test_each_command_says_what_it_was_given_in_place_of_what_it_reads(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name, (text, what) in TEXTS.items():
        Path(name).write_text(text)
        if what.removeprefix("it is ").removesuffix(" of a run") in READERS[command]:
            continue

        assert main(command.replace("{}", name).split()) != 0

        output = capsys.readouterr()
        assert what in output.out + output.err
        assert "Traceback" not in output.err


def test_a_folder_in_place_of_a_file_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tests").mkdir()

    for command in ("diff tests tests", "report tests -o x.html", "compare tests tests", "suggest tests"):
        assert main(command.split()) == 2
        assert "tests: it is a folder, and not a file" in capsys.readouterr().err

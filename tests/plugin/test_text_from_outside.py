"""What a recording or an answer holds is shown, and does nothing: in the terminal, in reports, in the command."""

from __future__ import annotations

import json
import re

import pytest

from pytest_claude_latency.cli.command import main
from tests.plugin.suite import Suite

EVIL = "x\x1b]0;owned\x07\n::error file=app.py::evil \u202e##[group]"
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]|^\\s*::error|##\\[", re.MULTILINE)


@pytest.fixture
def evil(suite: Suite) -> Suite:
    """A recording whose every text is hostile, of a test with a broken budget and one whose call is refused."""
    suite.write(
        """
@pytest.mark.latency_budget(ttft="1ms")
def test_it():
    ask()
    with pytest.raises(anthropic.APIStatusError):
        ask("more", anthropic.Anthropic(max_retries=0))

def test_miss(claude_latency):
    ask()
"""
    )
    body = {"max_tokens": 100, "messages": [{"role": "user", "content": "hi"}], "model": "claude-haiku-4-5"}
    answer: dict[str, object] = {"id": "m", "type": "message", "role": "assistant", "model": EVIL, "stop_reason": EVIL}
    answer |= {"content": [{"type": "text", "text": EVIL}], "usage": {"input_tokens": 1, "output_tokens": 1}}
    refused = {"type": "error", "error": {"type": EVIL, "message": EVIL}}
    head = {"format": "claude-latency-cassette", "version": 1, "sample": 1, "recorded": "2026-11-22T11:30:00.000Z"}
    url, headers = "https://api.anthropic.com/v1/messages", {"content-type": "application/json", "retry-after": EVIL}
    exchanges = [(200, body, answer), (529, body | {"messages": [{"role": "user", "content": "more"}]}, refused)]
    lines: list[dict[str, object]] = [head | {"test": f"test_it.py::{EVIL}", "anthropic": EVIL}]
    for number, (status, asked, told) in enumerate(exchanges, 1):
        lines.append({"request": number, "at": number * 100.0, "method": "POST", "url": url, "json": asked})
        lines.append({"response": number, "at": 10.0, "status": status, "headers": headers})
        lines.append({"chunk": number, "at": 11.0, "text": json.dumps(told)})
        lines.append({"end": number, "at": 12.0})
    _write(suite, "test_it", lines)
    lines[1:] = [line for line in lines[1:] if 1 in (line.get("request"), line.get("end"))]
    _write(suite, "test_miss", [*lines[:1], lines[1] | {"json": body | {EVIL: EVIL, "model": EVIL}}, lines[2]])
    return suite


def _write(suite: Suite, test: str, lines: list[dict[str, object]]) -> None:
    path = suite.path / "cassettes" / "test_it" / f"{test}.1.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_the_run_and_its_reports_show_escapes(evil: Suite) -> None:
    files = ["r.md", "r.html", "r.json"]

    result = evil.replay("-v", "--latency-explain", *(f"--latency-report={file}" for file in files))

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines([r"*x\x1b?0;owned\x07\n::error file=app.py::evil \u202e#\x23?group?*"])
    for text in (result.stdout.str(), *((evil.path / file).read_text("utf-8") for file in files)):
        assert UNSEEN.findall(text) == []


@pytest.mark.parametrize("command", [["explain", "."], ["check", "--no-collect", "."], ["suggest", "report.json"]])
def test_the_command_shows_escapes(evil: Suite, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    evil.replay()
    capsys.readouterr()

    main(command)

    shown = capsys.readouterr()
    assert UNSEEN.findall(shown.out + shown.err) == []

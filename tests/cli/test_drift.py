"""`claude-latency drift`: recorded calls sent again to a server that stands for the API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_claude_latency.cli.command import main
from pytest_claude_latency.messages_api.exchange import Exchange
from tests.support.claude_answers import Answer, json_answer, status
from tests.support.claude_server import ClaudeServer
from tests.support.report_schema import DOCS, assert_fits
from tests.support.some_recording import recording
from tests.support.written_calls import asked, whole

Capture = pytest.CaptureFixture[str]


def said(text: str) -> str:
    """Return what was said, without the ends of its lines."""
    return " ".join(text.split())


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-for-tests")
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    # the port of nobody: what a test sends without a server fails, and never leaves the machine
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ClaudeServer]:
    with ClaudeServer() as server:
        server.answers(lambda request: as_recorded())
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        yield server


def as_recorded() -> Answer:
    return json_answer(json.loads(whole().chunks[0].data))


def record(name: str, *exchanges: Exchange, sample: int = 1) -> str:
    path = Path("cassettes/test_it") / f"{name}.{sample}.jsonl"
    replace(recording(*exchanges, sample=sample), test=f"test_it.py::{name}").save(path)
    return path.as_posix()


def test_a_suite_that_did_not_change_has_no_drift(server: ClaudeServer, capsys: Capture) -> None:
    for name in ("test_a", "test_b"):
        record(name, whole(asked(name), at=5))

    assert main(["drift", "."]) == 0

    output = capsys.readouterr()
    assert output.out.startswith("no drift in 2 calls\n")
    assert "2 recordings, 2 calls to send; as recorded 62 tokens of prompts, 192 of answers, about $" in said(
        output.err
    )
    assert f"to {server.url}/v1/messages\n" in output.err
    sent = [request.json["messages"][0]["content"] for request in server.requests if request.method == "POST"]
    assert sent == ["test_a", "test_b"]


def test_it_costs_what_the_prices_of_the_ini_file_say(server: ClaudeServer, capsys: Capture) -> None:
    record("test_a", whole())
    Path("pytest.ini").write_text("[pytest]\nlatency_prices = prices.json\n")
    Path("prices.json").write_text('{"dated": "2026-12-01", "models": {"*": {"input": 0, "output": 1000000}}}')

    assert main(["drift", "cassettes", "--format=json"]) == 0

    output = capsys.readouterr()
    assert json.loads(output.out)["cost"] == 96
    assert "about $96.0000" in output.err


def test_prices_that_are_none_are_told_before_anything_is_sent(server: ClaudeServer, capsys: Capture) -> None:
    record("test_a", whole())
    Path("pytest.ini").write_text("[pytest]\nlatency_prices = prices.json\n")
    Path("prices.json").write_text("[]")

    assert main(["drift", "cassettes"]) == 2

    assert "ini key latency_prices: prices.json: line 1: it is not a table of prices" in said(capsys.readouterr().err)
    assert server.requests == ()


def test_one_failure_hides_no_other_call_and_fails_the_command(server: ClaudeServer, capsys: Capture) -> None:
    for name in ("test_a", "test_b", "test_c"):
        record(name, whole(asked(name), at=5))
    server.answer(as_recorded(), status(500))

    assert main(["drift", "."]) == 1

    output = capsys.readouterr().out
    assert "HTTP 500, api_error: cassettes/test_it/test_b.1.jsonl" in output
    assert "3 recordings: 2 compared, 1 not answered" in output


def test_without_a_key_one_message_says_so(
    server: ClaudeServer, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    record("test_a", whole())
    monkeypatch.delenv("ANTHROPIC_API_KEY")

    assert main(["drift", "."]) == 2

    output = capsys.readouterr()
    assert output.out == ""
    assert said(output.err) == (
        "claude-latency: there is no key: set ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN); nothing was sent"
    )
    assert server.requests == ()


def test_a_dry_run_needs_no_key_and_sends_nothing(
    server: ClaudeServer, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    record("test_a", whole())
    record("test_b", whole(asked("Mail [redacted]")))
    monkeypatch.delenv("ANTHROPIC_API_KEY")

    assert main(["drift", ".", "--dry-run"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2 recordings, 1 call to send; as recorded 31 tokens of prompts, 96 of answers")
    # the recorded address is not where the key would go
    assert not any(line.startswith("to ") for line in lines)
    assert lines[-2:] == [
        "not sent: there is no key: set ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN)",
        "not sent: its recorded request holds [redacted]",
    ]
    assert server.requests == ()


def test_only_and_limit_choose_what_is_sent_first_samples_first(server: ClaudeServer, capsys: Capture) -> None:
    for name in ("test_a", "test_b", "test_other"):
        for sample in (1, 2):
            record(name, whole(asked(f"{name} {sample}")), sample=sample)

    assert main(["drift", ".", "--only=test_a", "--only=test_b", "--limit=3"]) == 0

    sent = [request.json["messages"][0]["content"] for request in server.requests if request.method == "POST"]
    assert sent == ["test_a 1", "test_b 1", "test_a 2"]


def test_the_json_fits_its_schema_and_is_all_that_is_printed(server: ClaudeServer, capsys: Capture) -> None:
    record("test_a", whole(), whole(sent=2000))
    damaged = Path(record("test_b", whole()))
    damaged.write_text("{")

    assert main(["drift", ".", "--format=json"]) == 1

    drift = json.loads(capsys.readouterr().out)
    assert_fits(drift, DOCS / "drift.schema.json")
    assert [fact["state"] for fact in drift["recordings"]] == ["compared"]
    assert "test_b.1.jsonl, line 1" in drift["unreadable"][0]


def test_a_file_gets_the_page_and_the_terminal_the_verdict(server: ClaudeServer, capsys: Capture) -> None:
    record("test_a", whole())

    assert main(["drift", ".", "--format=markdown", "-o", "drift.md"]) == 0

    assert capsys.readouterr().err.endswith("no drift in 1 call\n")
    assert Path("drift.md").read_text().startswith("## Claude API: no drift in 1 call\n")


def test_a_key_that_is_not_taken_is_told_once(server: ClaudeServer, capsys: Capture) -> None:
    for name in ("test_a", "test_b", "test_c"):
        record(name, whole(asked(name)))
    server.answers(lambda request: status(401))

    assert main(["drift", "."]) == 1

    output = capsys.readouterr().out
    assert output.startswith("nothing could be compared\n")
    assert sum(request.method == "POST" for request in server.requests) == 1


def test_control_characters_of_an_answer_reach_no_terminal(server: ClaudeServer, capsys: Capture) -> None:
    record("test_a", whole())
    body = json.loads(whole().chunks[0].data)
    server.answers(lambda request: json_answer({**body, "\x1b]0;x\x07": 1, "model": "\x1b[2J"}))

    for form in ("text", "markdown", "json"):
        assert main(["drift", ".", f"--format={form}"]) == 1
        assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("wrong", ["0", "-1", "many"])
def test_a_limit_that_is_no_count_is_a_usage_error(wrong: str, capsys: Capture) -> None:
    record("test_a", whole())

    with pytest.raises(SystemExit, match="2"):
        main(["drift", ".", f"--limit={wrong}"])

    assert f"argument --limit: '{wrong}' is not a number of at least 1" in said(capsys.readouterr().err)


def test_no_recordings_are_told(capsys: Capture) -> None:
    assert main(["drift", "."]) == 1
    record("test_a", whole())
    assert main(["drift", ".", "--only=test_b"]) == 1

    assert capsys.readouterr().out.splitlines() == [
        "no recordings in .",
        "no recordings of tests whose id contains test_b in .",
    ]

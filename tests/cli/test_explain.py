"""`claude-latency explain`: what it says of recordings and of reports."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.cli.command import main
from pytest_claude_latency.diagnosis.recorded_traces import trace_of
from pytest_claude_latency.diagnosis.rules import find
from pytest_claude_latency.errors import CassetteError
from pytest_claude_latency.messages_api.exchange import Exchange
from tests.support.some_call import some_call
from tests.support.some_recording import recording
from tests.support.written_calls import asked, refused, streamed, usage, whole

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def record(name: str, *exchanges: Exchange, sample: int = 1) -> str:
    path = Path("cassettes/test_it") / f"{name}.{sample}.jsonl"
    replace(recording(*exchanges), test=f"test_it.py::{name}", sample=sample).save(path)
    return str(path)


def report(**more: Any) -> str:
    call = some_call(ttft=0.412, ttfa=1.0, total=2.875, output_tokens=96).as_json()
    test = {"nodeid": "test_it.py::test_a", "sample": 2, "elapsed": 2.875, "calls": [call]} | more
    Path("report.json").write_text(json.dumps({"schema": 1, "mode": "replay", "clock": "virtual", "tests": [test]}))
    return "report.json"


def test_a_recording_is_broken_down_with_what_was_found(capsys: Capture) -> None:
    path = record(
        "test_a",
        refused(asked(stream=True), at=920),
        streamed(sent=1920, pieces=[(1200, "text", "a"), (7300, "text", "b")]),
    )

    assert main(["explain", path]) == 0
    retries, *others = find(trace_of(Recording.load(Path(path))))
    assert (retries.rule, others) == ("retries", [])
    assert capsys.readouterr().out.splitlines() == [
        path,
        "  test_it.py::test_a",
        "  call      of 9.22s: 6.10s generating 96 tokens, 1.92s in one retry after a 529, 1.20s to the first token",
        f"  finding   {retries.fact}",
        f"            try: {retries.remedy}",
    ]


def test_calls_are_broken_down_each_and_together_with_the_critical_path(capsys: Capture) -> None:
    path = record(
        "test_a",
        streamed(asked("one")),
        streamed(asked("two"), pieces=[(300, "text", "a")]),
        streamed(asked("three"), sent=1000),
    )

    assert main(["explain", path]) == 0
    assert capsys.readouterr().out.splitlines()[2:7] == [
        "  test      of 1.90s: 1.00s generating 192 tokens, 0.80s to first tokens, 0.10s in the application",
        "  call 1    of 900ms: 500ms generating 96 tokens, 400ms to the first token (claude-haiku-4-5, sent at 0ms)",
        "  call 2    of 300ms: 300ms to the first token (claude-haiku-4-5, sent at 0ms)",
        "  call 3    of 900ms: 500ms generating 96 tokens, 400ms to the first token (claude-haiku-4-5, sent at 1000ms)",
        "  path      call 1, the application, call 3",
    ]


def test_one_recording_is_compared_with_those_next_to_it(capsys: Capture) -> None:
    slow = record("test_a", streamed(asked(model="claude-opus-4-6"), pieces=[(6000, "text", "a")]))
    record("test_b", streamed(asked(model="claude-haiku-4-5"), pieces=[(600, "text", "a")]))

    assert main(["explain", slow]) == 0
    assert "saves about 5.400s with claude-haiku-4-5 (estimate from 1 recorded call)" in capsys.readouterr().out


def test_a_folder_is_explained_file_by_file(capsys: Capture) -> None:
    record("test_a", whole(at=500, used=usage(output=3)))
    record("test_a", whole(at=600, used=usage(output=3)), sample=2)
    report(breakdown={"waiting": 2.875}, findings=[])

    assert main(["explain", "."]) == 0
    out = capsys.readouterr().out
    assert out.count("no findings") == 3
    assert "test_it.py::test_a, sample 2\n  call      of 600ms: 600ms for 3 tokens not streamed\n" in out
    assert "report.json (replay, virtual clock)\n" in out


def test_a_report_shows_the_findings_of_its_run(capsys: Capture) -> None:
    finding = {
        "rule": "stall",
        "fact": "it stalled",
        "remedy": "record again",
        "guide": None,
        "cost": 2.0,
        "saving": {"seconds": 1.9, "how": "without it", "calls": 1},
        "calls": [1],
    }
    path = report(breakdown={"waiting": 0.412, "answering": 0.463, "stalled": 2.0}, findings=[finding])

    assert main(["explain", path]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "report.json (replay, virtual clock)",
        "  test_it.py::test_a, sample 2",
        "    test      of 2.88s: 2.00s in one stall, 0.47s generating 96 tokens, 0.41s to the first token",
        "    finding   it stalled",
        "              try: record again",
        "              saves about 1.900s without it (estimate from 1 recorded call)",
    ]


def test_a_report_tells_the_tokens_of_streamed_and_whole_answers_apart(capsys: Capture) -> None:
    path = report(breakdown={"waiting": 0.4, "answering": 1.0, "whole": 0.2}, findings=[])
    content = json.loads(Path(path).read_text())
    streamed_call = content["tests"][0]["calls"][0]
    label = streamed_call | {"streamed": False, "sent": 9.0, "total": 0.2, "output_tokens": 10}
    content["tests"][0]["calls"].append(label)
    Path(path).write_text(json.dumps(content))

    assert main(["explain", path]) == 0
    assert (
        "1.00s generating 96 tokens, 0.40s to first tokens, 0.20s for 10 tokens not streamed" in capsys.readouterr().out
    )


def test_a_report_tells_no_tokens_of_calls_that_overlap(capsys: Capture) -> None:
    path = report(breakdown={"waiting": 0.4, "answering": 1.0}, findings=[])
    content = json.loads(Path(path).read_text())
    content["tests"][0]["calls"] *= 2
    Path(path).write_text(json.dumps(content))

    assert main(["explain", path]) == 0
    assert "1.00s generating the answer" in capsys.readouterr().out


def test_a_report_without_breakdowns_says_what_it_lacks(capsys: Capture) -> None:
    path = report()

    assert main(["explain", path]) == 0
    out = capsys.readouterr().out
    assert "it lacks breakdowns and findings" in out
    assert "call 1    of 2.88s: 1.88s generating 96 tokens, 0.59s thinking, 0.41s to the first token" in out


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", ": it is not a JSON object"),
        ('{"schema": 1,\n', ", line 2: it is not JSON ("),
        ('{"schema": 1}', ': it lacks "tests"'),
        ('{"schema": 1, "tests": [{"nodeid": "a", "calls": [1]}]}', ": test 1 in it: call 1: it is not a JSON object"),
        (
            '{"schema": 1, "tests": [{"nodeid": "a", "calls": [], "breakdown": {"whole": 1e999}}]}',
            ': test 1 in it: "breakdown" is {"whole": Infinity}, expected an object of parts with their seconds',
        ),
    ],
)
def test_a_file_that_is_not_a_report_is_named(text: str, reason: str, capsys: Capture) -> None:
    Path("other.json").write_text(text)

    assert main(["explain", "other.json"]) == 1
    assert capsys.readouterr().out.startswith(f"cannot read the report other.json{reason}")


def test_json_files_of_others_in_a_folder_are_left_alone(capsys: Capture) -> None:
    record("test_a", streamed())
    Path("package.json").write_text('{"name": "mine"}')

    assert main(["explain", "."]) == 0
    assert "package.json" not in capsys.readouterr().out


def test_a_recording_that_cannot_be_read_is_named_and_the_others_are_explained(capsys: Capture) -> None:
    record("test_b", streamed())
    Path("cassettes/test_it/test_a.1.jsonl").write_text("{}\n")

    assert main(["explain", "cassettes"]) == 1
    first, *others = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{CassetteError.what} cassettes/test_it/test_a.1.jsonl, line 1: ")
    assert any("test_b" in line for line in others)


def test_a_folder_without_anything_to_explain_is_a_problem(capsys: Capture) -> None:
    assert main(["explain", "."]) == 1
    assert capsys.readouterr().out == "no recordings or reports in .\n"


def test_a_place_that_is_not_there_is_a_mistake_of_the_command(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as left:
        main(["explain", "nowhere"])

    assert left.value.code == 2
    assert "there is no nowhere" in capsys.readouterr().err


def test_lines_are_as_long_as_the_terminal_and_paths_and_ids_stay_whole(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    answer = streamed(pieces=[(1200, "text", "a"), (7300, "text", "b")])
    path = record(f"test_{'long' * 20}", refused(asked(stream=True), at=920), answer)

    assert main(["explain", path]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [path, f"  test_it.py::test_{'long' * 20}"]
    assert max(map(len, lines[2:])) <= 60
    assert {line[:12].strip() for line in lines[2:]} == {"test", "call 1", "call 2", "path", "finding", ""}


@pytest.mark.parametrize("form", ["markdown", "json"])
def test_a_document_for_agents_has_facts_and_the_command_that_verifies(form: str, capsys: Capture) -> None:
    record("test_a", streamed(pieces=[(1200, "text", "a"), (7300, "text", "b")]))
    record("test_b", refused(asked(stream=True), at=920), streamed(sent=9920, pieces=[(500, "text", "a")]))

    assert main(["explain", f"--format={form}", "."]) == 0

    text = capsys.readouterr().out
    assert text.index("test_it.py::test_b") < text.index("test_it.py::test_a")
    assert "pytest --latency-budget --latency-explain test_it.py::test_b" in text
    assert "9.000s" in text or "9.92s" in text
    if form == "json":
        assert json.loads(text)["tests"][0]["findings"][0]["rule"] == "retries"


@pytest.mark.parametrize(
    ("recorded", "here", "verified"),
    [
        ("tests/test_it.py::test_a[x]", ".", "app/tests/test_it.py::test_a[x]"),
        ("app/tests/test_it.py::test_a[x]", "app", "tests/test_it.py::test_a[x]"),
        ("test_it.py::test_a[x]", "app/docs", "../tests/test_it.py::test_a[x]"),
        ("elsewhere/test_it.py::test_a[x]", ".", "elsewhere/test_it.py::test_a[x]"),
        ("\0.py::test_a[x]", ".", "\\x00.py::test_a[x]"),
    ],
)
def test_the_command_that_verifies_names_the_test_as_pytest_finds_it_here(
    recorded: str, here: str, verified: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    tests = Path("app/tests").absolute()
    replace(recording(whole()), test=recorded).save(tests / "cassettes/test_it/test_a.1.jsonl")
    (tests / "test_it.py").touch()
    Path("app/docs").mkdir()
    monkeypatch.chdir(here)

    assert main(["explain", "--format=json", str(tests)]) == 0

    (test,) = json.loads(capsys.readouterr().out)["tests"]
    assert test["verify"] == f"pytest --latency-budget --latency-explain {shlex.quote(verified)}"


def test_a_report_in_a_folder_of_its_own_names_tests_from_here_too(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    Path("app/.latency").mkdir(parents=True)
    Path("app/test_it.py").touch()
    Path(report(findings=[], breakdown={})).rename("app/.latency/run.json")

    assert main(["explain", "--format=json", "app/.latency/run.json"]) == 0

    assert "--latency-explain app/test_it.py::test_a" in capsys.readouterr().out


def test_a_document_for_agents_names_the_lines_also_where_one_line_makes_all_calls(capsys: Capture) -> None:
    calls = [{**some_call().as_json(), "location": f"app.py:{line} in ask"} for line in (7, 7, 9)]
    finding = {"rule": "retries", "fact": "x", "remedy": "y", "cost": 1.0}
    report(calls=calls, findings=[finding, {**finding, "calls": [3]}, {**finding, "made_at": ["b.py:1"]}], breakdown={})

    assert main(["explain", "--format=json", "report.json"]) == 0

    (test,) = json.loads(capsys.readouterr().out)["tests"]
    lines = [found["lines"] for found in test["findings"]]
    assert lines == [["app.py:7 in ask", "app.py:9 in ask"], ["app.py:9 in ask"], ["b.py:1"]]


def pessimistic_tokens(text: str) -> float:
    """As many tokens as the text can have: one for two and a half letters, and one for each other character."""
    return sum(0.4 if ord(character) < 128 else 1.0 for character in text)


@pytest.mark.parametrize("form", ["markdown", "json"])
def test_a_document_for_agents_fits_their_context_whatever_names_tests_have(form: str, capsys: Capture) -> None:
    for number in range(100):
        record(f"test_{number}", streamed(pieces=[(1200, "text", "a"), (7300, "text", "b")]))
    report(nodeid=f"test_it.py::test[{'x' * 20_000}]", findings=[], breakdown={})

    main(["explain", f"--format={form}", "."])

    text = capsys.readouterr().out
    assert pessimistic_tokens(text) <= 2000
    assert "left_out" in text or "more tests are left out" in text


def test_a_document_counts_one_test_that_is_left_out(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("test_0", "test_1"):
        record(name, streamed(pieces=[(1200, "text", "a"), (7300, "text", "b")]))
    monkeypatch.setattr("pytest_claude_latency.cli.explained_documents._MOST", 600)

    main(["explain", "--format=markdown", "."])

    text = capsys.readouterr().out
    assert text.count("\n## ") == 1
    assert "1 more test is left out; name fewer files to see all." in text


@pytest.mark.parametrize("form", ["markdown", "json"])
@pytest.mark.parametrize(
    "letter", ["x", pytest.param("慢", marks=pytest.mark.slow), pytest.param("🐢", marks=pytest.mark.slow)]
)
def test_a_document_for_agents_fits_whatever_was_found(form: str, letter: str, capsys: Capture) -> None:
    finding = {
        "rule": "retries",
        "fact": f"9.000s {letter * 5000}",
        "remedy": letter * 5000,
        "cost": 9.0,
        "made_at": [f"app/{letter * 50}.py:{line}" for line in range(1000)],
    }
    report(findings=[finding] * 300, breakdown={})

    assert main(["explain", f"--format={form}", "."]) == 0

    text = capsys.readouterr().out
    assert pessimistic_tokens(text) <= 2000
    assert "retries" in text


def test_a_document_for_agents_tells_what_cannot_be_read(capsys: Capture) -> None:
    Path("report.json").write_text('{"schema": 1, "tests": [3]}')

    assert main(["explain", "--format=markdown", "report.json"]) == 1
    assert "cannot read the report report.json" in capsys.readouterr().err

"""`claude-latency show` and `diff`: recordings as drawings, and two of them side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_claude_latency.cli.command import main
from pytest_claude_latency.messages_api.exchange import Exchange
from tests.support.some_recording import recording
from tests.support.written_calls import asked, refused, streamed

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "63")


def record(name: str, *exchanges: Exchange) -> str:
    path = Path("cassettes/test_it") / f"{name}.1.jsonl"
    replace(recording(*exchanges), test=f"test_it.py::{name}").save(path)
    return str(path)


def test_a_call_is_drawn_on_the_time_axis_of_its_test(capsys: Capture) -> None:
    path = record(
        "test_a",
        refused(asked(stream=True), at=1000),
        streamed(sent=2000, pieces=[(1000, "thinking", "a"), (2000, "text", "b"), (3000, "text", "c")]),
    )

    assert main(["show", path]) == 0

    head, test, _, axis, whole, call, *below = capsys.readouterr().out.splitlines()
    assert (head, test) == (path, "  test_it.py::test_a")
    assert axis.split() == ["0ms", "5.000s"]
    assert call == f"  {'call 1':<10}{'x' * 10}{'~' * 10}{'.' * 10}{'▒' * 10}{'█' * 10}"
    assert whole == call.replace("call 1", "test  ")
    assert [line.strip() for line in below] == [
        "claude-haiku-4-5, streamed, 2 attempts",
        "sent 0ms · headers 2300ms · first token 3000ms ·",
        "first answer token 4000ms · end 5000ms",
        "x refused  ~ back-off  . waiting  ▒ thinking",
        "█ answering",
    ]


def test_all_recordings_of_a_folder_are_drawn_and_a_damaged_one_is_told(capsys: Capture) -> None:
    record("test_a", streamed(pieces=[(500, "text", "a")]))
    Path(record("test_b", streamed(pieces=[(500, "text", "a")]))).write_text("{")

    assert main(["show", "."]) == 1

    output = capsys.readouterr()
    assert "test_it.py::test_a" in output.out
    assert "test_b.1.jsonl,\n  line 1" in output.err


def test_a_folder_without_recordings_is_told(capsys: Capture) -> None:
    assert main(["show", "."]) == 1
    assert capsys.readouterr().out == "no recordings in .\n"


def test_equal_recordings_do_not_differ(capsys: Capture) -> None:
    paths = [record(name, streamed(pieces=[(500, "text", "a")])) for name in ("test_a", "test_b")]

    assert main(["diff", *paths]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == ["no difference"]


def test_two_recordings_differ_in_requests_and_in_phases(capsys: Capture) -> None:
    before = record(
        "test_a", streamed(asked("Where is it?", stream=True), pieces=[(1000, "text", "a"), (2000, "text", "b")])
    )
    after = record(
        "test_b",
        streamed(asked("Where was it?", stream=True), pieces=[(1500, "text", "a"), (2000, "text", "b")]),
        streamed(sent=3000, pieces=[(500, "text", "a")]),
    )

    assert main(["diff", before, after]) == 1

    output = capsys.readouterr().out
    assert "  request   messages[0].content: 'Where is it?' → 'Where was\n            it?'\n" in output
    rows = [line.split() for line in output.splitlines()]
    assert ["waiting", "1.000s", "1.500s", "+500ms"] in rows
    assert ["answering", "1.000s", "500ms", "-500ms"] in rows
    assert output.endswith("call 2\n  only in B: claude-haiku-4-5, streamed\n")


def test_a_credential_is_not_shown(capsys: Capture) -> None:
    keys = ["sk-ant-api03-" + letter * 95 for letter in "ab"]
    paths = [record(f"test_{place}", streamed(asked("x", stream=True))) for place in range(2)]
    for path, key in zip(paths, keys, strict=True):
        Path(path).write_text(Path(path).read_text().replace('"content": "x"', f'"content": "{key}"'))

    main(["diff", *paths])

    assert "a" * 20 not in capsys.readouterr().out

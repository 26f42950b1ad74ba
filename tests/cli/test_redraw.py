"""`claude-latency report`: any report from the JSON report of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_claude_latency.cli.command import main
from pytest_claude_latency.report import data
from pytest_claude_latency.report.faces import markdown
from tests.support.some_pages import report_with_everything

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(report: Any) -> str:
    Path("run.json").write_text(data.render(report), "utf-8")
    return "run.json"


def test_every_face_is_made_from_a_saved_report(capsys: Capture) -> None:
    report = report_with_everything(tests=2)

    assert main(["report", written(report), "-o", "a.html", "--output=b.md", "-o", "json:c"]) == 0

    assert capsys.readouterr().out.splitlines() == ["wrote a.html", "wrote b.md", "wrote c"]
    assert Path("a.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    assert Path("b.md").read_text("utf-8") == markdown.render(report)
    assert Path("c").read_text("utf-8") == Path("run.json").read_text("utf-8")


@pytest.mark.parametrize("field", ["limit", "measured"])
@pytest.mark.parametrize("face", ["a.html", "a.trace.json"])
def test_a_text_in_the_place_of_a_number_does_not_fill_the_memory(face: str, field: str, capsys: Capture) -> None:
    report = report_with_everything(tests=1)
    # ten terabytes, if it were repeated as often as a second has microseconds
    report["tests"][0]["budgets"][0][field] = "x" * 10_000_000

    assert main(["report", written(report), "-o", face]) == 2

    assert capsys.readouterr().err.startswith("claude-latency: run.json is damaged: ")


@pytest.mark.parametrize(
    "damage",
    [
        lambda report: report["summary"].pop("rows"),
        lambda report: report["tests"].clear(),
        lambda report: report["tests"][0].pop("calls"),
        lambda report: report["summary"].update(rows=3),
        lambda report: report.update(tests=[None]),
        lambda report: report["summary"].update(counts=[]),
        lambda report: report["summary"].pop("not_judged"),
        lambda report: report["tests"][0]["budgets"][0].update(limit=1e308),
    ],
)
def test_a_damaged_report_is_one_message_and_no_file(damage: Any, capsys: Capture) -> None:
    report = json.loads(json.dumps(report_with_everything(tests=1)))
    damage(report)

    assert main(["report", written(report), "-o", "a.html", "-o", "a.md"]) == 2

    assert capsys.readouterr().err.startswith("claude-latency: run.json is damaged: ")


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"summary": 5}', '{"schema": 1, "tests": []}', '{"of": "something else"}']
)
def test_what_is_no_report_is_told(text: str, capsys: Capture) -> None:
    Path("run.json").write_text(text)

    assert main(["report", "run.json", "-o", "a.html"]) == 2

    assert "cannot read the report" in capsys.readouterr().err
    assert not Path("a.html").exists()

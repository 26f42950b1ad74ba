"""What docs/command.md shows is what the command prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_claude_latency.cli.command import main
from pytest_claude_latency.metrics.series import Series
from pytest_claude_latency.report.exports import FORMATS
from tests.cli.test_suggest import write_report
from tests.support.some_baseline import COMMIT, LABEL, live, replayed, save
from tests.support.some_call import some_call
from tests.support.some_results import some_result

PAGE = (Path(__file__).parents[2] / "docs" / "command.md").read_text("utf-8")
TWO_DRAFTS = "tests/test_drafts.py::test_drafts_are_written_side_by_side"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    return tmp_path


def blocks() -> list[str]:
    return re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def label(ttft: float) -> Series:
    """Twenty live samples of which only the time to first token differs from run to run."""
    return live(
        LABEL, [3.0 + number / 1000 for number in range(20)], ttft=[ttft + number / 1000 for number in range(20)]
    )


def test_the_comparison_shown_is_what_is_printed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, overlapping, later = some_call(total=2.0), some_call(total=2.0), some_call(sent=2.0, total=2.0)
    thanks = replayed("tests/test_feedback.py::test_thanks")
    save(project, "main", replayed(TWO_DRAFTS, first, overlapping, elapsed=2.0), label(0.4), thanks)
    save(project, "now", replayed(TWO_DRAFTS, first, later, elapsed=4.0), label(0.6))

    main(["compare", "main", "now"])

    assert capsys.readouterr().out == blocks()[0]


def test_the_list_shown_is_what_is_printed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(project, "main", label(0.4), live("tests/test_triage.py::test_draft", [1.0] * 20), commit=f"{COMMIT}-dirty")
    save(project, "offline", replayed())

    main(["list"])

    printed, shown = (re.sub(r" [\d.]+ kB", "", text) for text in (capsys.readouterr().out, blocks()[1]))
    assert printed == shown


def test_the_suggestion_shown_is_what_is_printed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drafts = [some_call(total=2.0), some_call(sent=0.1, total=1.9)]
    results = [
        some_result(LABEL, [some_call(ttft=0.4 + number / 1000)], {"ttft": "800ms"}, sample=number)
        for number in range(1, 60)
    ]
    write_report(
        project / "latency.json", *results, some_result(TWO_DRAFTS, drafts, {"calls": 2, "output_tokens": 200})
    )

    main(["suggest", "latency.json"])

    assert capsys.readouterr().out == blocks()[2]


def test_the_formats_shown_are_those_there_are() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(FORMATS)

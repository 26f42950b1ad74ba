from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from pytest_claude_latency.errors import LimitError
from pytest_claude_latency.report import formats
from pytest_claude_latency.report.formats import ACCEPTED
from tests.support.some_results import report_of, some_result


@pytest.mark.parametrize(
    ("text", "form", "path"),
    [
        ("report.json", "json", "report.json"),
        ("out/r.html", "html", "out/r.html"),
        ("r.HTM", "html", "r.HTM"),
        ("r.md", "markdown", "r.md"),
        ("json:r.txt", "json", "r.txt"),
        ("md:-odd:name", "markdown", "-odd:name"),
        ("Markdown:r", "markdown", "r"),
        ("html:r.json", "html", "r.json"),
        ("out/trace.json", "trace", "out/trace.json"),
        ("r.trace.json", "trace", "r.trace.json"),
        ("trace:r", "trace", "r"),
        ("json:trace.json", "json", "trace.json"),
        ("mytrace.json", "json", "mytrace.json"),
        ("C:\\out\\r.json", "json", "C:\\out\\r.json"),
        ("out/a:b.json", "json", "out/a:b.json"),
    ],
)
def test_a_report_is_chosen_by_its_prefix_or_else_its_suffix(text: str, form: str, path: str) -> None:
    assert formats.parse_target(text) == (form, Path(path))


@pytest.mark.parametrize("text", ["", "report", "report.xml", "xml:report.json", "json:", ".json", "r.json.gz"])
def test_an_unknown_report_is_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(LimitError) as refused:
        formats.parse_target(text)

    assert str(refused.value) == f"{text!r} is not a report; accepted: {ACCEPTED}"


def test_a_slip_in_the_name_of_a_format_is_told_with_the_name_that_was_meant() -> None:
    with pytest.raises(LimitError, match=r"^'markdwon:out' is not a report; did you mean 'markdown'\?; accepted: "):
        formats.parse_target("markdwon:out")


@pytest.mark.parametrize(
    ("form", "start"),
    [("json", '{\n  "schema": 1,'), ("html", "<!DOCTYPE html>"), ("markdown", "<!-- pytest-claude-latency -->")],
)
def test_every_format_is_written_in_a_folder_that_is_made_for_it(tmp_path: Path, form: str, start: str) -> None:
    path = tmp_path / "new" / "folder" / "report"

    formats.write(report_of(some_result()), form, path)

    assert path.read_text("utf-8").startswith(start)
    assert [file.name for file in path.parent.iterdir()] == ["report"]


@pytest.mark.parametrize("before", ["", "## Lint", "## Lint\n", "## Lint\n\n"])
def test_a_report_is_added_to_the_summary_page_of_its_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    page = tmp_path / "step_summary"
    page.write_text(before)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))

    formats.write(report_of(some_result()), "markdown", tmp_path / "." / "step_summary")

    report = formats.render(report_of(some_result()), "markdown")
    assert page.read_text("utf-8") == (f"## Lint\n\n{report}" if before else report)


def test_a_report_next_to_the_summary_page_replaces_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step_summary"))
    path = tmp_path / "r.md"
    path.write_text("old")

    formats.write(report_of(), "markdown", path)

    assert "old" not in path.read_text("utf-8")


def test_a_report_replaces_the_last_one(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text("x" * 100_000)

    formats.write(report_of(), "json", path)

    assert json.loads(path.read_text("utf-8"))["tests"] == []


def test_a_write_that_fails_leaves_the_last_report_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.json"
    path.write_text("the last report")

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space left"):
        formats.write(report_of(), "json", path)

    assert path.read_text() == "the last report"
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.write_text("")

    formats.write(report_of(), "json", tmp_path / "r.json")

    assert (tmp_path / "r.json").stat().st_mode == ordinary.stat().st_mode


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    link.symlink_to(target)

    formats.write(report_of(), "json", link)

    assert link.is_symlink()
    assert json.loads(target.read_text("utf-8"))["schema"] == 1


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()), daemon=True)
    reader.start()

    formats.write(report_of(), "json", pipe)

    reader.join(10)
    assert json.loads(received[0])["schema"] == 1
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_characters_that_cannot_be_encoded_are_escaped(tmp_path: Path) -> None:
    nodeid = "a.py::t[\ud83d]"

    formats.write(report_of(some_result(nodeid)), "json", tmp_path / "r.json")

    assert json.loads((tmp_path / "r.json").read_text("utf-8"))["tests"][0]["nodeid"] == nodeid

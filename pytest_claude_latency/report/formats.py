"""Report files: which format a file has, and the text in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pytest_claude_latency.atomic_files import write_text
from pytest_claude_latency.errors import LimitError
from pytest_claude_latency.near_names import did_you_mean
from pytest_claude_latency.report import data
from pytest_claude_latency.report.faces import html, markdown, trace

SUFFIXES: Mapping[str, str] = {".json": "json", ".html": "html", ".htm": "html", ".md": "markdown"}
NAMES: Mapping[str, str] = {"json": "json", "html": "html", "markdown": "markdown", "md": "markdown", "trace": "trace"}
_RENDERERS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "json": data.render,
    "html": html.render,
    "markdown": markdown.render,
    "trace": trace.render,
}
_STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
ACCEPTED = (
    "a file that ends in .trace.json, .json, .html or .md, or FORMAT:FILE with trace, json, html or markdown as FORMAT"
)


def parse_target(text: str) -> tuple[str, Path]:
    """Return the format and the file of `--latency-report=TEXT`: `report.json`, `markdown:summary.txt`.

    Raises:
        LimitError: the format is not known, or no file is named.
    """
    name, colon, file = text.partition(":")
    # a colon may also be part of a path: one letter before it is the drive of a Windows path
    names_format = colon and len(name) > 1 and name.isalpha()
    form = NAMES.get(name.lower()) if names_format else SUFFIXES.get(Path(text).suffix.lower())
    file_name = Path(text).name.lower()
    if not names_format and (file_name == "trace.json" or file_name.endswith(".trace.json")):
        form = "trace"
    if form is None or (names_format and not file):
        hint = did_you_mean(name, NAMES) if names_format and form is None else ""
        raise LimitError(f"{text!r} is not a report{hint}; accepted: {ACCEPTED}")
    return form, Path(file if names_format else text)


def render(report: Mapping[str, Any], form: str) -> str:
    """Return the text of a report from its data; `form` is a format that `parse_target` returns."""
    return _RENDERERS[form](report)


def write(report: Mapping[str, Any], form: str, path: Path) -> None:
    """Write a report to `path`, whose folders are made where they are missing.

    The summary page of a step in GitHub Actions is one file for all that the step runs, so the report is added to it.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
    """
    page = os.environ.get(_STEP_SUMMARY)
    before = ""
    if page and path.resolve() == Path(page).resolve() and path.is_file():
        before = path.read_text("utf-8", "replace")
        # without an empty line, Markdown would take the title for a part of the paragraph before it
        before += "" if not before or before.endswith("\n\n") else "\n" if before.endswith("\n") else "\n\n"
    write_text(path, before + render(report, form))

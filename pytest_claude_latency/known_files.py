"""Known files: what a file is that something else was expected in, and which command reads it.

A user who gives a report in place of a recording is told so, and not that some line of it is no JSON.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any, Final

CASSETTE: Final = "claude-latency-cassette"
BASELINE: Final = "claude-latency-baseline"
REPORT_MARKER: Final = "<!-- pytest-claude-latency -->"
"""The first line of a Markdown report: it names whose comment on a pull request this is."""
_REPORT: Final = "it is the JSON report of a run: claude-latency explain, compare and report read it"
_READ_BY: Final = {
    CASSETTE: "it is a recording: claude-latency show, diff and explain read it",
    BASELINE: "it is a baseline: claude-latency compare, list and export read it",
}
_FOR_READERS: Final = "it is {} for people: commands read the JSON report of a run, --latency-report=run.json"
_PAGE: Final = re.compile(r"\s*<(?:!doctype\s+)?html", re.IGNORECASE)


def what_it_is(text: str) -> str | None:
    """Return what a text is, and what reads it; None if no command of this package writes such a file."""
    if _PAGE.match(text):
        return _FOR_READERS.format("an HTML page")
    if text.startswith(REPORT_MARKER):
        return _FOR_READERS.format("a Markdown report")
    # lines of JSON, of which the first says what they are, or one value over several lines
    for part in (text.partition("\n")[0], text):
        with suppress(ValueError, RecursionError):
            return what_object_is(json.loads(part))
    return None


def what_object_is(value: Any) -> str | None:
    """Return the same for the value of a file, or for its first line."""
    if not isinstance(value, dict):
        return None
    if isinstance(name := value.get("format"), str):
        return _READ_BY.get(name)
    # a report, be it a damaged one
    if value.keys() >= {"schema", "tests"}:
        return _REPORT
    if "traceEvents" in value:
        return "it is a trace: https://ui.perfetto.dev opens it"
    return None


def is_report(text: str) -> bool:
    """Return whether a text is the JSON report of a run, be it a damaged one."""
    return what_it_is(text) == _REPORT

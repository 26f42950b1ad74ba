"""Failures as pytest shows them, of which this package says the text: what happened comes first, in lines that fit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pytest_claude_latency.errors import NotUnderstoodError, is_ours
from pytest_claude_latency.printable import WIDTH, fitted, printable_lines

_PACKAGE = Path(__file__).parents[1]
_MARK = re.compile("E +")
"""What pytest puts in front of a text below the line that failed: how wide it is depends on that line."""


def failure_of(text: str) -> Any:
    """Return a failure as pytest shows it: the text, and no traceback."""
    try:
        # Raised, since pytest makes such a text of nothing but an exception that was caught.
        raise pytest.fail.Exception(fitted(text), pytrace=False)
    except pytest.fail.Exception:
        failure = pytest.ExceptionInfo.from_current().getrepr(style="value")
    lead_with(failure, text)
    return failure


def lead_with(failure: Any, text: str) -> None:
    """Let pytest's short summary, and JUnit's message, begin with this text in place of the exception's class.

    The line has room for little: of `Failed: ttft was 912ms, 112ms over…` the first word says what `FAILED` said.
    """
    # a text without a place, as of a failed collection, has no such line
    if (crash := getattr(failure, "reprcrash", None)) is not None:
        crash.message = text


def fit(failure: Any, error: BaseException) -> None:
    """Let the traceback of an error of this package end in the reader's own line, with its text in lines that fit.

    The class and the frames of this package say nothing to a reader. An error of others stays as it is, and so does
    one that pytest shows without its marks, as Python shows it.
    """
    entries: list[Any] = getattr(getattr(failure, "reprtraceback", None), "reprentries", [])
    lines: list[str] = entries[-1].lines if entries else []
    marks = [(place, found[0]) for place, line in enumerate(lines) if (found := _MARK.match(line))]
    if not marks or not is_ours(error):
        return
    place, mark = marks[0]
    del lines[place:]
    last = entries[-1]
    while len(entries) > 1 and _is_ours(entries[-1]):
        entries.pop()
    if last is not entries[-1] and last.style == "long":
        entries[-1].reprfileloc.message = last.reprfileloc.message
    text = error.labelled() if isinstance(error, NotUnderstoodError) else printable_lines(str(error))
    text = "\n".join([text, *map(printable_lines, getattr(error, "__notes__", ()))])
    entries[-1].lines += [f"{mark}{line}".rstrip() for line in fitted(text, WIDTH - len(mark)).split("\n")]


def _is_ours(entry: Any) -> bool:
    """Return whether a frame is of this package; the `__init__` of a dataclass is in no file."""
    path = getattr(entry.reprfileloc, "path", "")
    return path == "<string>" or _PACKAGE in Path(path).absolute().parents

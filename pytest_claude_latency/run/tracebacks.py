"""Tracebacks in reports: where a test itself failed. Code and values in them may be prompts and answers."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

_MOST_LINES: Final = 30
_MOST_PLACES: Final = 8
_PYTESTS: Final = frozenset({"_pytest", "pluggy"})
"""The packages that run a test: each failure has their frames, which say nothing about it."""


def shown(
    item: pytest.Item, report: pytest.TestReport, excinfo: pytest.ExceptionInfo[BaseException] | None, *, content: bool
) -> str:
    """Return the end of a failure's traceback; without `content` only its places, and the class of the exception."""
    if content:
        return "\n".join(report.longreprtext.splitlines()[-_MOST_LINES:])
    if excinfo is None:
        return ""
    places = []
    for entry in excinfo.traceback.cut(path=item.path).filter(excinfo):
        path = Path(str(entry.path))
        if _PYTESTS.isdisjoint(path.parts):
            place = path.relative_to(item.config.rootpath) if path.is_relative_to(item.config.rootpath) else path
            places.append(f"{place.as_posix()}:{entry.lineno + 1} in {entry.name}")
    return "\n".join([*places[-_MOST_PLACES:], excinfo.typename])

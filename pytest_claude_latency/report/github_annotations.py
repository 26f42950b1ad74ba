"""Annotations: broken budgets as GitHub Actions shows them, at the line of their test."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pytest_claude_latency.budgets.judgement import headline
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import printable
from pytest_claude_latency.report.summary import Row, Summary

MOST: Final = 9
"""GitHub shows ten errors of a step, and the last one says how many there are besides."""


def lines(summary: Summary, root: Path) -> list[str]:
    """Return the commands that annotate each broken budget, the worst first; `root` is where places count from."""
    broken: list[tuple[Row, str]] = []
    for row in sorted((row for row in summary.rows if row.fails), key=lambda row: row.urgency):
        texts = [headline(judgement) for judgement in row.broken]
        texts += [inner.headline() for inner in row.inner if inner.judgement.broken]
        texts += [verdict.headline for verdict in row.run_verdicts if verdict.fails]
        broken += [(row, text) for text in dict.fromkeys(texts)]
    commands = []
    for row, text in broken[:MOST]:
        place = next((sample.place for sample in row.samples if sample.place), "")
        title = f"latency budget of {printable(row.nodeid)}"
        commands.append(_command(text, title=title, place=place, root=root))
    if len(broken) > MOST:
        text = f"{number_of(len(broken) - MOST, 'more broken budget')}: the reports of the run have them all"
        commands.append(_command(text, title="latency budgets"))
    return commands


def _command(text: str, *, title: str, place: str = "", root: Path | None = None) -> str:
    """Return one command, so that no text in it can end it or become another."""
    properties = {"title": title}
    file, _, line = place.rpartition(":")
    if file and root is not None:
        workspace = Path(os.environ.get("GITHUB_WORKSPACE") or root)
        path = (root / file).resolve()
        # places count from the checkout, which may hold the suite in a folder
        shown = path.relative_to(workspace.resolve()) if path.is_relative_to(workspace.resolve()) else Path(file)
        properties = {"file": shown.as_posix(), "line": line, **properties}
    escaped = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in properties.items())
    return f"::error {escaped}::{_escaped(printable(text))}"


def _escaped(text: str, others: Sequence[str] = "") -> str:
    return "".join(f"%{ord(char):02X}" if char in "%\r\n" or char in others else char for char in text)

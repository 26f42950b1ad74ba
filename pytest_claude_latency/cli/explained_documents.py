"""What `explain` says, as a document for a coding agent: little enough for its context, the costliest finding first."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pytest_claude_latency.diagnosis.finding import Finding
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import printable, printable_json
from pytest_claude_latency.report.faces.markdown import code

FORMATS: Final = ("markdown", "json")
_MOST: Final = 5000
"""Bytes of a document, at most 2,000 tokens: of paths and numbers a token holds two and a half or more, and a Chinese
character, which may be a token, has three."""
_MOST_OF_ONE: Final = 400
"""Characters of one text: a name may be longer than all else."""
_MOST_LINES: Final = 5
"""Lines of the program that one finding names: the same call may be made in many places."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one test: from which file, where its time went, and what was found."""

    file: str
    nodeid: str
    sample: int
    time: str
    findings: tuple[Finding, ...]

    @property
    def cost(self) -> int:
        """What its costliest finding is about, in nanoseconds."""
        return max((finding.cost for finding in self.findings), default=-1)

    @property
    def selector(self) -> str:
        """The test as pytest takes it here, where its file is found: ids count from the rootdir of the run."""
        file, colons, name = self.nodeid.partition("::")
        with suppress(OSError, ValueError):  # an id from a file may be no name of one
            for folder in (*Path(self.file).resolve().parents, Path.cwd()):
                if (folder / file).is_file():
                    return f"{Path(os.path.relpath(folder / file)).as_posix()}{colons}{name}"
        return self.nodeid

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON types, with the command that verifies a change."""
        return {
            "test": _short(self.nodeid),
            "sample": self.sample,
            "file": _short(self.file),
            "time": _short(self.time),
            "findings": [
                {
                    "rule": finding.rule,
                    "fact": _short(finding.fact),
                    "lines": [_short(line) for line in finding.made_at[:_MOST_LINES]],
                    "try": _short(finding.remedy),
                    "saves": None if finding.saving is None else _short(finding.saving.text()),
                }
                for finding in sorted(self.findings, key=lambda finding: -finding.cost)
            ],
            "verify": _short(f"pytest --latency-budget --latency-explain {shlex.quote(printable(self.selector))}"),
        }


def render(entries: Sequence[Entry], form: str) -> str:
    """Return the document; what does not fit is counted."""
    ordered = sorted(entries, key=lambda entry: (-entry.cost, entry.nodeid, entry.sample))
    kept: list[dict[str, Any]] = []
    room = _MOST - 200
    for entry in ordered:
        values = entry.as_json()
        # of the test that matters most something is told, be it long: then its costliest findings
        while (size := _size(values, form)) > room and not kept and values["findings"]:
            values["findings"].pop()
        room -= size
        if room < 0:
            break
        kept.append(values)
    left_out = len(ordered) - len(kept)
    if form == "json":
        return printable_json(json.dumps({"tests": kept, "left_out": left_out}, ensure_ascii=False))
    parts = ["# Where the time of Claude calls goes", *map(_markdown, kept)]
    if not ordered:
        parts.append("No recordings or reports were found.")
    if left_out:
        are = "is" if left_out == 1 else "are"
        parts.append(f"{number_of(left_out, 'more test')} {are} left out; name fewer files to see all.")
    return "\n\n".join(parts)


def _size(values: dict[str, Any], form: str) -> int:
    text = _markdown(values) if form == "markdown" else json.dumps(values, ensure_ascii=False)
    return len(text.encode(errors="replace")) + 2


def _markdown(values: dict[str, Any]) -> str:
    sample = "" if values["sample"] == 1 else f", sample {values['sample']}"
    lines = [f"## {code(values['test'])}{sample}", "", f"- time: {values['time']}", f"- from: {code(values['file'])}"]
    for finding in values["findings"]:
        made_at = f" at {', '.join(map(code, finding['lines']))}" if finding["lines"] else ""
        saves = f"; {finding['saves']}" if finding["saves"] else ""
        lines.append(f"- {finding['rule']}{made_at}: {finding['fact']}. Try: {finding['try']}{saves}")
    if not values["findings"]:
        lines.append("- no findings")
    return "\n".join([*lines, f"- verify: {code(values['verify'])}"])


def _short(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= _MOST_OF_ONE else f"{shown[:_MOST_OF_ONE]}…"

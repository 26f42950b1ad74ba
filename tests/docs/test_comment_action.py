"""The action that keeps one comment on a pull request current: its script, with a `gh` that notes what it is asked."""

from __future__ import annotations

import os
import re
import subprocess
import textwrap
from pathlib import Path

import pytest

from pytest_claude_latency.known_files import REPORT_MARKER

ACTION = Path(__file__).parents[2] / ".github" / "actions" / "latency-comment" / "action.yml"
GH = """#!/usr/bin/env bash
if [[ $* == *--paginate* ]]; then printf '%s' "$FOUND"; else printf '%s\\n' "$*" >> asked; fi
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    found = re.search(r"^      run: \|\n(.*)", ACTION.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found
    return textwrap.dedent(found[1])


def run(script: str, folder: Path, found: str = "") -> str:
    """What the script says; what it asks of GitHub is in the file `asked`."""
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "FOUND": found,
        "REPORT": "latency.md",
        "COMMENTS": "repos/o/n/issues/7/comments",
        "GITHUB_REPOSITORY": "o/n",
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    ("found", "asked"),
    [
        ("", "api --method POST repos/o/n/issues/7/comments --field body=@latency.md --silent"),
        ("31\n", "api --method PATCH repos/o/n/issues/comments/31 --field body=@latency.md --silent"),
    ],
    ids=["the first", "the next"],
)
def test_a_comment_is_made_once_and_then_kept_current(script: str, found: str, asked: str, tmp_path: Path) -> None:
    (tmp_path / "latency.md").write_text("x")

    run(script, tmp_path, found)

    assert (tmp_path / "asked").read_text().splitlines() == [asked]


def test_a_missing_report_is_told_and_fails_nothing(script: str, tmp_path: Path) -> None:
    assert run(script, tmp_path).startswith("::warning::there is no latency.md")
    assert not (tmp_path / "asked").exists()


def test_the_comment_is_found_by_the_marker_of_the_report() -> None:
    assert f"MARKER: {REPORT_MARKER}\n" in ACTION.read_text("utf-8")

"""The workflow that opens a pull request with new recordings: its steps, with commands that note their arguments."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")
WORKFLOW = Path(__file__).parents[2] / "docs" / "workflows" / "refresh-recordings.yml"
STAND_IN = """#!/usr/bin/env bash
echo "$(basename "$0") $*" >> "$ASKED"
if [[ $* == 'drift '* ]]; then echo '## Claude API: drift' > drift.md; exit "${DRIFT:-1}"; fi
if [[ $* == 'pr list '* ]]; then printf '%s' "$OPEN"; fi
if [[ $* == --latency-mode=record* ]]; then echo new > tests/cassettes/test_a/test_it.1.jsonl; exit "${PYTEST:-0}"; fi
"""


def steps() -> dict[str, dict[str, Any]]:
    (job,) = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"].values()
    return {step["name"]: step for step in job["steps"] if "name" in step}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A clone whose `claude-latency`, `pytest` and `gh` are stand-ins."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name in ("claude-latency", "pytest", "gh"):
        (binaries / name).write_text(STAND_IN)
        (binaries / name).chmod(0o755)
    project = tmp_path / "project"
    recording = project / "tests" / "cassettes" / "test_a" / "test_it.1.jsonl"
    recording.parent.mkdir(parents=True)
    recording.write_text("old\n")
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
    git(project, "init", "--quiet", "--initial-branch=main")
    git(project, "remote", "add", "origin", str(tmp_path / "origin.git"))
    git(project, "add", "--all")
    git(project, "-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "--message=first")
    return project


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def run(name: str, project: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    folder = project.parent
    variables = {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder),
        "ASKED": str(folder / "asked"),
        "OPEN": "",
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        "GITHUB_OUTPUT": str(folder / "output"),
        "BRANCH": steps()["Open a pull request, or renew the one that is open"]["env"]["BRANCH"],
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps()[name]["run"]]
    return subprocess.run(
        command, env=variables | environment, cwd=project, capture_output=True, text=True, check=False
    )


def asked(project: Path) -> list[str]:
    return (project.parent / "asked").read_text().splitlines()


@pytest.mark.parametrize(("status", "fails"), [(0, False), (1, False), (2, True)])
def test_drift_fails_the_job_only_if_nothing_can_be_sent(status: int, fails: bool, project: Path) -> None:
    done = run("What changed at the API", project, DRIFT=str(status))

    assert bool(done.returncode) == fails
    if not fails:
        assert (project.parent / "output").read_text() == f"status={status}\n"
        assert (project.parent / "summary").read_text() == "## Claude API: drift\n"


@pytest.mark.parametrize(
    ("opened", "last"),
    [("", "gh pr create --head latency/recordings --title Record Claude calls again --body-file drift.md"),
     ("7", "gh pr edit latency/recordings --body-file drift.md")],
    ids=["the first", "the next"],
)  # fmt: skip
def test_new_recordings_are_pushed_and_proposed_once(opened: str, last: str, project: Path) -> None:
    for name in steps():
        assert run(name, project, OPEN=opened).returncode == 0

    assert asked(project)[-1] == last
    pushed = git(project.parent / "origin.git", "show", "latency/recordings:tests/cassettes/test_a/test_it.1.jsonl")
    assert pushed == "new\n"
    assert git(project, "show", "--stat", "--format=", "HEAD").count("|") == 1  # the report is not committed


def test_a_test_that_fails_does_not_keep_the_others_back(project: Path) -> None:
    for name in steps():
        assert run(name, project, PYTEST="1").returncode == 0

    assert "gh pr create" in asked(project)[-1]
    assert "Some tests failed" in (project / "drift.md").read_text()


def test_without_new_recordings_nothing_is_proposed(project: Path) -> None:
    done = run("Open a pull request, or renew the one that is open", project)

    assert (done.returncode, done.stdout) == (0, "no new recordings\n")
    assert not (project.parent / "asked").exists()


def test_the_page_shows_the_workflow_as_it_is() -> None:
    page = (WORKFLOW.parents[1] / "ci.md").read_text("utf-8")

    assert re.search(r"\]\(workflows/refresh-recordings\.yml\)", page)

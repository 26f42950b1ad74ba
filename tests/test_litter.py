"""What killed runs leave behind, and which of it is removed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_claude_latency import litter
from pytest_claude_latency.atomic_files import write_file


@pytest.fixture
def of_a_dead_process() -> str:
    """Return the name of a file that a process made which has ended."""
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    return litter.name("new").replace(f"-{os.getpid()}-", f"-{int(ended.stdout)}-")


def test_what_a_killed_run_left_is_removed_by_the_next_write(tmp_path: Path, of_a_dead_process: str) -> None:
    (tmp_path / of_a_dead_process).touch()
    (tmp_path / of_a_dead_process.replace(".new", ".staging")).mkdir()
    (tmp_path / of_a_dead_process.replace(".new", ".staging") / "sample").touch()

    write_file(tmp_path / "report.json", b"{}")

    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_what_may_be_in_use_or_is_a_users_stays(tmp_path: Path, of_a_dead_process: str) -> None:
    elsewhere = of_a_dead_process.replace(litter.name("new")[1:9], "0" * 8)
    kept = {litter.name("new"), elsewhere, ".hidden.new", "0123456789abcdef.old", f"{of_a_dead_process}.txt"}
    for name in kept:
        (tmp_path / name).touch()

    litter.sweep(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == kept


@pytest.mark.parametrize("name", ["elsewhere", ".0123456789abcdef.old"])
def test_what_another_machine_or_an_older_version_left_is_removed_after_a_day(
    tmp_path: Path, of_a_dead_process: str, name: str
) -> None:
    if name == "elsewhere":
        name = of_a_dead_process.replace(litter.name("new")[1:9], "0" * 8)
    (tmp_path / name).touch()
    two_days_ago = time.time() - 2 * 24 * 60 * 60
    os.utime(tmp_path / name, (two_days_ago, two_days_ago))

    litter.sweep(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_no_process_is_asked_on_windows(
    tmp_path: Path, of_a_dead_process: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delattr(os, "kill")  # there it would end the process
    (tmp_path / of_a_dead_process).touch()

    litter.sweep(tmp_path)

    assert len(list(tmp_path.iterdir())) == 1

"""The fuzzer itself: that it finds what is wrong, and a few of its attacks in every run of the tests."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pytest_claude_latency.cassettes.recording import Recording
from tests.fuzz.attack import LOADING, Attack
from tests.fuzz.runs import Runs
from tests.support.claude_server import ClaudeServer


@pytest.fixture
def attack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Attack:
    """Return attacks that are the same in every run."""
    monkeypatch.chdir(tmp_path)
    return Attack(tmp_path, random.Random(13), slowest=LOADING)


def test_damaged_files_and_odd_commands_end_in_errors_of_our_own(attack: Attack) -> None:
    for _ in range(60):
        attack.file()
        attack.command()

    assert attack.faults == []


@pytest.mark.slow
def test_damaged_answers_and_recordings_end_no_run_and_fail_no_other_test(
    tmp_path: Path, claude_server: ClaudeServer
) -> None:
    runs = Runs(tmp_path / "suite", random.Random(13), claude_server)

    assert runs.recordings() == []
    assert runs.wire() == []


def test_an_error_that_is_not_ours_is_found_and_its_file_is_kept(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> Recording:
        raise KeyError(path)

    monkeypatch.setattr(Recording, "load", broken)

    for _ in range(20):
        attack.file()

    assert "KeyError" in attack.faults[0]
    assert (attack.folder / "faults" / "1" / "a.1.jsonl").exists()


def test_what_takes_too_long_is_found_once_everything_is_loaded(attack: Attack) -> None:
    attack.slowest = -1.0

    attack.file()

    assert "s of the processor" in attack.faults[0]

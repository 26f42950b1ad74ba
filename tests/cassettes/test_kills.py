"""A process that is killed at any operation on files leaves the old set, the new one, or a mixture that is noticed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_claude_latency import litter
from pytest_claude_latency.atomic_files import write_file
from pytest_claude_latency.cassettes.recording import Recording, save_set
from pytest_claude_latency.cli.check import check
from tests.support.some_recording import answering, recording

_OPERATIONS = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "shutil.copyfile", "os.chmod"}
_KILLED, _DONE = 9, 0


def _killed_at(step: int, act: Callable[[], None]) -> bool:
    """Act in a child that dies before its n-th operation on files; return whether it came that far."""
    child = os.fork()
    if child == 0:
        count = 0

        def kill(event: str, _: object) -> None:
            nonlocal count
            count += event in _OPERATIONS
            if count == step and event in _OPERATIONS:
                os._exit(_KILLED)

        sys.addaudithook(kill)
        try:
            act()
        finally:
            os._exit(_DONE)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == _KILLED


def _saved(folder: Path, *answers: str) -> None:
    """Write a set, as a run of its own: in one run a folder is swept once."""
    litter._SWEPT.clear()
    samples = [recording(answering(answer.encode()), sample=sample) for sample, answer in enumerate(answers, 1)]
    save_set(samples, folder / "test_x.py", "cassettes", "test_a")


def _answers(folder: Path) -> list[str]:
    files = sorted((folder / "cassettes" / "test_x").glob("*.jsonl"))
    return ["".join(chunk.data.decode() for chunk in Recording.load(file).exchanges[0].chunks) for file in files]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["one", "two", "three"], ["uno", "due", "tre"]),
        (["one"], ["uno", "due"]),
        (["one", "two", "three"], ["uno"]),
        (["one"], ["uno"]),
        ([], ["uno", "due"]),
        (["one", "two"], []),
    ],
)
@pytest.mark.parametrize("has_links", [True, False])
def test_a_kill_leaves_the_old_set_or_the_new_or_what_check_refuses(
    tmp_path: Path, old: list[str], new: list[str], has_links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_links:
        monkeypatch.delattr(Path, "hardlink_to")
        monkeypatch.setattr(Path, "hardlink_to", _no_links, raising=False)
    for step in range(1, 100):
        folder = tmp_path / str(step)
        _saved(folder, *old)

        if not _killed_at(step, lambda folder=folder: _saved(folder, *new)):  # type: ignore[misc]
            break

        if _answers(folder) not in (old, new):
            checked = check(sorted((folder / "cassettes").rglob("*.jsonl")), "cassettes", collect=False)
            assert any("mixed or incomplete" in problem for file in checked for problem in file.problems), step
        _saved(folder, *new)
        assert _answers(folder) == new
        _saved(folder, "next")
        assert [path.name for path in folder.rglob(".*")] == []
    else:
        pytest.fail("it never came to its end")
    assert step > 1


def _no_links(self: Path, target: Path) -> None:
    raise OSError("no links here")


def test_a_kill_leaves_the_old_file_or_the_new(tmp_path: Path) -> None:
    file = tmp_path / "baseline.jsonl"
    for step in range(1, 100):
        file.write_bytes(b"old")

        if not _killed_at(step, lambda: write_file(file, b"new")):
            break

        assert file.read_bytes() == b"old"
    assert file.read_bytes() == b"new"

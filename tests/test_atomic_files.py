from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_claude_latency.cassettes.recording import dumps, save_set
from pytest_claude_latency.errors import CassetteWriteError, CredentialError
from tests.support.some_recording import answering, recording


def _saved(file: Path, *marks: str) -> None:
    """A set of samples, told apart by what their answers say."""
    each = [recording(answering(mark.encode()), sample=sample) for sample, mark in enumerate(marks, 1)]
    save_set(each, file, "cassettes", "test_a")


def _files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_set_replaces_the_whole_set_before_it(tmp_path: Path) -> None:
    file = tmp_path / "test_x.py"
    _saved(file, "one", "two", "three", "four", "five")

    _saved(file, "uno", "due", "tre")

    files = _files(tmp_path)
    (set_mark,) = {json.loads(text.partition("\n")[0])["set"] for text in files.values()}
    assert files == {
        f"cassettes/test_x/test_a.{sample}.jsonl": dumps(
            replace(recording(answering(mark), sample=sample), samples=3, set_mark=set_mark)
        )
        for sample, mark in enumerate((b"uno", b"due", b"tre"), 1)
    }


def test_a_set_leaves_the_recordings_of_other_tests_alone(tmp_path: Path) -> None:
    file, other = tmp_path / "test_x.py", tmp_path / "cassettes/test_x/test_a[1].7.jsonl"
    other.parent.mkdir(parents=True)
    other.write_text("another's")

    _saved(file, "one")

    assert other.read_text() == "another's"


def test_an_empty_set_removes_the_recordings(tmp_path: Path) -> None:
    _saved(tmp_path / "test_x.py", "one", "two")

    _saved(tmp_path / "test_x.py")

    assert _files(tmp_path) == {}


class _Interruption(BaseException):
    """What ^C raises, in effect."""


@contextmanager
def _failing_at(step: int, error: BaseException, names: list[str]) -> Iterator[list[int]]:
    """Let the n-th of these operations on files fail, before it does anything; yields how many there were."""
    count = [0]
    patch = pytest.MonkeyPatch()
    for name in names:
        _count(patch, name, count, step, error)
    with patch.context():
        try:
            yield count
        finally:
            patch.undo()


def _count(patch: pytest.MonkeyPatch, name: str, count: list[int], step: int, error: BaseException) -> None:
    original: Callable[..., Any] = getattr(Path, name)

    def counted(*args: Any, **kwargs: Any) -> Any:
        count[0] += 1
        if count[0] == step:
            raise error
        return original(*args, **kwargs)

    patch.setattr(Path, name, counted)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), _Interruption()], ids=["disk full", "^C"])
@pytest.mark.parametrize("step", range(1, 9))
def test_a_set_that_fails_half_way_leaves_the_old_one_whole(tmp_path: Path, step: int, error: BaseException) -> None:
    file = tmp_path / "test_x.py"
    _saved(file, "one", "two", "three", "four")
    before = _files(tmp_path)

    with _failing_at(step, error, ["open", "replace"]) as count, pytest.raises((CassetteWriteError, _Interruption)):
        _saved(file, "uno", "due", "tre", "quattro")

    assert count[0] >= step
    assert _files(tmp_path) == before


@pytest.mark.parametrize("step", [1, 2])
def test_a_stale_sample_that_cannot_be_removed_leaves_the_old_set_whole(tmp_path: Path, step: int) -> None:
    file = tmp_path / "test_x.py"
    _saved(file, "one", "two", "three")
    before = _files(tmp_path)

    denied = PermissionError(errno.EACCES, "Permission denied")
    with _failing_at(step, denied, ["unlink"]), pytest.raises(CassetteWriteError, match="Permission denied"):
        _saved(file, "uno")

    assert _files(tmp_path) == before


def test_without_links_between_files_a_set_is_replaced_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    _saved(tmp_path / "test_x.py", "one", "two")
    _saved(tmp_path / "test_x.py", "uno")

    assert list(_files(tmp_path)) == ["cassettes/test_x/test_a.1.jsonl"]
    assert "uno" in _files(tmp_path)["cassettes/test_x/test_a.1.jsonl"]


@contextmanager
def _a_full_disk() -> Iterator[None]:
    """No file may grow beyond 1000 bytes: writing really fails, as on a disk that is full."""
    resource = pytest.importorskip("resource", reason="Windows has no such limits")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_finds_no_room_leaves_the_old_recording_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    recording(answering(b"old")).save(path)
    before = _files(tmp_path)

    with (
        _a_full_disk(),
        pytest.raises(CassetteWriteError, match=rf"{CassetteWriteError.what} .*/recording\.jsonl: File too large"),
    ):
        recording(answering(b"new" * 1000)).save(path)

    assert _files(tmp_path) == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "cassettes").write_text("a file")

    with pytest.raises(CassetteWriteError, match=rf"{CassetteWriteError.what} .*test_a\.1\.jsonl: Not a directory"):
        _saved(tmp_path / "test_x.py", "one")

    assert _files(tmp_path) == {"cassettes": "a file"}


def test_a_credential_in_one_sample_stops_the_whole_set(tmp_path: Path) -> None:
    file = tmp_path / "test_x.py"
    _saved(file, "one", "two")
    before = _files(tmp_path)

    with pytest.raises(CredentialError):
        _saved(file, "uno", "AKIA" + "Q3EGUZ4XNB7WLKJD")

    assert _files(tmp_path) == before


def test_a_recording_is_as_readable_as_any_other_file(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.touch()

    recording(answering(b"one")).save(tmp_path / "recording.jsonl")

    assert (tmp_path / "recording.jsonl").stat().st_mode == ordinary.stat().st_mode

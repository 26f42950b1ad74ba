"""Files as other systems keep them: other ends of lines, another order in folders, names in one case, busy files."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_claude_latency.baselines.baseline import Baseline
from pytest_claude_latency.cassettes.paths import path_of, samples
from pytest_claude_latency.cassettes.recording import Recording, save_set
from pytest_claude_latency.cli.check import check, find
from pytest_claude_latency.errors import CassetteWriteError
from tests.support.some_baseline import replayed, save
from tests.support.some_recording import TEXT, answering, recording


def _saved(folder: Path, *answers: bytes) -> None:
    each = [recording(answering(answer), sample=sample) for sample, answer in enumerate(answers, 1)]
    save_set(each, folder / "test_x.py", "cassettes", "test_a")


def test_a_recording_that_git_checked_out_for_windows_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.1.jsonl").write_bytes(TEXT.encode())
    (tmp_path / "b.1.jsonl").write_bytes(TEXT.replace("\n", "\r\n").encode())

    assert Recording.load(tmp_path / "b.1.jsonl") == Recording.load(tmp_path / "a.1.jsonl")


def test_a_baseline_that_git_checked_out_for_windows_is_the_same(tmp_path: Path) -> None:
    path = save(tmp_path, "main", replayed())
    sound = Baseline.load(path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    assert Baseline.load(path) == sound


def test_the_order_in_which_a_file_system_lists_files_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _saved(tmp_path, *(b"%d" % number for number in range(12)))
    listed = Path.iterdir
    found, checked = (
        samples(tmp_path / "test_x.py", "cassettes", "test_a"),
        check(find([tmp_path], "cassettes"), "cassettes", collect=False),
    )

    def backwards(self: Path) -> Iterator[Path]:
        return iter(sorted(listed(self), reverse=True))

    monkeypatch.setattr(Path, "iterdir", backwards)

    assert samples(tmp_path / "test_x.py", "cassettes", "test_a") == found
    assert check(find([tmp_path], "cassettes"), "cassettes", collect=False) == checked


def test_tests_whose_names_differ_in_case_have_files_that_do_not(tmp_path: Path) -> None:
    names = ["test_a[en]", "test_a[EN]", "test_A[en]", "TestX::test_a", "Testx::test_a", "test_é", "test_e\u0301"]

    paths = {str(path_of(tmp_path / "test_x.py", "cassettes", name, 1)).casefold() for name in names}

    assert len(paths) == len(names)


@pytest.mark.parametrize("busy", [1, 2, 3])
def test_a_file_that_another_process_holds_open_leaves_the_old_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: int
) -> None:
    _saved(tmp_path, b"one", b"two", b"three")
    folder, replace = tmp_path / "cassettes" / "test_x", Path.replace
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def refuse(self: Path, target: Path) -> Path:
        if self.suffix == ".new" and Path(target).name == f"test_a.{busy}.jsonl":
            raise PermissionError(errno.EACCES, "The process cannot access the file")  # what Windows says
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)

    with pytest.raises(CassetteWriteError, match="cannot access the file"):
        _saved(tmp_path, b"uno", b"due", b"tre")

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

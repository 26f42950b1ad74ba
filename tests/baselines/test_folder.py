from __future__ import annotations

from pathlib import Path

import pytest

from pytest_claude_latency.baselines.folder import folder_of, list_folder, locate, path_of, root_of
from pytest_claude_latency.errors import LatencyError
from tests.support.some_baseline import OLD_FORM, live, save


def test_names_mean_the_baselines_of_the_nearest_folder_that_has_some(tmp_path: Path) -> None:
    save(tmp_path, "main", live())
    below = tmp_path / "tests" / "deep"
    below.mkdir(parents=True)

    assert root_of(below) == root_of(tmp_path) == tmp_path


def test_without_a_folder_of_baselines_names_mean_files_in_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / ".latency").write_text("no folder")

    assert root_of(tmp_path) == tmp_path


def test_a_project_and_its_folder_of_baselines_mean_the_same(tmp_path: Path) -> None:
    path = save(tmp_path, "main", live())

    assert folder_of(tmp_path) == folder_of(path.parent) == path.parent


def test_baselines_are_listed_by_name_with_those_that_cannot_be_read(tmp_path: Path) -> None:
    folder = save(tmp_path, "main", live()).parent
    save(tmp_path, "before", live())
    (folder / "cut.jsonl").write_text("{")
    (folder / "notes.txt").write_text("not one")
    (folder / "report.json").write_text("{}")
    (folder / "main.json").write_text(OLD_FORM)
    (folder / "old.json").write_text(OLD_FORM)

    files = list_folder(folder)

    assert [(file.path.name, file.baseline is None, file.problem) for file in files] == [
        ("before.jsonl", False, None),
        ("cut.jsonl", True, "line 1: the file is cut off in this line"),
        ("main.jsonl", False, None),
        ("old.json", True, "it is in the old form; save it again with --latency-save=old"),
    ]
    assert files[1].size == 1


def test_a_missing_folder_is_empty_and_a_file_is_refused(tmp_path: Path) -> None:
    file = save(tmp_path, "main", live())

    assert list_folder(tmp_path / "nowhere") == []
    with pytest.raises(LatencyError, match="cannot read"):
        list_folder(file)


def test_a_name_is_a_file_below_the_root() -> None:
    assert path_of(Path("/root"), "main") == Path("/root/.latency/main.jsonl")
    assert locate(Path("/root"), Path("/here"), "release-1.2") == Path("/root/.latency/release-1.2.jsonl")


@pytest.mark.parametrize("text", ["./main.jsonl", "old/main.jsonl", "main.jsonl", "report.json", "../main"])
def test_what_looks_like_a_path_is_one_from_where_pytest_was_started(text: str) -> None:
    assert locate(Path("/root"), Path("/here"), text) == Path("/here") / text


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", ".hidden", "a b", "ä", "a\n"])
def test_what_is_not_a_name_is_refused(name: str) -> None:
    with pytest.raises(LatencyError, match="is not a name of a baseline"):
        path_of(Path("/root"), name)

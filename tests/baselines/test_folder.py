from __future__ import annotations

from pathlib import Path

import pytest

from pytest_claude_latency.baselines.folder import folder_of, kept_in, root_of
from pytest_claude_latency.errors import LatencyError
from tests.support.some_baseline import live, save


def test_names_mean_the_baselines_of_the_nearest_folder_that_has_some(tmp_path: Path) -> None:
    save(tmp_path, "main", live())
    below = tmp_path / "tests" / "deep"
    below.mkdir(parents=True)

    assert root_of(below) == root_of(tmp_path) == tmp_path


def test_where_no_folder_has_baselines_names_mean_those_to_be_made_here(tmp_path: Path) -> None:
    (tmp_path / ".latency").write_text("no folder")

    assert root_of(tmp_path) == tmp_path


def test_a_project_and_its_folder_of_baselines_mean_the_same(tmp_path: Path) -> None:
    path = save(tmp_path, "main", live())

    assert folder_of(tmp_path) == folder_of(path.parent) == path.parent


def test_baselines_stand_by_name_with_those_that_cannot_be_read(tmp_path: Path) -> None:
    folder = save(tmp_path, "main", live()).parent
    save(tmp_path, "before", live())
    (folder / "cut.json").write_text("[\n")
    (folder / "notes.txt").write_text("not one")

    kept = kept_in(folder)

    assert [(each.path.stem, each.baseline is None, each.problem) for each in kept] == [
        ("before", False, None),
        ("cut", True, "line 2: the file is cut off in this line"),
        ("main", False, None),
    ]
    assert kept[1].size == 2


def test_no_folder_holds_nothing_and_a_file_is_no_folder(tmp_path: Path) -> None:
    file = save(tmp_path, "main", live())

    assert kept_in(tmp_path / "nowhere") == []
    with pytest.raises(LatencyError, match="cannot look into"):
        kept_in(file)

"""Samples that wait for the last of their set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_claude_latency.cassettes.paths import path_of
from pytest_claude_latency.cassettes.recording import Recording, save_set
from pytest_claude_latency.cassettes.staging import Place, Staging
from pytest_claude_latency.errors import CassetteWriteError, CredentialError
from tests.support.some_recording import answering, asking, recording

NODEID = "tests/test_summary.py::test_summary_is_prompt"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "staging").mkdir()
    return tmp_path


def place(folder: Path, total: int = 3, *, add: bool = False, test_id: str = "test_one") -> Place:
    return Place(NODEID, folder / "test_it.py", "cassettes", test_id, total, add)


def recorded(sample: int) -> Recording:
    return recording(answering(b"data"), sample=sample)


def take(folder: Path, *numbers: int, total: int = 3, add: bool = False) -> None:
    for number in numbers:
        Staging(folder / "staging").take([recorded(number)], place(folder, total, add=add), number)


def begin_another_run(folder: Path) -> None:
    (folder / "staging").rename(folder / "of-an-earlier-run")
    (folder / "staging").mkdir()


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "cassettes").rglob("*") if path.is_file())


def test_nothing_is_written_before_the_last_sample_has_come(folder: Path) -> None:
    take(folder, 3, 1)

    assert written(folder) == []
    assert list(Staging(folder / "staging").unfinished()) == [(NODEID, 2, 3)]


def test_the_last_sample_brings_the_set_whichever_it_is(folder: Path) -> None:
    take(folder, 3, 1, 2)

    assert written(folder) == ["test_one.1.jsonl", "test_one.2.jsonl", "test_one.3.jsonl"]
    files = [path_of(folder / "test_it.py", "cassettes", "test_one", sample) for sample in (1, 2, 3)]
    (mark,) = {Recording.load(file).set_mark for file in files}
    assert mark
    assert Recording.load(files[1]) == replace(recorded(2), samples=3, set_mark=mark)
    assert list(Staging(folder / "staging").unfinished()) == []


def test_samples_of_a_larger_set_go(folder: Path) -> None:
    take(folder, 1, 2, 3, total=3)
    begin_another_run(folder)

    take(folder, 1, 2, total=2)

    assert written(folder) == ["test_one.1.jsonl", "test_one.2.jsonl"]


def test_a_sample_that_comes_again_replaces_itself(folder: Path) -> None:
    take(folder, 1, 2, 3)
    again = recording(answering(b"other data"), sample=2)

    Staging(folder / "staging").take([again], place(folder), 2)

    kept = Recording.load(path_of(folder / "test_it.py", "cassettes", "test_one", 2))
    assert kept == replace(again, samples=3, set_mark=kept.set_mark)


def test_a_set_that_is_completed_keeps_what_was_there(folder: Path) -> None:
    take(folder, 1, 2, total=2)
    begin_another_run(folder)

    take(folder, 3, total=3, add=True)

    assert written(folder) == ["test_one.1.jsonl", "test_one.2.jsonl", "test_one.3.jsonl"]


def test_samples_without_a_request_count_and_are_not_written(folder: Path) -> None:
    take(folder, 1, total=2)

    Staging(folder / "staging").take([], place(folder, 2), 2)

    assert written(folder) == ["test_one.1.jsonl"]


def test_tests_with_like_names_do_not_mix(folder: Path) -> None:
    take(folder, 1, total=2)

    Staging(folder / "staging").take([recorded(2)], place(folder, 2, test_id="test_One"), 2)

    assert written(folder) == []


def test_a_set_that_another_worker_is_writing_is_left_to_it(folder: Path) -> None:
    take(folder, 1, 2)
    (waiting,) = (folder / "staging").iterdir()
    (waiting / "publishing").mkdir()

    take(folder, 3)

    assert written(folder) == []


def test_what_looks_like_a_credential_is_refused_before_it_waits(folder: Path) -> None:
    secret = recording(answering(request=asking(b"{}", url="https://api.anthropic.com/?key=sk-ant-api03-" + "A" * 95)))

    with pytest.raises(CredentialError):
        Staging(folder / "staging").take([secret], place(folder), 1)

    assert list((folder / "staging").iterdir()) == []


def test_a_set_that_cannot_be_written_leaves_the_old_one(folder: Path) -> None:
    (folder / "cassettes").write_text("a file stands where the folder should")

    with pytest.raises(CassetteWriteError):
        take(folder, 1, total=1)

    assert (folder / "cassettes").read_text() == "a file stands where the folder should"
    assert [done for _, done, _ in Staging(folder / "staging").unfinished()] == [1]


def test_what_is_added_to_a_set_changes_only_its_size_and_mark_in_the_files_that_stay(folder: Path) -> None:
    file, first = folder / "test_it.py", folder / "cassettes" / "test_it" / "test_one.1.jsonl"
    save_set([recorded(1)], file, "cassettes", "test_one")
    edited = first.read_text().replace('"at": 0.0', '"at": 0')
    first.write_text(edited)

    save_set([recorded(2)], file, "cassettes", "test_one", keep_others=True)

    added = Recording.load(first.with_name("test_one.2.jsonl"))
    assert added.samples == 2
    assert first.read_text() == edited.replace('"samples": 1', f'"samples": 2, "set": "{added.set_mark}"')


def test_what_is_added_gets_the_mark_of_the_set_and_a_mixed_set_stays_mixed(folder: Path) -> None:
    file = folder / "test_it.py"
    paths = [path_of(file, "cassettes", "test_one", sample) for sample in (1, 2, 3, 4)]
    save_set([recorded(1), recorded(2)], file, "cassettes", "test_one")
    mark = Recording.load(paths[0]).set_mark

    save_set([recorded(3)], file, "cassettes", "test_one", keep_others=True)
    assert {Recording.load(path).set_mark for path in paths[:3]} == {mark}

    replace(recorded(2), samples=3, set_mark="another1").save(paths[1])
    save_set([recorded(4)], file, "cassettes", "test_one", keep_others=True)
    marks = [Recording.load(path).set_mark for path in paths]
    assert marks[:3] == [mark, "another1", mark]
    assert marks[3] not in (mark, "another1")


def test_a_set_of_one_needs_no_mark(folder: Path) -> None:
    save_set([recorded(1)], folder / "test_it.py", "cassettes", "test_one")

    assert Recording.load(path_of(folder / "test_it.py", "cassettes", "test_one", 1)).set_mark is None


def test_a_file_of_version_1_that_stays_in_a_set_is_left_alone(folder: Path) -> None:
    first = folder / "cassettes" / "test_it" / "test_one.1.jsonl"
    first.parent.mkdir(parents=True)
    old = '{"format": "claude-latency-cassette", "version": 1, "test": "t", "sample": 1, '
    old += '"recorded": "2026-11-22T11:30:00.000Z", "anthropic": "2.12.0"}\n'
    first.write_text(old)

    save_set([recorded(2)], folder / "test_it.py", "cassettes", "test_one", keep_others=True)

    assert first.read_text() == old

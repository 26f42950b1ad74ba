from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pytest_claude_latency.baselines.history import RunBaselines, commit_of
from pytest_claude_latency.errors import BaselineError
from tests.support.some_baseline import LABEL, OLD_FORM, live, save


def test_baselines_that_do_not_exist_yet_have_no_tests(tmp_path: Path) -> None:
    baselines = RunBaselines(tmp_path / "main.jsonl", tmp_path / "next.jsonl", None)

    assert baselines.is_new
    assert baselines.compared_tests == baselines.saved_tests == ()


def test_a_baseline_in_the_old_form_cannot_be_compared_with_but_is_saved_again(tmp_path: Path) -> None:
    main = tmp_path / ".latency" / "main.jsonl"
    old = main.with_suffix(".json")
    main.parent.mkdir()
    old.write_text(OLD_FORM)

    with pytest.raises(BaselineError) as refused:
        RunBaselines(main, None, None)

    assert refused.value.seen_from(tmp_path) == (
        "baseline main is in the old form; save it again with --latency-save=main, then delete .latency/main.json"
    )
    assert RunBaselines(None, main, None).saved_tests == ()
    assert old.read_text() == OLD_FORM


def test_next_to_a_new_file_the_old_one_is_not_looked_at(tmp_path: Path) -> None:
    path = save(tmp_path, "main", live())
    path.with_suffix(".json").write_text(OLD_FORM)

    assert RunBaselines(path, None, None).compared_tests == (LABEL,)


def test_the_commit_is_the_one_checked_out(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        who = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    assert commit_of(tmp_path) is None
    (tmp_path / "app.py").write_text("")
    git("add", "app.py")
    git("commit", "--quiet", "--message=one")
    git("tag", "v1")
    commit = git("rev-parse", "HEAD").strip()
    assert commit_of(tmp_path) == commit
    (tmp_path / "app.py").write_text("changed")
    assert commit_of(tmp_path) == f"{commit}-dirty"


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    assert commit_of(tmp_path) is None

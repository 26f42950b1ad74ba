from __future__ import annotations

import errno
import re
import resource
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pytest_claude_latency.cassettes.paths import fixture_id, fixture_path, path_of, replace_files, samples
from pytest_claude_latency.cassettes.recording import dumps, save_set
from pytest_claude_latency.errors import CassetteWriteError, CredentialError
from tests.support.some_recording import answering, recording

FILE = Path("tests/test_triage.py")
_NAMES = st.text("abAB_.1", min_size=1, max_size=4)
_IDS = st.builds(
    lambda names, parameters, variant: "::".join(names) + parameters + variant,
    st.lists(_NAMES | st.sampled_from(["con", "TestA", "Testa", "setUp"]), min_size=1, max_size=3),
    st.just("") | st.text("aA:./\\é\u0065\u0301 -?*[]0123", max_size=6).map("[{}]".format),
    st.just("") | st.text("aA.01=/,", min_size=1, max_size=4).map("~{}".format),
)


def _on_any_disk(path: Path) -> str:
    """The path as the least discerning file systems see it: without case, in one normal form."""
    return unicodedata.normalize("NFC", str(path).casefold())


@pytest.mark.parametrize(
    ("test_id", "name"),
    [
        ("test_label", "test_label"),
        ("test_label[en]", "test_label[en]"),
        ("test_label[en-1.5-a b]", "test_label[en-1.5-a b]"),
        ("TestTriage::test_label[en]", "TestTriage.test_label[en]"),
        ("test_label[en]~temperature=0.2", "test_label[en]~temperature=0.2"),
        ("TestTriage::test_label~model=claude-3.5,top_p=0.9", "TestTriage.test_label~model=claude-3.5,top_p=0.9"),
        ("TestTriage::TestDeep::test_label", "TestTriage.TestDeep.test_label"),
    ],
)
def test_an_ordinary_id_is_its_own_name(test_id: str, name: str) -> None:
    assert path_of(FILE, "cassettes", test_id, 3) == Path(f"tests/cassettes/test_triage/{name}.3.jsonl")


@pytest.mark.parametrize(
    ("test_id", "start"),
    [
        ("test_label[a/b]", "test_label[a_b]"),
        ('test_label[<>:"\\|?*\x00\n]', "test_label[__________]"),
        ("test_label[Hello]", "test_label[Hello]"),
        ("test_größe", "test_größe"),
        ("TestUserLogin::test_x", "TestUserLogin.test_x"),
        ("con", "_con"),
        ("Nul::test_x", "_Nul.test_x"),
        ("@session.client", "@session.client"),
        ("test_x-0123abcd", "test_x-0123abcd"),
        ("x" * 300, "x" * 91),
        ("ß" * 300, "ß" * 45),
    ],
)
def test_an_id_that_some_file_system_cannot_hold_or_tell_apart_gets_a_hash(test_id: str, start: str) -> None:
    path = path_of(FILE, "cassettes", test_id, 1)

    assert re.fullmatch(re.escape(start) + r"-[0-9a-f]{8}\.1\.jsonl", path.name)


@given(_IDS, _IDS, st.integers(1, 12), st.integers(1, 12))
@example("A::b", "A.b", 1, 1)
@example("a[::]", "a[.]", 1, 1)
@example("a[x.1]", "a[x", 1, 1)
@example("test_[\u00e9]", "test_[e\u0301]", 1, 1)
@example("@module", "@module.f", 1, 1)
def test_two_tests_never_share_a_path(one: str, other: str, sample: int, other_sample: int) -> None:
    assume((one, sample) != (other, other_sample))

    paths = path_of(FILE, "cassettes", one, sample), path_of(FILE, "cassettes", other, other_sample)

    assert len(set(map(_on_any_disk, paths))) == 2


@given(_IDS, st.sampled_from(["class", "module", "session"]), _NAMES, st.none() | _NAMES)
def test_a_test_and_a_fixture_never_share_a_path(test_id: str, scope: str, fixture: str, param: str | None) -> None:
    paths = path_of(FILE, "cassettes", test_id, 1), fixture_path(FILE, "cassettes", scope, fixture, param)

    assert len(set(map(_on_any_disk, paths))) == 2


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=300), st.integers(1, 10**6))
@example("aux.", 1)
@example(".", 1)
@example("..", 1)
@example(" ", 1)
def test_any_id_makes_a_name_that_any_file_system_holds(test_id: str, sample: int) -> None:
    path = path_of(Path("tests") / "test_x.py", "cassettes", test_id, sample)

    assert path.parent == Path("tests/cassettes/test_x")
    assert len(path.name.encode()) <= 143
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f]|[. ]$|^\.', path.name)
    assert path.name.split(".")[0].lower() not in {"con", "prn", "aux", "nul", "com1", "lpt9"}


def test_two_test_files_never_share_a_folder() -> None:
    files = [Path(f"tests/{name}.py") for name in ("test_a", "test_A", "test_a.", "test_a ", "nul", "test.a")]

    folders = {_on_any_disk(path_of(file, "cassettes", "test_x", 1)) for file in files}

    assert len(folders) == len(files)


@pytest.mark.parametrize(
    ("scope", "fixture", "param", "name"),
    [
        ("session", "client", None, "@session.client.jsonl"),
        ("module", "client", "en", "@module.client[en].jsonl"),
        ("class", "TestU::setUpClass", None, "@class.TestU.setUpClass.jsonl"),
        ("class", "TestU::setup_class", None, "@class.TestU.setup_class.jsonl"),
        ("module", "setUpModule", None, "@module.setUpModule.jsonl"),
    ],
)
def test_a_fixture_has_a_recording_of_its_own(scope: str, fixture: str, param: str | None, name: str) -> None:
    path = fixture_path(Path("tests/conftest.py"), "cassettes", scope, fixture, param)

    assert path == Path("tests/cassettes/conftest") / name
    assert fixture_id(scope, fixture, param) == name.removesuffix(".jsonl").replace("TestU.", "TestU::")


def test_samples_come_in_the_order_of_their_numbers_and_of_one_test_only(tmp_path: Path) -> None:
    file = tmp_path / "test_x.py"
    for test_id, sample in [("test_a", 10), ("test_a", 2), ("test_a", 1), ("test_a[1]", 3), ("test_ab", 4)]:
        replace_files({path_of(file, "cassettes", test_id, sample): ""})
    (tmp_path / "cassettes/test_x/test_a.01.jsonl").touch()

    assert samples(file, "cassettes", "test_a") == [path_of(file, "cassettes", "test_a", n) for n in (1, 2, 10)]


def test_a_test_that_was_never_recorded_has_no_samples(tmp_path: Path) -> None:
    assert samples(tmp_path / "test_x.py", "cassettes", "test_a") == []


# ── writing ──


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

    expected = {
        f"cassettes/test_x/test_a.{sample}.jsonl": dumps(recording(answering(mark), sample=sample))
        for sample, mark in enumerate((b"uno", b"due", b"tre"), 1)
    }
    assert _files(tmp_path) == expected


def test_a_set_leaves_the_recordings_of_other_tests_alone(tmp_path: Path) -> None:
    file, other = tmp_path / "test_x.py", tmp_path / "cassettes/test_x/test_a[1].7.jsonl"
    replace_files({other: "another's"})

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
        pytest.raises(CassetteWriteError, match=r"cannot write the recording .*/recording\.jsonl: File too large"),
    ):
        recording(answering(b"new" * 1000)).save(path)

    assert _files(tmp_path) == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "cassettes").write_text("a file")

    with pytest.raises(CassetteWriteError, match=r"cannot write the recording .*test_a\.1\.jsonl: Not a directory"):
        _saved(tmp_path / "test_x.py", "one")

    assert _files(tmp_path) == {"cassettes": "a file"}


def test_a_credential_in_one_sample_stops_the_whole_set(tmp_path: Path) -> None:
    file = tmp_path / "test_x.py"
    _saved(file, "one", "two")
    before = _files(tmp_path)

    with pytest.raises(CredentialError):
        _saved(file, "uno", "AKIAIOSFODNN7EXAMPLE")

    assert _files(tmp_path) == before


def test_a_recording_is_as_readable_as_any_other_file(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.touch()

    recording(answering(b"one")).save(tmp_path / "recording.jsonl")

    assert (tmp_path / "recording.jsonl").stat().st_mode == ordinary.stat().st_mode

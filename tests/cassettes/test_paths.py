from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pytest_claude_latency.cassettes import paths
from pytest_claude_latency.cassettes.paths import fixture_id, fixture_path, path_of, samples

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
        path = path_of(file, "cassettes", test_id, sample)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "cassettes/test_x/test_a.01.jsonl").touch()

    assert samples(file, "cassettes", "test_a") == [path_of(file, "cassettes", "test_a", n) for n in (1, 2, 10)]


def test_a_test_without_recordings_has_no_samples(tmp_path: Path) -> None:
    assert samples(tmp_path / "test_x.py", "cassettes", "test_a") == []


@given(
    st.text("tes_a09-.:[~A", max_size=12).map("test_{}".format) | st.integers(90, 110).map(lambda n: "test_" + n * "a")
)
def test_a_plain_name_is_what_the_full_rule_makes_of_it(test_id: str) -> None:
    quick = path_of(FILE, "cassettes", test_id, 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "_PLAIN", re.compile("(?!)"))
        assert path_of(FILE, "cassettes", test_id, 1) == quick

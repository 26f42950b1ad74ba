from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from pytest_claude_latency.cassettes.paths import fixture_path, path_of
from pytest_claude_latency.cassettes.recording import Recording, timestamp
from pytest_claude_latency.cli import recordings_in_use
from pytest_claude_latency.cli.command import main
from pytest_claude_latency.errors import CassetteError
from pytest_claude_latency.messages_api.exchange import Exchange
from pytest_claude_latency.virtual_time.scheduling import real_clock
from tests.support.some_recording import answering, recording

Record: TypeAlias = Callable[..., Path]


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite in the current folder, with its own settings so that none of this repository's apply."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "tests").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", run_in_this_process)
    return tmp_path


RUN_IN_A_PROCESS = subprocess.run


@pytest.fixture
def as_users_run_it(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command ask pytest in a process of its own, as it does for users. It takes a second."""
    monkeypatch.setattr(subprocess, "run", RUN_IN_A_PROCESS)


def run_in_this_process(
    command: Sequence[str], *, env: dict[str, str] | None, **_: Any
) -> subprocess.CompletedProcess[str]:
    """Run `python -m pytest_claude_latency.cli.recordings_in_use` here, and leave no module of the suite behind."""
    assert command[:3] == [sys.executable, "-m", "pytest_claude_latency.cli.recordings_in_use"]
    output, errors = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        warnings.catch_warnings(record=True),
        redirect_stdout(output),
        redirect_stderr(errors),
    ):
        for name in ("path", "meta_path", "path_hooks"):
            patch.setattr(sys, name, list(getattr(sys, name)))
        for name in os.environ.keys() - (os.environ if env is None else env).keys():
            patch.delenv(name)
        for name, value in (env or {}).items():
            patch.setenv(name, value)
        status = recordings_in_use.main(command[3:])
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or sys.executable).is_relative_to(Path.cwd()):
            del sys.modules[name]
    return subprocess.CompletedProcess(list(command), status, output.getvalue(), errors.getvalue())


@pytest.fixture
def record(suite: Path) -> Record:
    """Write the recording of a test, as if it had been recorded some days ago."""

    def write(
        nodeid: str, *exchanges: Exchange, days: int = 0, anthropic: str = "2.12.0", sample: int = 1, path: str = ""
    ) -> Path:
        file, _, test_id = nodeid.partition("::")
        place = Path(path) if path else path_of(Path(file), "cassettes", test_id, sample)
        # as the command reads it: after tests in virtual time, the date of a program may be hours ahead
        today = datetime.fromtimestamp(real_clock.time_ns() / 1e9, UTC)
        recorded = timestamp(today - timedelta(days=days, hours=1))
        replace(recording(*exchanges), test=nodeid, sample=sample, recorded=recorded, anthropic=anthropic).save(place)
        return place

    return write


def write_tests(text: str, file: str = "tests/test_a.py") -> None:
    Path(file).write_text(f"import pytest\n\n{text}")


BUDGET = "@pytest.mark.latency_budget(ttft='1s')\n"


@pytest.mark.usefixtures("as_users_run_it")
def test_recordings_that_tests_use_are_fine(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    write_tests(
        f"{BUDGET}@pytest.mark.parametrize('language', ['en', 'DE'])\ndef test_x(language): pass\n\n"
        "class TestTriage:\n    def test_y(self, claude_latency): pass\n"
    )
    record("tests/test_a.py::test_x[en]", answering(b"{}"), days=3)
    record("tests/test_a.py::test_x[en]", days=1, sample=2)
    record("tests/test_a.py::test_x[DE]", anthropic="0.93.0")
    record("tests/test_a.py::TestTriage::test_y")

    status = main(["check", "tests"])

    rows = capsys.readouterr().out.splitlines()
    assert status == 0
    assert rows[-1] == "4 recordings, anthropic 0.x: 1, 2.x: 3; none with problems"
    assert all(row.startswith("ok ") for row in rows[:-1])
    assert re.fullmatch(r"ok +3 days +anthropic 2\.12\.0 +tests/cassettes/test_a/test_x\[en\]\.1\.jsonl", rows[2])
    assert re.fullmatch(r"ok +1 day +anthropic 2\.12\.0 +tests/cassettes/test_a/test_x\[en\]\.2\.jsonl", rows[3])


@pytest.mark.usefixtures("as_users_run_it")
def test_a_recording_without_a_test_that_uses_it_is_a_problem(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tests("def test_renamed(claude_latency): pass\n", "tests/test_a.py")
    write_tests("def test_x(): pass\n", "tests/test_b.py")
    write_tests("import nowhere_to_be_found\n", "tests/test_c.py")
    paths = [record(f"tests/test_{letter}.py::test_x") for letter in "abcd"]

    status = main(["check", "tests"])

    reasons = [
        "pytest finds no latency test test_x in test_a.py",
        "pytest finds no latency test test_x in test_b.py",
        "pytest could not collect test_c.py: ModuleNotFoundError: No module named 'nowhere_to_be_found'",
        "there is no test_d.py next to cassettes/",
    ]
    rows = capsys.readouterr().out.splitlines()
    assert status == 1
    assert rows[:-1:2] == [f"PROBLEM     0 days  anthropic 2.12.0    {path}" for path in paths]
    assert rows[1:-1:2] == [f"    no test uses it: {reason}" for reason in reasons]
    assert rows[-1] == "4 recordings, anthropic 2.x: 4; 4 with problems"


def test_a_set_that_lacks_a_sample_is_a_problem(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    write_tests("def test_x(claude_latency): pass\n")
    for sample in (1, 2):
        path = record("tests/test_a.py::test_x", sample=sample)
        replace(Recording.load(path), samples=3, client="boto3 1.42.0").save(path)

    status = main(["check", "tests"])

    rows = capsys.readouterr().out.splitlines()
    assert status == 1
    assert rows[1] == rows[3] == "    its set is mixed or incomplete: it is one of 3, and there are 2"
    assert rows[4] == "2 recordings, boto3 1.x: 2; 2 with problems"


def test_samples_of_two_sets_of_one_size_are_a_problem(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    write_tests("def test_x(claude_latency): pass\n")
    for sample, mark in ((1, "5d0c1f3e"), (2, "5d0c1f3e"), (3, "77aa0b12")):
        path = record("tests/test_a.py::test_x", sample=sample)
        replace(Recording.load(path), samples=3, set_mark=mark).save(path)

    status = main(["check", "tests"])

    rows = capsys.readouterr().out.splitlines()
    assert status == 1
    assert [row for row in rows if row.startswith("    ")] == [
        "    its set is mixed or incomplete: it was not recorded together with test_x.3.jsonl",
        "    its set is mixed or incomplete: it was not recorded together with test_x.3.jsonl",
        "    its set is mixed or incomplete: it was not recorded together with test_x.1.jsonl",
    ]


def test_what_an_ini_file_deselects_or_spreads_over_workers_is_used_all_the_same(record: Record) -> None:
    Path("pytest.ini").write_text("[pytest]\naddopts = -n2 -m 'not latency' --strict-markers\nlatency_mode = record\n")
    write_tests("def test_x(claude_latency): pass\n")
    record("tests/test_a.py::test_x")

    assert main(["check", "tests"]) == 0


def test_a_shared_recording_is_used_by_those_that_share_it(record: Record) -> None:
    write_tests(
        "@pytest.mark.latency_cassette(name='both', owner=True)\ndef test_x(claude_latency): pass\n\n"
        "@pytest.mark.latency_cassette(name='both')\ndef test_y(claude_latency): pass\n"
    )
    shared = path_of(Path("tests/@shared.py"), "cassettes", "both", 1)
    record("tests/test_a.py::test_x", path=str(shared))

    assert main(["check", "tests"]) == 0


def test_a_fixture_s_recording_needs_its_fixture(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    conftest = Path("tests/conftest.py")
    write_tests("@pytest.fixture(scope='session')\ndef client(): pass\n", str(conftest))
    used = fixture_path(conftest, "cassettes", "session", "client", "en")
    stale = fixture_path(conftest, "cassettes", "session", "clients")
    record("tests/conftest.py::@session.client[en]", path=str(used))
    record("tests/conftest.py::@session.clients", path=str(stale))

    status = main(["check", "tests"])

    out = capsys.readouterr().out
    assert status == 1
    assert re.search(rf"ok .*{re.escape(str(used))}\n", out)
    assert f"{stale}\n    no test uses it: conftest.py has no fixture @session.clients\n" in out


def test_what_cannot_be_read_is_a_problem(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = suite / "tests" / "cassettes" / "test_a"
    folder.mkdir(parents=True)
    (folder / "test_x.1.jsonl").write_text("{}\n")
    (folder / "test_y.1.jsonl").touch()

    status = main(["check", "tests"])

    out = capsys.readouterr().out
    assert status == 1
    assert "test_x.1.jsonl\n    it cannot be read: line 1: it is not a recording of this plugin" in out
    assert "test_y.1.jsonl\n    it cannot be read: the file is empty\n" in out
    assert out.endswith("2 recordings; 2 with problems\n")


def test_a_credential_that_got_in_is_a_problem_and_is_not_shown(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    path = record("tests/test_a.py::test_x", answering(b"the key is KEY"))
    path.write_text(path.read_text().replace("KEY", "sk-ant-" + "api03-0123456789"))

    status = main(["check", "--no-collect", "tests"])

    out = capsys.readouterr().out
    assert status == 1
    assert "    it may hold a credential: exchange 1, answer: an Anthropic key\n" in out
    assert "0123456789" not in out


def test_without_collecting_only_the_file_of_the_tests_is_asked_for(record: Record) -> None:
    write_tests("this is no Python")
    record("tests/test_a.py::test_x")

    assert main(["check", "--no-collect", "tests"]) == 0


def test_recordings_that_programs_load_themselves_need_no_test(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    record("whatever made it", path="values/slow.jsonl")
    Path("values/data.jsonl").write_text("{}\n")

    assert main(["check", "values"]) == 0
    assert capsys.readouterr().out.endswith("1 recording, anthropic 2.x: 1; none with problems\n")


def test_folders_of_recordings_may_have_another_name(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    Path("pytest.ini").write_text("[pytest]\nlatency_cassettes = another\n")
    place = path_of(Path("tests/test_a.py"), "recordings", "test_x", 1)
    record("tests/test_a.py::test_x", path=str(place))

    status = main(["check", "--cassettes=recordings", "--no-collect", "tests"])

    assert status == 1
    assert "no test uses it: there is no test_a.py next to recordings/" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("pytest.ini", "[pytest]\naddopts = --no-such-option\nlatency_cassettes = recordings\n"),
        ("pyproject.toml", '[tool.pytest.ini_options]\nlatency_cassettes = "recordings"\n'),
        pytest.param(
            "pyproject.toml",
            '[tool.pytest]\nlatency_cassettes = "recordings"\n',
            marks=pytest.mark.skipif(pytest.version_tuple < (9,), reason="a table that pytest 9 brought"),
        ),
    ],
    ids=["pytest.ini", "ini_options", "tool.pytest"],
)
def test_the_ini_file_says_what_folders_of_recordings_are_called(suite: Path, file: str, content: str) -> None:
    (suite / "pytest.ini").unlink()
    (suite / file).write_text(content)
    (suite / "tests" / "conftest.py").write_text("raise SystemExit('code of the suite was run')\n")

    assert recordings_in_use.ini_value([Path("tests")], "latency_cassettes") == ("recordings", suite)


def test_check_looks_into_the_folders_that_the_ini_file_names(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tests("def test_x(claude_latency): pass\n")
    Path("pytest.ini").write_text("[pytest]\nlatency_cassettes = recordings\n")
    for test_id in ("test_x", "test_y"):
        place = path_of(Path("tests/test_a.py"), "recordings", test_id, 1)
        record(f"tests/test_a.py::{test_id}", path=str(place))

    status = main(["check", "tests"])

    assert status == 1
    assert re.findall(r"(?m)^(ok|PROBLEM)", capsys.readouterr().out) == ["ok", "PROBLEM"]


@pytest.mark.parametrize(
    "content", ["[pytest]\n", "[pytest]\n# latency_cassettes = recordings\n", "latency_cassettes\n"]
)
def test_an_ini_file_without_the_key_or_that_cannot_be_read_names_no_folders(suite: Path, content: str) -> None:
    (suite / "pytest.ini").write_text(content)

    assert recordings_in_use.ini_value([Path("tests")], "latency_cassettes") is None


@pytest.mark.usefixtures("as_users_run_it")
def test_a_suite_that_cannot_be_collected_at_all_is_a_problem(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    write_tests("def test_x(claude_latency): pass\n")
    record("tests/test_a.py::test_x")

    status = main(["check", "tests"])

    assert status == 1
    assert "no test uses it: pytest could not collect: " in capsys.readouterr().out


def test_a_folder_without_recordings_does_not_pass_for_checked(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "tests"]) == 1
    assert capsys.readouterr().out == "no recordings in tests\n"


@pytest.mark.parametrize("arguments", [[], ["chekc"], ["check"], ["check", "nowhere"], ["check", "--fix", "tests"]])
def test_a_command_that_is_not_understood_is_a_usage_error(arguments: list[str], suite: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2


def test_the_command_is_installed_and_imports_no_sdk(suite: Path, pytester: pytest.Pytester) -> None:
    code = (
        "import sys; from pytest_claude_latency import cli; print(sorted({'anthropic', 'hypothesis'} & {*sys.modules}))"
    )

    assert pytester.run(sys.executable, "-c", code).outlines == ["[]"]
    assert (Path(sys.executable).parent / "claude-latency").exists()


@pytest.mark.usefixtures("as_users_run_it")
def test_explain_reads_the_name_of_folders_from_the_ini_file_as_check_does(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("pytest.ini").write_text("[pytest]\nlatency_cassettes = tapes\n")
    path = record("tests/test_a.py::test_a", answering(b"{}"), path="tests/tapes/test_a/test_a.1.jsonl")
    # outside such a folder only a file whose first line names the format would be found
    path.write_text("not a recording\n" + path.read_text())

    assert main(["explain", "tests"]) == 1
    assert f"{CassetteError.what} tests/tapes/test_a/test_a.1.jsonl, line 1" in capsys.readouterr().out


def test_the_command_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])

    assert left.value.code == 0
    assert re.fullmatch(r"claude-latency \d+\.\d+.*\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("typed", "meant"), [("drfit", "drift"), ("sugest", "suggest"), ("compare --format=mardown a b", "markdown")]
)
def test_a_word_that_is_nearly_an_accepted_one_is_told(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(typed.split())

    assert f"; did you mean {meant}?\n" in capsys.readouterr().err

"""Every test has a recording of its own, whatever its id, and the printed command records just that test."""

from __future__ import annotations

import json
import shlex
import sys

import pytest

from tests.plugin.suite import Suite

ODD_IDS = [
    "a/b",
    "a:b",
    "a?b",
    "a b",
    "a  b",
    "A b",
    "é",
    "e\u0301",
    "a\\b",
    "a]b[c",
    "it's",
    'q"q',
    "x" * 300,
    "$HOME",
]

PARAMETRIZED = f"""
IDS = {ODD_IDS!r}


@pytest.mark.latency_budget(ttft="3s")
@pytest.mark.parametrize("word", IDS, ids=IDS)
def test_it(word):
    ask(word)
"""


def _header(suite: Suite, name: str) -> dict[str, object]:
    with (suite.path / name).open(encoding="utf-8") as file:
        return json.loads(next(file))  # type: ignore[no-any-return]  # JSON


def test_ids_that_differ_only_in_what_a_file_name_cannot_hold_share_no_file(suite: Suite) -> None:
    suite.write(PARAMETRIZED)

    suite.record().assert_outcomes(passed=len(ODD_IDS))

    names = suite.recordings()
    assert len({name.lower() for name in names}) == len(ODD_IDS)
    assert {_header(suite, name)["test"] for name in names} == {test["nodeid"] for test in suite.report["tests"]}
    assert all(len(part.encode()) <= 143 for name in names for part in name.split("/"))
    suite.replay().assert_outcomes(passed=len(ODD_IDS))


def test_the_same_name_in_two_classes_two_files_and_two_folders(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(suite.path)
    source = """
class TestOne:
    def test_it(self, claude_latency):
        ask("one")


class TestTwo:
    class TestInner:
        def test_it(self, claude_latency):
            ask("inner")

    def test_it(self, claude_latency):
        ask("two")


def test_it(claude_latency):
    ask("plain")
"""
    suite.write(source)
    suite.write(source, name="test_other")
    (suite.path / "sub").mkdir()
    suite.write(source, name="sub/test_third")

    suite.record().assert_outcomes(passed=12)

    names = ["TestOne.test_it", "TestTwo.TestInner.test_it", "TestTwo.test_it", "test_it"]
    folders = ["cassettes/test_it", "cassettes/test_other", "sub/cassettes/test_third"]
    assert suite.recordings() == [f"{folder}/{name}.1.jsonl" for folder in folders for name in names]
    suite.replay().assert_outcomes(passed=12)


def test_a_class_that_inherits_its_tests_has_recordings_of_its_own(suite: Suite) -> None:
    suite.write(
        """
class Base:
    word = "base"

    def test_it(self, claude_latency):
        ask(self.word)


class TestOne(Base):
    word = "one"


class TestTwo(Base):
    word = "two"
"""
    )

    suite.record().assert_outcomes(passed=2)

    assert suite.recordings() == [
        "cassettes/test_it/TestOne.test_it.1.jsonl",
        "cassettes/test_it/TestTwo.test_it.1.jsonl",
    ]
    suite.replay().assert_outcomes(passed=2)


def test_recordings_lie_next_to_the_test_file_wherever_pytest_was_started(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    (suite.path / "tests" / "deep").mkdir(parents=True)
    suite.write("def test_it(claude_latency):\n    ask()\n", name="tests/deep/test_deep")
    monkeypatch.syspath_prepend(suite.path)
    monkeypatch.chdir(suite.path / "tests")

    suite.record("deep").assert_outcomes(passed=1)

    assert suite.recordings() == ["tests/deep/cassettes/test_deep/test_it.1.jsonl"]


def _printed_command(result: pytest.RunResult) -> str:
    """Return the command, of as many lines as it has: each but the last ends in a backslash, as a shell reads it."""
    (start,) = [number for number, line in enumerate(result.outlines) if line.startswith("  record ")]
    end = next(number for number in range(start, len(result.outlines)) if not result.outlines[number].endswith("\\"))
    return "\n".join(result.outlines[start : end + 1]).removeprefix("  record")


@pytest.mark.parametrize("identity", range(len(ODD_IDS)), ids=[f"id {number}" for number in range(len(ODD_IDS))])
def test_the_printed_command_records_the_test_that_it_names(suite: Suite, identity: int) -> None:
    suite.write(PARAMETRIZED)
    collected = suite.run("--collect-only", "-q").outlines
    nodeid = [line for line in collected if line.startswith("test_it.py::")][identity]

    missing = suite.replay(nodeid)
    missing.assert_outcomes(failed=1)
    pytest_, *arguments = shlex.split(_printed_command(missing).replace("\\\n", ""))
    assert pytest_ == "pytest"
    suite.run(*arguments, key="key", base_url=suite.server.url).assert_outcomes(passed=1)

    suite.replay(nodeid).assert_outcomes(passed=1)
    assert len(suite.recordings()) == 1


@pytest.mark.parametrize("start", ["tests", "tests/deep", "elsewhere"])
def test_the_printed_command_works_where_pytest_was_started(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    (suite.path / "tests" / "deep").mkdir(parents=True)
    (suite.path / "elsewhere").mkdir()
    suite.write("class TestIt:\n    def test_it(self, claude_latency):\n        ask()\n", name="tests/deep/test_deep")
    monkeypatch.syspath_prepend(suite.path)
    monkeypatch.chdir(suite.path / start)

    missing = suite.replay("--rootdir", str(suite.path), "-c", str(suite.path / "tox.ini"), str(suite.path / "tests"))
    _, *arguments = shlex.split(_printed_command(missing).replace("\\\n", ""))
    recorded = suite.run(*arguments, key="key", base_url=suite.server.url)

    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(["  missing   tests/deep/cassettes/test_deep/TestIt.test_it.1.jsonl"])
    recorded.assert_outcomes(passed=1)
    assert len(suite.recordings()) == 1


@pytest.mark.slow
def test_the_printed_command_works_in_a_shell(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.parametrize("word", ["it's $HOME & `co`; (all) *.py"])
def test_it(word, claude_latency):
    ask(word)
"""
    )
    missing = suite.replay()
    command = _printed_command(missing)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_API_KEY", "a-key-for-tests")
        patch.setenv("ANTHROPIC_BASE_URL", suite.server.url)
        ran = suite.pytester.run("sh", "-c", command.replace("pytest", f"{shlex.quote(sys.executable)} -m pytest", 1))

    ran.assert_outcomes(passed=1)
    assert len(suite.recordings()) == 1

"""A recording that cannot be read is an error of its test's set-up: which file, which line, why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_claude_latency.errors import CassetteError
from tests.plugin.suite import Suite

TWO_TESTS = """
@pytest.mark.latency_budget(ttft="3s")
def test_bad():
    stream("bad")


@pytest.mark.latency_budget(ttft="3s")
def test_good():
    stream("good")
"""

NAME = "cassettes/test_it/test_bad.1.jsonl"


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _without_end(data: bytes) -> bytes:
    return b"".join(data.splitlines(keepends=True)[:-1])


INVALID: dict[str, tuple[Callable[[bytes], bytes], str, str]] = {
    "truncated": (_cut, "*", ", line *"),
    "without its end": (_without_end, "*", "*"),
    "empty": (lambda data: b"", "the file is empty", ""),
    "foreign": (lambda data: b'{"interactions": []}\n', "*", ", line 1"),
    "not JSON": (lambda data: b"interactions:\n- request\n", "*", ", line 1"),
    "newer": (
        lambda data: data.replace(b'"version": 2', b'"version": 3'),
        "*version 3*",
        ", line 1",
    ),
    "not UTF-8": (lambda data: data + b"\xff\n", "it is not UTF-8", ", line *"),
    "with a misspelt key": (
        lambda data: data.replace(b'"chunk"', b'"chnuk"', 1),
        "it is not a line of a recording: expected*",
        ", line 5",
    ),
}


@pytest.mark.parametrize("how", INVALID)
@pytest.mark.parametrize("mode", ["replay", "record-missing"])
def test_an_invalid_recording_is_an_error_at_set_up(suite: Suite, how: str, mode: str) -> None:
    damage, reason, line = INVALID[how]
    suite.write(TWO_TESTS)
    suite.once(suite.record)
    path = suite.path / NAME
    path.write_bytes(damage(path.read_bytes()))

    result = suite.replay(f"--latency-mode={mode}")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*ERROR at setup of test_bad*", f"{CassetteError.what}: {reason}", f"  file      {NAME}{line}"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize("how", INVALID)
def test_recording_again_replaces_an_invalid_recording(suite: Suite, how: str) -> None:
    suite.write(TWO_TESTS)
    suite.once(suite.record)
    path = suite.path / NAME
    path.write_bytes(INVALID[how][0](path.read_bytes()))

    suite.record().assert_outcomes(passed=2)

    suite.replay().assert_outcomes(passed=2)


def test_a_folder_in_the_place_of_a_recording(suite: Suite) -> None:
    suite.write(TWO_TESTS)
    suite.once(suite.record)
    path = suite.path / NAME
    path.unlink()
    path.mkdir()

    result = suite.replay()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([f"{CassetteError.what}: it is a folder, and not a file", f"  file      {NAME}"])


def test_an_invalid_recording_is_named_relative_to_rootdir(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.write(TWO_TESTS)
    suite.once(suite.record)
    (suite.path / NAME).write_bytes(b"")
    elsewhere = suite.path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    result = suite.replay("..")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([f"  file      {NAME}*"])
    assert (Path.cwd() / ".." / NAME).exists()


def test_a_test_that_is_skipped_needs_no_recording_that_can_be_read(suite: Suite) -> None:
    suite.write(TWO_TESTS)
    suite.once(suite.record)
    (suite.path / NAME).write_bytes(b"")
    suite.write(TWO_TESTS.replace("def test_bad", "@pytest.mark.skip\ndef test_bad"))

    suite.replay().assert_outcomes(passed=1, skipped=1)

    assert suite.test("test_bad")["outcome"] == "skipped"


def test_a_test_with_an_invalid_recording_has_a_row(suite: Suite) -> None:
    suite.write(TWO_TESTS)
    suite.once(suite.record)
    (suite.path / NAME).write_bytes(b"")

    result = suite.replay()

    result.stdout.fnmatch_lines(["test_it.py", "  test_bad * error", "  test_good * kept"])
    assert suite.test("test_bad")["outcome"] == "error"


def test_an_invalid_recording_of_a_deselected_test_is_no_error(suite: Suite) -> None:
    suite.write(TWO_TESTS)
    suite.once(suite.record)
    (suite.path / NAME).write_bytes(b"")

    suite.replay("-k", "good").assert_outcomes(passed=1, deselected=1)

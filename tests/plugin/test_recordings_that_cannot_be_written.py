"""A recording that cannot be written is an error of its test's teardown, and nothing is lost by it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pytest_claude_latency.errors import CassetteWriteError
from pytest_claude_latency.run.messages import NO_KEY, NOT_MEASURED
from tests.plugin.suite import Suite, whole_lines
from tests.support.claude_messages import text

KEY = "sk-ant-api03-Zm9vYmFyYmF6cXV4" * 2

TWO_TESTS = """
def test_one(claude_latency):
    ask("one")


def test_two(claude_latency):
    ask("two")
"""


def _files(suite: Suite) -> dict[str, bytes]:
    folder = suite.path / "cassettes"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_file_where_the_folder_should_be(suite: Suite) -> None:
    suite.write(TWO_TESTS)
    (suite.path / "cassettes").write_text("not a folder")

    result = suite.record()

    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_one*",
            f"{CassetteWriteError.what}: Not a directory",
            "  file      cassettes/test_it/test_one.1.jsonl",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    assert (suite.path / "cassettes").read_text() == "not a folder"


def test_a_folder_without_write_permission(suite: Suite) -> None:
    if os.geteuid() == 0:
        pytest.skip("the superuser may write everywhere")
    suite.write(TWO_TESTS)
    suite.record()
    before = _files(suite)
    folder = suite.path / "cassettes" / "test_it"
    folder.chmod(0o500)

    result = suite.record()

    folder.chmod(0o700)
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines([f"{CassetteWriteError.what}: Permission denied"])
    assert _files(suite) == before


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk(suite: Suite, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    suite.write(TWO_TESTS)
    suite.record()
    before = _files(suite)

    def full(*args: Any) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    original = Path.replace
    if step == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(
            Path, "replace", lambda self, target: full() if self.suffix == ".new" else original(self, target)
        )
    result = suite.record()

    result.assert_outcomes(passed=2, errors=2)
    says = f"{CassetteWriteError.what}: {os.strerror(errno.ENOSPC)}"
    result.stdout.fnmatch_lines([says])
    assert _files(suite) == before


def test_budgets_are_judged_even_if_the_recording_cannot_be_written(suite: Suite) -> None:
    suite.write("@pytest.mark.latency_budget(ttft='1ms')\ndef test_it():\n    stream()\n")
    (suite.path / "cassettes").write_text("not a folder")

    result = suite.record("--latency-budget")

    result.assert_outcomes(failed=1, errors=1)
    whole_lines(result).fnmatch_lines(["ttft was * over the budget of 1ms", "  test_it * broken"])


PLACES = {
    "the prompt": (
        f"ask('my key is {KEY}')",
        "hi",
        "*exchange 1, request body at messages[[]0[]].content: an Anthropic*",
    ),
    "the answer": ("ask()", f"yours is {KEY}", "*exchange 1, answer, *: an Anthropic key"),
    "a stream": ("stream()", f"yours is {KEY[:9]}|{KEY[9:30]}|{KEY[30:]}", "*exchange 1, answer, *: an Anthropic key"),
    "the URL": (
        "ask(extra_query={'api_key': 'a-secret-of-theirs'})",
        "hi",
        "*exchange 1, request URL: the parameter api_key",
    ),
    "user and password": (
        "ask(client=anthropic.Anthropic(base_url='http://joe:a-secret-of-theirs@127.0.0.1:PORT'))",
        "hi",
        "*exchange 1, request URL: a user name or password",
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_credential_stops_the_write_and_only_its_place_is_named(suite: Suite, place: str) -> None:
    call, answer, says = PLACES[place]
    suite.write("def test_it(claude_latency):\n    ask('old')\n")
    suite.record()
    before = _files(suite)
    suite.write(f"def test_it(claude_latency):\n    {call.replace('PORT', str(suite.server.port))}\n")
    suite.server.answer(text(answer))

    result = suite.record("-rA", "-vv", "--tb=long", "--latency-report=all.html", "--junitxml=junit.xml")

    result.assert_outcomes(passed=1, errors=1)
    whole_lines(result).fnmatch_lines(
        ["the recording of test_it.py::test_it was not written: something in it looks like a credential", says]
    )
    assert _files(suite) == before
    written = [path.read_text(encoding="utf-8") for path in suite.path.iterdir() if path.suffix in (".html", ".xml")]
    for output in (result.stdout.str(), result.stderr.str(), *written):
        assert KEY[:30] not in output
        assert "a-secret-of-theirs" not in output


@pytest.mark.slow
def test_an_interrupted_test_writes_nothing_and_earlier_recordings_stay(suite: Suite) -> None:
    suite.write(
        """
def test_one(claude_latency):
    ask("one")


def test_two(claude_latency):
    ask("two")
    raise KeyboardInterrupt
"""
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_API_KEY", "a-key-for-tests")
        patch.setenv("ANTHROPIC_BASE_URL", suite.server.url)
        result = suite.pytester.runpytest_subprocess("--latency-mode=record", "--latency-budget")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert list(_files(suite)) == ["test_it/test_one.1.jsonl"]
    result.stderr.no_fnmatch_line("*Error*")
    result.stdout.fnmatch_lines(["test_it.py::test_one *"])


@pytest.mark.slow
def test_an_interrupted_write_leaves_the_old_recording(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    ask('old')\n")
    suite.record()
    before = _files(suite)
    suite.write(
        """
import os


def interrupt(file):
    raise KeyboardInterrupt


def test_it(claude_latency):
    ask("new")
    os.fsync = interrupt
"""
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_API_KEY", "a-key-for-tests")
        patch.setenv("ANTHROPIC_BASE_URL", suite.server.url)
        result = suite.pytester.runpytest_subprocess("--latency-mode=record")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert _files(suite) == before


KEYLESS = """
def test_it(claude_latency):
    CALL
"""


@pytest.mark.parametrize("call", ["ask()", "stream()", "asyncio.run(aask())", "ask(client=anthropic.Anthropic())"])
@pytest.mark.parametrize("mode", ["record", "live"])
def test_a_client_without_a_key_gets_a_hint(suite: Suite, call: str, mode: str) -> None:
    suite.write(KEYLESS.replace("CALL", call))

    result = suite.run(f"--latency-mode={mode}", base_url=suite.server.url)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(NO_KEY.splitlines())
    assert suite.server.log == ()


def test_a_test_that_is_no_latency_test_and_has_no_key_is_told_how_to_become_one(suite: Suite) -> None:
    suite.write("def test_it():\n    ask()\n\n\ndef test_other():\n    raise TypeError('another')\n")

    result = suite.run()

    result.assert_outcomes(failed=2)
    whole_lines(result).fnmatch_lines(NOT_MEASURED.splitlines())
    assert whole_lines(result).str().count(NOT_MEASURED.splitlines()[0]) == 1


def test_a_client_with_another_credential_gets_no_hint(suite: Suite) -> None:
    suite.write(
        """
def test_header(claude_latency):
    ask(client=anthropic.Anthropic(default_headers={"X-Api-Key": "mine"}))


def test_token(claude_latency):
    ask(client=anthropic.Anthropic(auth_token="mine"))


def test_that_fails(claude_latency):
    ask(client=anthropic.Anthropic(api_key="mine"))
    assert False
"""
    )

    result = suite.run("--latency-mode=record", base_url=suite.server.url)

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.no_fnmatch_line("*no API key*")

"""With the variable CI set, only the command line itself may make a run record."""

from __future__ import annotations

import pytest

from pytest_claude_latency.options.reading import CARELESS_RECORDING
from tests.plugin.suite import Suite, as_shown

TEST = "def test_it(claude_latency):\n    stream()\n"


@pytest.fixture
def in_ci(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """A suite of one test, run where CI is set."""
    suite.write(TEST)
    monkeypatch.setenv("CI", "true")
    return suite


def _refusal(mode: str, place: str) -> list[str]:
    first, *others = as_shown(CARELESS_RECORDING.format(place=place, mode=mode))
    return [f"ERROR: {first}", *others]


@pytest.mark.parametrize("mode", ["record", "record-missing"])
def test_a_mode_of_the_ini_file_does_not_record(in_ci: Suite, mode: str) -> None:
    in_ci.ini(f"latency_mode = {mode}")

    result = in_ci.run(key="key", base_url=in_ci.server.url)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(_refusal(mode, "ini key latency_mode"))
    assert in_ci.server.log == ()


@pytest.mark.parametrize("how", ["PYTEST_ADDOPTS", "addopts"])
def test_a_mode_that_is_added_to_every_command_line_does_not_record(
    in_ci: Suite, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "addopts":
        in_ci.ini("addopts = --latency-mode=record")
    else:
        monkeypatch.setenv("PYTEST_ADDOPTS", "--latency-mode=record")

    result = in_ci.run(key="key", base_url=in_ci.server.url)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(_refusal("record", "--latency-mode"))


@pytest.mark.parametrize("given", [("--latency-mode=record",), ("--latency-mode", "record"), ("--latency-mod=record",)])
def test_a_mode_given_on_the_command_line_records(in_ci: Suite, given: tuple[str, ...]) -> None:
    result = in_ci.run(*given, key="key", base_url=in_ci.server.url)

    if "--latency-mod=record" in given:  # pytest takes no abbreviations
        assert result.ret == pytest.ExitCode.USAGE_ERROR
    else:
        result.assert_outcomes(passed=1)
        assert len(in_ci.recordings()) == 1


def test_another_mode_on_the_command_line_is_no_permission_to_record(
    in_ci: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--latency-mode=record")

    result = in_ci.run("--latency-mode=replay")

    result.assert_outcomes(failed=1)
    assert in_ci.server.log == ()


@pytest.mark.parametrize("mode", ["replay", "live"])
def test_modes_that_write_nothing_may_stand_in_the_ini_file(in_ci: Suite, mode: str) -> None:
    in_ci.record()
    in_ci.ini(f"latency_mode = {mode}")

    in_ci.run(key="key", base_url=in_ci.server.url).assert_outcomes(passed=1)


@pytest.mark.slow
def test_workers_record_where_the_command_line_says_so(in_ci: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", in_ci.server.url)

    result = in_ci.pytester.runpytest_subprocess("-n", "1", "--latency-mode=record")

    result.assert_outcomes(passed=1)
    assert len(in_ci.recordings()) == 1


def test_outside_ci_the_ini_file_may_say_record(suite: Suite) -> None:
    suite.write(TEST)
    suite.ini("latency_mode = record-missing")

    suite.run(key="key", base_url=suite.server.url).assert_outcomes(passed=1)

    assert len(suite.recordings()) == 1

"""When a run has a session: from the start if the user asks for something, else with its first latency test."""

from __future__ import annotations

import pytest

from pytest_claude_latency.options import values
from pytest_claude_latency.options.table import OPTIONS, RULES

CONFTEST = """
from pytest_claude_latency.run.stash_keys import SESSION

def pytest_unconfigure(config):
    print("SESSION" if SESSION in config.stash else "NO SESSION")
"""
PLAIN = "def test_plain(): pass"
LATENCY = "import pytest\n@pytest.mark.latency_budget(calls=0)\ndef test_latency(): pass"
FORKS = "import os\ndef test_forks():\n    child = os.fork()\n    os._exit(0) if child == 0 else os.waitpid(child, 0)"


@pytest.mark.parametrize(
    ("module", "arguments", "said"),
    [
        (PLAIN, (), "NO SESSION"),
        (PLAIN, ("--latency-budget",), "SESSION"),
        (PLAIN, ("--no-latency-budget",), "SESSION"),
        (PLAIN, ("-o", "latency_cassettes=recordings"), "SESSION"),
        (PLAIN, ("-o", "latency_cassettes="), "NO SESSION"),
        (LATENCY, (), "SESSION"),
        pytest.param(FORKS, (), "SESSION", marks=pytest.mark.skipif("not hasattr(__import__('os'), 'fork')")),
    ],
)
def test_a_run_has_a_session_only_if_it_needs_one(
    pytester: pytest.Pytester, module: str, arguments: tuple[str, ...], said: str
) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(module)

    result = pytester.runpytest_subprocess(*arguments)

    result.assert_outcomes(passed=1)
    assert said in result.outlines


def test_a_usage_error_of_an_ini_key_comes_before_any_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(PLAIN)

    result = pytester.runpytest_subprocess("-o", "latency_mode=recrod")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*latency_mode*recrod*"])


@pytest.mark.parametrize("option", [*OPTIONS, *RULES], ids=lambda option: option.name)
def test_each_option_is_understood_by_a_function_of_values(option: object) -> None:
    assert callable(getattr(values, getattr(option, "parse", "")))

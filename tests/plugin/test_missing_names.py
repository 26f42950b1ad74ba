"""A package that lacks a name which is needed: each latency test errors with the same line, and other tests run."""

from __future__ import annotations

import pytest

from pytest_claude_latency import required_names
from tests.plugin.suite import whole_lines

# Loaded before the plugin, as a version of the package would be that has no such name.
EARLY = """
from pytest_claude_latency import required_names

supported, modules = required_names._REQUIRED["{package}"]
required_names._REQUIRED["{package}"] = supported, {{**modules, "{module}": ("Gone.name",)}}
"""
TESTS = """
import asyncio
import pytest
import trio


async def nothing():
    await asyncio.sleep(0)


@pytest.mark.latency_budget(total="3s")
def test_one():
    asyncio.run(nothing())


class TestMore:
    @pytest.mark.latency_budget(total="3s")
    def test_two(self):
        trio.run(trio.sleep, 0)


def test_other():
    asyncio.run(nothing())
    trio.run(trio.sleep, 0)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "module", "told"),
    [
        ("pytest", "_pytest.python", "pytest "),
        ("asyncio.base_events", "asyncio.base_events", "asyncio of Python 3."),
        ("asyncio.selector_events", "asyncio.selector_events", "asyncio of Python 3."),
        ("trio", "trio._core._run", "trio 0."),
        ("anthropic", "anthropic", "anthropic "),
        ("respx", "respx.mocks", "respx 0."),
    ],
)
def test_each_latency_test_tells_it_in_one_line(
    pytester: pytest.Pytester, package: str, module: str, told: str
) -> None:
    pytester.makepyfile(test_it=TESTS, early=EARLY.format(package=package, module=module))

    run = pytester.runpytest_subprocess("-p", "early", "-q", "--latency-mode=live", "--latency-samples=2")

    run.assert_outcomes(passed=1, errors=2 if package == "pytest" else 4)
    lines = {line for line in whole_lines(run).lines if "has no" in line and not line.startswith("ERROR")}
    (line,) = lines
    supported, _ = required_names._REQUIRED[package]
    assert told in line
    assert f"has no {module}.Gone.name, which this plugin needs; supported: {supported}. Nothing was patched" in line

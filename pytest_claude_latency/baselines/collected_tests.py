"""Collected: which tests there are, those included that this run does not select.

A test is said to be gone only where a run looked for it and did not find it: in a file it has read, or one that is no
longer there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import final

import pytest

from pytest_claude_latency.baselines.baseline import gone


@final
class Collected:
    """What was collected so far, by node ids without samples."""

    def __init__(self) -> None:
        self._tests: set[str] = set()
        self._files: set[str] = set()

    def note(self, collector: pytest.Collector, report: pytest.CollectReport) -> None:
        """A collector has handed in what it found; whatever narrows that down comes later."""
        if isinstance(collector, pytest.File) and report.passed:
            self._files.add(collector.nodeid)
        self._tests |= {each.nodeid for each in report.result if isinstance(each, pytest.Item)}

    def plain(self) -> dict[str, list[str]]:
        """What a worker sends."""
        return {"tests": sorted(self._tests), "files": sorted(self._files)}

    def join(self, plain: Mapping[str, list[str]]) -> None:
        """Take over what a worker collected."""
        self._tests |= set(plain["tests"])
        self._files |= set(plain["files"])

    def gone(self, known: Iterable[str], config: pytest.Config) -> list[str]:
        """Which of these tests are no more, of those the run was asked for."""
        missing = gone(known, self._tests, _asked(config))
        return [nodeid for nodeid in missing if self._looked_for(nodeid, config.rootpath)]

    def _looked_for(self, nodeid: str, root: Path) -> bool:
        file = nodeid.partition("::")[0]
        return file in self._files or not (root / file).exists()


def _asked(config: pytest.Config) -> list[str]:
    """The places on the command line as beginnings of node ids; none of them where modules are named."""
    return (
        [] if config.getoption("pyargs", False) else [place for each in config.args if (place := _place(each, config))]
    )


def _place(argument: str, config: pytest.Config) -> str | None:
    path, separator, test = argument.partition("::")
    try:
        there = (config.invocation_params.dir / path).resolve().relative_to(config.rootpath.resolve())
    except ValueError:
        return None
    return there.as_posix() + separator + test

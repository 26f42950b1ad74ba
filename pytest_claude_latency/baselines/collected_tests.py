"""Collected tests: which tests there are, also those that this run does not select.

A test counts as missing only where a run looked for it and did not find it: in a file that pytest has read, or one
that no longer exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import final

import pytest


@final
class CollectedTests:
    """What was collected so far, by node ids without samples."""

    def __init__(self) -> None:
        self._tests: set[str] = set()
        self._files: set[str] = set()

    def add(self, collector: pytest.Collector, report: pytest.CollectReport) -> None:
        """Add what a collector has found. Options such as `-k` narrow that down only later."""
        if isinstance(collector, pytest.File) and report.passed:
            self._files.add(collector.nodeid)
        self._tests |= {item.nodeid for item in report.result if isinstance(item, pytest.Item)}

    def as_json(self) -> dict[str, list[str]]:
        """Return what a worker sends to the controller."""
        return {"tests": sorted(self._tests), "files": sorted(self._files)}

    def join(self, sent: Mapping[str, list[str]]) -> None:
        """Add what a worker has sent."""
        self._tests |= set(sent["tests"])
        self._files |= set(sent["files"])

    def missing_of(self, expected: Iterable[str], config: pytest.Config) -> list[str]:
        """Return the expected tests that no longer exist, among those that the run was asked for."""
        places, root = [], config.rootpath.resolve()
        # with --pyargs an argument is a module's name, which says nothing about the file it is in
        for argument in [] if config.getoption("pyargs", False) else config.args:
            path, separator, test = argument.partition("::")
            place = (config.invocation_params.dir / path).resolve()
            if place.is_relative_to(root):
                places.append(place.relative_to(root).as_posix() + separator + test)
        missing = missing_tests(expected, self._tests, places)
        # `--ignore` or a collector that failed may keep pytest from reading a file that exists
        files = {nodeid: nodeid.partition("::")[0] for nodeid in missing}
        return [
            nodeid for nodeid, file in files.items() if file in self._files or not (config.rootpath / file).exists()
        ]


def missing_tests(expected: Iterable[str], collected: Iterable[str], places: Sequence[str]) -> list[str]:
    """Return the expected tests in these places that were not collected.

    `collected` holds deselected tests too; `places` are what pytest was told to run, as beginnings of node ids: `""`
    for all of rootdir, a folder, a file, a class, a test.
    """
    # a test outside these places was not looked for, so nothing is known about it
    existing = set(collected)

    def is_asked(nodeid: str) -> bool:
        # `[` too: a test that is named without its parameters stands for all of them
        names = [place.removesuffix("/") for place in places]
        return any(
            name in ("", ".", nodeid) or nodeid.startswith((f"{name}/", f"{name}::", f"{name}[")) for name in names
        )

    return sorted(nodeid for nodeid in expected if nodeid not in existing and is_asked(nodeid))

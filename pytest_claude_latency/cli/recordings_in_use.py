"""A census: which recordings the tests of some files use, and what their folders are called.

Only pytest knows which tests a file holds, and asking it runs the suite's own code; so it is asked in
a process of its own: `take` starts that process, and this module, run as a program, is what it runs.
So does `folder_name`, since only pytest knows which ini file is a project's; no code of the suite runs for that.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

import pytest

from pytest_claude_latency.cassettes.paths import path_of
from pytest_claude_latency.collection.identity import identity_of
from pytest_claude_latency.errors import LatencyError


@dataclass(frozen=True)
class Census:
    """What was collected.

    `used` holds the first sample of every recording that a test uses, `unreadable` the files that could not
    be collected, and why; `failure` is why nothing at all could, None if it could.
    """

    used: frozenset[Path] = frozenset()
    unreadable: dict[Path, str] = field(default_factory=dict)
    failure: str | None = None


def take(files: Iterable[Path]) -> Census:
    """Ask pytest, in a process of its own, for the tests of these files."""
    with TemporaryDirectory() as folder:
        outcome = Path(folder) / "census.json"
        command = [sys.executable, "-m", "pytest_claude_latency.cli.recordings_in_use", str(outcome), *map(str, files)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if not outcome.exists():
            said = (done.stderr or done.stdout).strip().splitlines() or [f"it ended with status {done.returncode}"]
            return Census(failure=said[-1])
        counted = json.loads(outcome.read_text(encoding="utf-8"))
    unreadable = {Path(path): reason for path, reason in counted["unreadable"].items()}
    return Census(frozenset(map(Path, counted["used"])), unreadable)


_INI_KEY = "latency_cassettes"
_INI_FILES = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
_INI_ONLY = "--ini-only"


def folder_name(places: Sequence[Path]) -> str | None:
    """What the ini file of these places calls folders of recordings; None if it says nothing, or cannot be read."""
    if not any(map(_may_name_folders, {folder for place in places for folder in _at_and_above(place)})):
        return None
    with TemporaryDirectory() as folder:
        outcome = Path(folder) / "folder"
        command = [
            sys.executable,
            "-m",
            "pytest_claude_latency.cli.recordings_in_use",
            _INI_ONLY,
            str(outcome),
            *map(str, places),
        ]
        # nothing but the ini file counts: no plugin of the project, no options that one of them may have declared
        alone = {name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")}
        alone["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        subprocess.run(command, capture_output=True, check=False, env=alone)
        return outcome.read_text(encoding="utf-8") if outcome.exists() else None


def _at_and_above(place: Path) -> tuple[Path, ...]:
    absolute = place.absolute()
    return absolute, *absolute.parents


def _may_name_folders(folder: Path) -> bool:
    """Whether it is worth asking pytest, which takes a while: most projects do not use the key."""
    for file in _INI_FILES:
        try:
            if _INI_KEY.encode() in (folder / file).read_bytes():
                return True
        except OSError:
            continue
    return False


@final
class IniReader:
    """A pytest plugin that notes what the ini file says, and ends pytest before it collects."""

    def __init__(self, outcome: Path) -> None:
        self._outcome = outcome

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        """In place of the run."""
        if found := config.getini(_INI_KEY):
            self._outcome.write_text(str(found), encoding="utf-8")
        return 0


@final
class Counter:
    """A pytest plugin that notes the recordings of what is collected, deselected tests included."""

    def __init__(self) -> None:
        self.used: set[Path] = set()
        self.unreadable: dict[str, str] = {}
        self.complete = False

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note what could not be imported."""
        if report.failed:
            lines = [line for line in report.longreprtext.splitlines() if line.strip()]
            self.unreadable[report.nodeid.partition("::")[0]] = lines[-1].removeprefix("E").strip() if lines else ""

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """What an ini file's `-m` or `-k` leaves out uses its recording all the same."""
        self.used.update(path for item in items for path in _recordings(item))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what is left."""
        self.pytest_deselected(session.items)
        self.unreadable = {str(session.config.rootpath / file): why for file, why in self.unreadable.items()}
        self.complete = True


def _recordings(item: pytest.Item) -> list[Path]:
    """The first sample of the item's recording; nothing if it is no latency test."""
    from pytest_claude_latency.collection import markers, selection  # only the process that collects needs them
    from pytest_claude_latency.run.session import SESSION

    if not selection.is_latency_test(item):
        return []
    nodeid = identity_of(item).nodeid
    try:
        file, test_id = markers.place_of(item, nodeid)
    except LatencyError:  # said when the test is set up
        file, test_id = item.path, nodeid.partition("::")[2]
    return [path_of(file, item.config.stash[SESSION].settings.cassettes, test_id, 1)]


def main(arguments: Sequence[str]) -> int:
    """Collect the given files and write to the first argument what was found."""
    if arguments[0] == _INI_ONLY:
        return _read_ini(*arguments[1:])
    outcome, *files = arguments
    options = ["--collect-only", "-q", "--latency-mode=replay", "--latency-variants"]
    if importlib.util.find_spec("xdist"):
        options.append("-n0")  # the controller of a distributed run collects nothing
    counter = Counter()
    status = pytest.main([*options, *files], plugins=[counter])
    if counter.complete:
        found: dict[str, Any] = {"used": sorted(map(str, counter.used)), "unreadable": counter.unreadable}
        Path(outcome).write_text(json.dumps(found), encoding="utf-8")
    return int(status)


def _read_ini(outcome: str, *places: str) -> int:
    alone = ["--noconftest", "-o", "addopts=", "-o", "required_plugins=", "-p", "pytest_claude_latency.plugin"]
    return int(pytest.main([*alone, *places], plugins=[IniReader(Path(outcome))]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

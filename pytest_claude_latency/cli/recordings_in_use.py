"""Recordings in use: which recordings the tests of some files use, and what the ini file of a project says.

Only pytest knows which tests a file holds, and asking it runs the suite's own code. So it is asked in a process of its
own: `find_in_use` starts that process, and this module, run as a program, is what it runs. `ini_value` does the
same, since only pytest knows which ini file belongs to a project; no code of the suite runs for that.
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
from typing import final

import pytest

from pytest_claude_latency.cassettes.paths import path_of
from pytest_claude_latency.collection.identity import identity_of
from pytest_claude_latency.errors import LatencyError

_INI_FILES = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
_INI_ONLY = "--ini-only"


@dataclass(frozen=True)
class RecordingsInUse:
    """What pytest collected.

    `used` holds the first sample of every recording that a test uses; `unreadable` the files that pytest could not
    collect, each with the reason; `failure` is why pytest could collect nothing at all, None if it could.
    """

    used: frozenset[Path] = frozenset()
    unreadable: dict[Path, str] = field(default_factory=dict)
    failure: str | None = None


def find_in_use(files: Iterable[Path]) -> RecordingsInUse:
    """Ask pytest, in a process of its own, which recordings the tests of these files use."""
    run, answer = _ask_pytest(map(str, files))
    if answer is None:
        # pytest's own reason stands last: above it is what the suite printed, or a traceback through pytest
        lines = (run.stderr or run.stdout).strip().splitlines()
        return RecordingsInUse(failure=lines[-1] if lines else f"it ended with status {run.returncode}")
    facts = json.loads(answer)
    unreadable = {Path(path): reason for path, reason in facts["unreadable"].items()}
    return RecordingsInUse(frozenset(map(Path, facts["used"])), unreadable)


def ini_value(places: Sequence[Path], key: str) -> tuple[str, Path] | None:
    """Return what the ini file of these places says for a key, and its rootdir.

    None if the ini file does not have the key, or cannot be read.
    """
    absolute = [place.absolute() for place in places]
    folders = {folder for place in absolute for folder in (place, *place.parents)}
    # asking pytest takes a while, and most projects do not have the key
    if not any(_has_key(folder / file, key) for folder in folders for file in _INI_FILES):
        return None
    # only the ini file counts: no plugin of the project, no option that such a plugin may have declared
    env = {name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")}
    _, answer = _ask_pytest([_INI_ONLY, key, *map(str, places)], env | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    if answer is None:
        return None
    value, root = json.loads(answer)
    return value, Path(root)


def _ask_pytest(
    arguments: Iterable[str], env: dict[str, str] | None = None
) -> tuple[subprocess.CompletedProcess[str], str | None]:
    """Run this module as a program. The answer is None if pytest gave none."""
    # it goes through a file: what a suite prints while it is collected would be mixed with it elsewhere
    with TemporaryDirectory() as folder:
        file = Path(folder) / "answer"
        command = [sys.executable, "-m", "pytest_claude_latency.cli.recordings_in_use", str(file), *arguments]
        run = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=env)
        return run, file.read_text(encoding="utf-8") if file.exists() else None


def _has_key(file: Path, key: str) -> bool:
    try:
        # bytes: an ini file in another encoding must not end the command, and the key is plain ASCII in each of them
        return key.encode() in file.read_bytes()
    except OSError:
        return False


@final
class IniReader:
    """A pytest plugin that writes down what the ini file says, and ends pytest before it collects."""

    def __init__(self, answer: Path, key: str) -> None:
        self._answer = answer
        self._key = key

    # first, since the hook stops at the first result, and pytest's own runs the tests
    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        """Take the place of the run."""
        if value := config.getini(self._key):
            self._answer.write_text(json.dumps([str(value), str(config.rootpath)]), encoding="utf-8")
        return 0


@final
class Collector:
    """A pytest plugin that writes down the recordings of what is collected, deselected tests included."""

    def __init__(self, answer: Path) -> None:
        self._answer = answer
        self._used: set[Path] = set()
        self._unreadable: dict[str, str] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Take what could not be imported."""
        if report.failed:
            # the last line is the exception; those above it are the traceback
            lines = [line for line in report.longreprtext.splitlines() if line.strip()]
            reason = lines[-1].removeprefix("E").strip() if lines else ""
            self._unreadable[report.nodeid.partition("::")[0]] = reason

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Take tests that the `-m` or `-k` of an ini file leaves out: they use their recordings all the same."""
        from pytest_claude_latency.collection import markers, selection  # only the process that collects needs them
        from pytest_claude_latency.run.beginning import session_of

        for item in items:
            identity, folder = identity_of(item), session_of(item.config).settings.cassettes
            if identity.fault is not None:
                # what the test asks only with the fault lies beside its own recording
                self._used.add(path_of(item.path, folder, f"{identity.test_id}~{identity.fault.id}", 1))
            elif selection.is_latency_test(item):
                nodeid = identity.nodeid
                try:
                    file, test_id = markers.place_of(item, nodeid)
                except LatencyError:  # the run says so when the test is set up
                    file, test_id = item.path, nodeid.partition("::")[2]
                self._used.add(path_of(file, folder, test_id, 1))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take the tests that are left, and write the answer."""
        self.pytest_deselected(session.items)
        unreadable = {str(session.config.rootpath / file): reason for file, reason in self._unreadable.items()}
        facts = {"used": sorted(map(str, self._used)), "unreadable": unreadable}
        self._answer.write_text(json.dumps(facts), encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Collect the given files, or read their ini file, and write the answer to the file named first."""
    plugin: IniReader | Collector
    answer, *places = arguments
    if places[:1] == [_INI_ONLY]:
        _, key, *places = places
        # no code of the project may run only because someone asks what its ini file says
        options = ["--noconftest", "-o", "addopts=", "-o", "required_plugins=", "-p", "pytest_claude_latency.plugin"]
        plugin = IniReader(Path(answer), key)
    else:
        # variants are items of their own with recordings of their own, which exist only under this option
        options = ["--collect-only", "-q", "--latency-mode=replay", "--latency-variants"]
        if importlib.util.find_spec("xdist"):
            options.append("-n0")  # the controller of a distributed run collects nothing
        plugin = Collector(Path(answer))
    return int(pytest.main([*options, *places], plugins=[plugin]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

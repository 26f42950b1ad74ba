"""The check of a suite's recordings: readable, free of credentials, and each with a test left that uses it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_claude_latency.cassettes.reader import FORMAT
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.cassettes.secrets import find_credentials
from pytest_claude_latency.cli.recordings_in_use import Census, take
from pytest_claude_latency.errors import CassetteError

_SAMPLE = re.compile(r"\.\d+\.jsonl\Z")


@dataclass(frozen=True)
class Checked:
    """One file: the recording in it (None if it cannot be read), and what is wrong with it."""

    path: Path
    recording: Recording | None
    problems: tuple[str, ...] = ()


def find(places: Iterable[Path], folder: str) -> list[Path]:
    """The recordings in these places: files so named, all `*.jsonl` in a `folder`, elsewhere those that are some."""
    places = list(places)
    named = {place for place in places if place.is_file()}
    files = {file for place in places for file in place.rglob("*.jsonl")}
    return sorted(named | {file for file in files if Path(folder).name in file.resolve().parts or _is_recording(file)})


def _is_recording(file: Path) -> bool:
    try:
        with file.open("rb") as lines:
            return FORMAT.encode() in lines.readline(4096)
    except OSError:
        return False


def check(paths: Sequence[Path], folder: str, *, collect: bool = True) -> list[Checked]:
    """Check each of these recordings. With `collect`, pytest is asked which tests there are."""
    checked = [_read(path) for path in paths]
    tests = {
        _test_file(each.path, each.recording, folder)
        for each in checked
        if each.recording and _is_placed(each.path, folder) and not _is_fixtures(each)
    }
    files = sorted(test for test in tests if test.is_file())
    census = take(files) if collect and files else None
    return [_with_use(each, folder, census) for each in checked]


def _read(path: Path) -> Checked:
    try:
        recording = Recording.load(path)
    except CassetteError as error:
        place = "" if error.line is None else f"line {error.line}: "
        return Checked(path, None, (f"it cannot be read: {place}{error.reason}",))
    return Checked(path, recording, tuple(f"it may hold a credential: {each}" for each in find_credentials(recording)))


def _is_placed(path: Path, folder: str) -> bool:
    """Whether it lies where a test or fixture would look; others are values that programs load by themselves."""
    parts = Path(folder).parts
    return path.resolve().parts[-2 - len(parts) : -2] == parts


def _is_fixtures(checked: Checked) -> bool:
    """Whether it is the recording of a fixture, not of a test."""
    return checked.recording is not None and checked.recording.test.partition("::")[2].startswith("@")


def _test_file(path: Path, recording: Recording, folder: str) -> Path:
    """The file whose test it records: it lies beside the folder of recordings, whatever rootdir was then."""
    beside = path.resolve().parents[1 + len(Path(folder).parts)]
    return beside / Path(recording.test.partition("::")[0]).name


def _with_use(checked: Checked, folder: str, census: Census | None) -> Checked:
    if checked.recording is None or not _is_placed(checked.path, folder):
        return checked
    reason = _why_unused(checked, checked.recording, folder, census)
    problems = checked.problems if reason is None else (*checked.problems, f"no test uses it: {reason}")
    return Checked(checked.path, checked.recording, problems)


def _why_unused(checked: Checked, recording: Recording, folder: str, census: Census | None) -> str | None:
    file, test_id = _test_file(checked.path, recording, folder), recording.test.partition("::")[2]
    if not file.is_file():
        return f"there is no {file.name} beside {folder}/"
    if _is_fixtures(checked):
        return None if _is_named(test_id, file) else f"{file.name} has no fixture {test_id}"
    if census is None:
        return None
    if census.failure is not None:
        return f"pytest could not collect: {census.failure}"
    if file in census.unreadable:
        return f"pytest could not collect {file.name}: {census.unreadable[file]}"
    first = checked.path.resolve().with_name(_SAMPLE.sub(".1.jsonl", checked.path.name))
    return None if first in census.used else f"pytest finds no latency test {test_id} in {file.name}"


def _is_named(fixture: str, file: Path) -> bool:
    """Whether the file names the fixture: `@session.client[en]`, `@class.TestTriage::setUpClass`."""
    name = re.split(r"\.|::", fixture.partition("[")[0])[-1]
    return re.search(rf"\b{re.escape(name)}\b", file.read_text(encoding="utf-8", errors="replace")) is not None

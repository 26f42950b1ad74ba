"""`claude-latency check`: are the recordings readable, free of credentials, and does a test use each of them?"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_claude_latency.cassettes.reader import FORMAT
from pytest_claude_latency.cassettes.recording import Recording, first_line
from pytest_claude_latency.cassettes.secrets import find_credentials
from pytest_claude_latency.cli.output import say
from pytest_claude_latency.cli.recordings_in_use import RecordingsInUse, find_in_use, ini_value
from pytest_claude_latency.errors import CassetteError
from pytest_claude_latency.messages_api.clients import release_line
from pytest_claude_latency.plurals import number_of

_SAMPLE = re.compile(r"\.\d+\.jsonl\Z")
FOLDER_HELP = "name of the folders of recordings (default: the one in the ini file, else cassettes)"


@dataclass(frozen=True)
class Checked:
    """One file: the recording in it (None if it cannot be read), and what is wrong with it."""

    path: Path
    recording: Recording | None
    problems: tuple[str, ...] = ()


def declare(commands: Any) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "check",
        help="check recordings: readable, free of credentials, used by a test",
        description="Check that every recording is readable, free of credentials, and used by a test that still "
        "exists. Show how old each recording is, and which client made it. Exit status 1 if there is a problem.",
    )
    parser.add_argument("places", nargs="+", type=Path, metavar="DIR", help="a folder of recordings, or one recording")
    parser.add_argument("--no-collect", action="store_true", help="do not ask pytest which tests exist")
    parser.add_argument("--cassettes", metavar="DIR", help=FOLDER_HELP)
    parser.set_defaults(run=run, parser=parser)


def run(chosen: argparse.Namespace) -> int:
    """Print a line for each recording, its problems under it, and a summary."""
    refuse_missing(chosen)
    folder = folder_of(chosen)
    paths = find(chosen.places, folder)
    if not paths:
        say(f"no recordings in {' '.join(map(str, chosen.places))}")
        return 1
    all_checked = check(paths, folder, collect=not chosen.no_collect)
    release_lines: Counter[str] = Counter()
    for checked in all_checked:
        facts = " " * 30
        if recording := checked.recording:
            release_lines[release_line(recording.client)] += 1
            # clocks of two machines may disagree: a recording of today is not of tomorrow
            age = max((datetime.now(UTC) - datetime.fromisoformat(recording.recorded)).days, 0)
            facts = f"{number_of(age, 'day'):>10}  {recording.client:<18}"
        say(
            f"{'PROBLEM' if checked.problems else 'ok':<8}{facts}  {checked.path}",
            *(f"    {problem}" for problem in checked.problems),
        )
    made_by, shown = "", ""
    for line in sorted(release_lines):
        name, _, version = line.rpartition(" ")
        # a library is named once, with its first release line: `anthropic 0.x: 1, 2.x: 3`
        made_by += f", {version if name == shown else line}: {release_lines[line]}"
        shown = name
    problems = sum(bool(checked.problems) for checked in all_checked)
    say(f"{number_of(len(all_checked), 'recording')}{made_by}; {problems or 'none'} with problems")
    return 1 if problems else 0


def folder_of(chosen: argparse.Namespace) -> str:
    """Return what folders of recordings are called: as the command says, else as the ini file of its places does."""
    named = None if chosen.cassettes else ini_value(chosen.places, "latency_cassettes")
    return chosen.cassettes or (named[0] if named else "cassettes")


def refuse_missing(chosen: argparse.Namespace) -> None:
    """End the command with a usage error if one of its places does not exist."""
    for place in chosen.places:
        if not place.exists():
            chosen.parser.error(f"there is no {place}")


def find(places: Iterable[Path], folder: str) -> list[Path]:
    """Return the recordings in these places.

    These are files that are named, all `*.jsonl` files in a folder called `folder`, and elsewhere those `*.jsonl`
    files whose first line names the format.
    """
    paths = set()
    for place in places:
        if place.is_file():
            paths.add(place)
        for file in place.rglob("*.jsonl"):
            if Path(folder).name in file.resolve().parts:
                paths.add(file)
                continue
            # Other tools write JSON lines too: outside folders of recordings the first line decides. Its beginning is
            # enough: a file of another tool may be one line of gigabytes.
            with suppress(OSError), file.open("rb") as lines:
                if FORMAT.encode() in lines.readline(4096):
                    paths.add(file)
    return sorted(paths)


def check(paths: Sequence[Path], folder: str, *, collect: bool = True) -> list[Checked]:
    """Check each of these recordings. With `collect`, pytest is asked which tests there are."""
    recordings: dict[Path, Recording] = {}
    problems: dict[Path, list[str]] = {}
    for path in paths:
        try:
            recording = recordings[path] = Recording.load(path)
        except CassetteError as error:
            problems[path] = [f"it cannot be read: {error.problem}"]
            continue
        # where it is, never what it is: this output goes into logs that more people read than the recording
        problems[path] = [f"it may hold a credential: {place}" for place in find_credentials(recording)]
        if mixed := _why_mixed(path, recording):
            problems[path].append(f"its set is mixed or incomplete: {mixed}")
    # Only what lies where a test or fixture would look can be unused: programs load other recordings by themselves.
    # The folder of recordings may have several parts, `data/cassettes`; below it is one folder for each module.
    parts = Path(folder).parts
    placed = {
        path: recording for path, recording in recordings.items() if path.resolve().parts[-2 - len(parts) : -2] == parts
    }
    # no test to collect belongs to the recording of a fixture; its name is looked for in the file's text instead
    tests = {path: recording for path, recording in placed.items() if not _is_of_fixture(recording)}
    # pytest is asked once for all files, since each start of it takes seconds
    test_files = sorted({_test_file(path, recording, folder) for path, recording in tests.items()})
    files = [file for file in test_files if file.is_file()]
    in_use = find_in_use(files) if collect and files else None
    for path, recording in placed.items():
        if unused := _why_unused(path, recording, folder, in_use):
            problems[path].append(f"no test uses it: {unused}")
    return [Checked(path, recordings.get(path), tuple(problems[path])) for path in paths]


def _why_mixed(path: Path, recording: Recording) -> str | None:
    """Return why the samples of the same test that lie next to it are no complete set; None if they are.

    Nothing is known of a file whose name is not that of a sample, or that does not say how large its set is.
    """
    test = _SAMPLE.sub("", path.name)
    if test == path.name or recording.samples is None:
        return None
    found = sorted(
        file
        for file in path.parent.iterdir()
        if _SAMPLE.search(file.name) is not None and _SAMPLE.sub("", file.name) == test
    )
    if len(found) != recording.samples:
        return f"it is one of {recording.samples}, and there are {len(found)}"
    for other in found:
        header = first_line(other)
        # a file of version 1 has no mark
        if header is not None and header.version > 1 and (header.set or None) != recording.set_mark:
            return f"it was not recorded together with {other.name}"
    return None


def _is_of_fixture(recording: Recording) -> bool:
    # no test function can have such a name
    return recording.test.partition("::")[2].startswith("@")


def _test_file(path: Path, recording: Recording, folder: str) -> Path:
    """Return the file whose test it records: it lies next to the folder of recordings, whatever rootdir was then."""
    parent = path.resolve().parents[1 + len(Path(folder).parts)]
    return parent / Path(recording.test.partition("::")[0]).name


def _why_unused(path: Path, recording: Recording, folder: str, in_use: RecordingsInUse | None) -> str | None:
    """Return why no test uses the recording; None if one does, or if that is not known."""
    # the file next to the recording, since the one in the recording is relative to the rootdir of that day
    file, test_id = _test_file(path, recording, folder), recording.test.partition("::")[2]
    if not file.is_file():
        return f"there is no {file.name} next to {folder}/"
    if _is_of_fixture(recording):
        # `@session.client[en]`, `@class.TestTriage::setUpClass`: does the file have a word that is the fixture's name?
        name = re.split(r"\.|::", test_id.partition("[")[0])[-1]
        is_named = re.search(rf"\b{re.escape(name)}\b", file.read_text(encoding="utf-8", errors="replace"))
        return None if is_named else f"{file.name} has no fixture {test_id}"
    if in_use is None:
        return None
    if in_use.failure is not None:
        return f"pytest could not collect: {in_use.failure}"
    if file in in_use.unreadable:
        return f"pytest could not collect {file.name}: {in_use.unreadable[file]}"
    # pytest is asked for first samples only: whoever uses the first uses them all
    first_sample = path.resolve().with_name(_SAMPLE.sub(".1.jsonl", path.name))
    return None if first_sample in in_use.used else f"pytest finds no latency test {test_id} in {file.name}"

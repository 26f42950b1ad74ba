"""Paths of recordings.

A name is made from the test's id alone, never from what else is in the folder, so
every machine and every worker finds the same one. What some file system cannot hold, or
cannot tell apart, is replaced and a hash of the id added: two tests never share a path.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import final

_LONGEST = 100  # bytes: the narrowest file systems hold 143, and ".<sample>.jsonl" and a temporary suffix follow
_SAMPLE = re.compile(r"(.*)\.([1-9]\d*)\.jsonl", re.DOTALL)
_PLAIN = re.compile(rf"test_[a-z0-9_]{{0,{_LONGEST - 5}}}")
"""What most tests are called: nothing in such a name has to be replaced, and no other name is mistaken for it."""
_HASH_LIKE = re.compile(r"-[0-9a-f]{8}\Z")
# Windows opens a device instead of a file with such a name.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|\Z)", re.IGNORECASE)
# The only spellings of test names in mixed case that need no hash: pytest and unittest prescribe them.
_XUNIT = {name.lower(): name for name in ("setUp", "tearDown", "setUpClass", "tearDownClass", "setUpModule")} | {
    name.lower(): name for name in ("tearDownModule", "asyncSetUp", "asyncTearDown")
}


def path_of(test_file: Path, folder: str, test_id: str, sample: int) -> Path:
    """Return the file of one sample of a test: `<test folder>/<folder>/<module>/<test id>.<sample>.jsonl`.

    `test_id` is the node id after the file, without the sample: `"TestTriage::test_label[en]"`.
    """
    return _module_folder(test_file, folder) / f"{_test_name(test_id)}.{sample}.jsonl"


def fixture_path(test_file: Path, folder: str, scope: str, fixture: str, param: str | None = None) -> Path:
    """Return the file of a fixture's own calls: `@<scope>.<fixture>[<param id>].jsonl`.

    It lies where the recordings of tests in `test_file` lie, which defines the fixture. The name of an xunit hook is
    its own, with its class: `"TestTriage::setUpClass"`.
    """
    return _module_folder(test_file, folder) / f"{_safe(fixture_id(scope, fixture, param))}.jsonl"


def fixture_id(scope: str, fixture: str, param: str | None = None) -> str:
    """Return the name of a fixture in its recording, after the file: `"@session.client[en]"`."""
    return f"@{scope}.{fixture}" if param is None else f"@{scope}.{fixture}[{param}]"


def shown(path: Path, root: Path) -> str:
    """Return a path as messages show it: relative to rootdir, with slashes on every system."""
    text, start = str(path), f"{root}{os.sep}"
    if text.startswith(start) and ".." not in text:  # what `relpath` finds too, but for each test anew
        return text.removeprefix(start).replace(os.sep, "/")
    return Path(os.path.relpath(path, root)).as_posix()


def samples(test_file: Path, folder: str, test_id: str) -> list[Path]:
    """Return the files of the recorded samples of a test, in their order. Empty if it was never recorded."""
    numbers = RecordedSamples(folder).of(test_file, test_id)
    return [path_of(test_file, folder, test_id, number) for number in numbers]


@final
class RecordedSamples:
    """Which samples of each test are recorded. Each folder is listed once: a module may have thousands of tests."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._listed: dict[Path, dict[str, list[int]]] = {}

    def of(self, test_file: Path, test_id: str) -> list[int]:
        """Return the numbers of the recorded samples of a test, in order. Empty if it was never recorded."""
        folder = _module_folder(test_file, self._folder)
        if folder not in self._listed:
            self._listed[folder] = _listed(folder)
        return self._listed[folder].get(_test_name(test_id), [])


def _listed(folder: Path) -> dict[str, list[int]]:
    """Return the numbers of the samples in a folder of recordings, in order, by the name of the test."""
    numbers: dict[str, list[int]] = {}
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return numbers
    for entry in entries:
        if match := _SAMPLE.fullmatch(entry.name):
            numbers.setdefault(match[1], []).append(int(match[2]))
    for found in numbers.values():
        found.sort()
    return numbers


@lru_cache(maxsize=256)  # it is asked for with each test of a module
def _module_folder(test_file: Path, folder: str) -> Path:
    return test_file.parent / folder / _safe(test_file.name.removesuffix(".py"))


def _test_name(test_id: str) -> str:
    # A test whose name begins with "@" gets a hash: without it, it could be the file of a fixture.
    return _safe(test_id, altered=test_id.startswith("@"))


def _safe(identity: str, altered: bool = False) -> str:
    """Return a name that every file system can hold and none confuses with that of another id.

    `altered` says that the name needs a hash in any case.
    """
    if not altered and _PLAIN.fullmatch(identity):
        return identity
    names = re.split(r"[\[~]", identity, maxsplit=1)[0]  # "~" opens the name of a variant
    parameters = identity[len(names) :]
    name = ".".join(names.split("::")) + parameters
    safe = re.sub(r"[^\w\-.\[\]@+=,~() ]|^[.\s]|[.\s]\Z", "_", name)
    if _DEVICES.match(safe):
        safe = "_" + safe
    long = len(safe.encode(errors="replace")) > _LONGEST
    if not (altered or long or safe != name or _is_ambiguous(names, parameters, name)):
        return name
    start = safe.encode(errors="replace")[: _LONGEST - 9].decode(errors="ignore")  # a character is not cut in half
    return f"{start}-{sha256(identity.encode(errors='surrogatepass')).hexdigest()[:8]}"


def _is_ambiguous(names: str, parameters: str, name: str) -> bool:
    """Return whether some file systems, or a reader of the name, could take it for that of another id."""
    fixture_scope, _, rest = names.partition(".") if names.startswith("@") else ("", "", names)
    *classes, last = rest.split("::")
    return (
        any("." in part for part in (*classes, last))  # a dot already stands for "::"
        or not name.isascii()  # normal forms and case rules differ between file systems
        or parameters != parameters.lower()  # macOS and Windows do not tell "En" from "en"
        or fixture_scope != fixture_scope.lower()
        or any(part != _usual_class(part) for part in classes)
        or last != _XUNIT.get(last.lower(), last.lower())
        or _HASH_LIKE.search(name) is not None
    )


def _usual_class(name: str) -> str:
    """Return the one spelling of a class name that needs no hash: `TestTriage`, however it is written."""
    folded = name.lower()
    return "Test" + folded[4:].capitalize() if folded.startswith("test") else folded.capitalize()

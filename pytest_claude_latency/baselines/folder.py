"""The folder of a project's baselines: where it is, and which files lie in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pytest_claude_latency.baselines.baseline import Baseline, old_file
from pytest_claude_latency.errors import BaselineError, LatencyError, NotUnderstoodError

FOLDER = ".latency"
SUFFIX = ".jsonl"
# a name becomes a file name, on every system: no slash, no dot or option's dash at its start
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file of the folder. `baseline` is None where it cannot be read; `problem` then says why."""

    path: Path
    size: int
    baseline: Baseline | None
    problem: str | None = None


def path_of(root: Path, name: str) -> Path:
    """Return the file of the baseline NAME below rootdir.

    Raises:
        LatencyError: it is not a name.
    """
    if not _NAME.fullmatch(name):
        raise NotUnderstoodError(f'{name!r} is not a name of a baseline; accepted: letters, digits, "_", "-" and "."')
    return root / FOLDER / f"{name}{SUFFIX}"


def locate(root: Path, here: Path, text: str) -> Path:
    """Return the file that `--latency-compare=TEXT` means: a path from `here` if it looks like one, else a name.

    Raises:
        LatencyError: it is neither.
    """
    looks_like_a_path = "/" in text or "\\" in text or text.endswith((SUFFIX, ".json"))
    return here / text if looks_like_a_path else path_of(root, text)


def root_of(here: Path) -> Path:
    """Return the folder whose baselines are called by name: the nearest from `here` up that has some, or `here`."""
    here = here.absolute()
    return next((folder for folder in (here, *here.parents) if (folder / FOLDER).is_dir()), here)


def folder_of(place: Path) -> Path:
    """Return the folder of baselines in a project, or `place` itself where it is such a folder."""
    return place / FOLDER if (place / FOLDER).is_dir() else place


def list_folder(folder: Path) -> list[ListedFile]:
    """Return the baselines of a folder by name, also those that cannot be read. Empty if there is no such folder.

    Raises:
        LatencyError: the folder cannot be read.
    """
    try:
        files = sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LatencyError(f"cannot read {folder}: {error.strerror or error}") from error
    baselines = []
    for file in files:
        # an old file next to the new one is only waiting to be deleted
        is_old = file.suffix == ".json" and old_file(file) and file.with_suffix(SUFFIX) not in files
        if file.suffix != SUFFIX and not is_old:
            continue
        size = file.stat().st_size if file.exists() else 0  # a link may lead nowhere
        try:
            baselines.append(ListedFile(file, size, Baseline.load(file)))
        except BaselineError as error:
            baselines.append(ListedFile(file, size, None, error.problem))
    return baselines

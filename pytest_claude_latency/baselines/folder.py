"""The folder of a project's baselines: where it is, and what lies in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_claude_latency.baselines.baseline import FOLDER, Baseline
from pytest_claude_latency.errors import BaselineError, LatencyError


@dataclass(frozen=True, slots=True)
class Kept:
    """One file. `baseline` is None where it cannot be read, and `problem` then says why."""

    path: Path
    size: int
    baseline: Baseline | None
    problem: str | None = None


def root_of(here: Path) -> Path:
    """The folder whose baselines go by their names: the nearest at or above `here` that has some, else `here`."""
    here = here.absolute()
    return next((folder for folder in (here, *here.parents) if (folder / FOLDER).is_dir()), here)


def folder_of(place: Path) -> Path:
    """The folder of baselines that a project has, or `place` itself where it is one."""
    return place / FOLDER if (place / FOLDER).is_dir() else place


def kept_in(folder: Path) -> list[Kept]:
    """The baselines of a folder by name, those that cannot be read among them. Empty if there is no such folder.

    Raises:
        LatencyError: the folder cannot be looked into.
    """
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix == ".json")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LatencyError(f"cannot look into {folder}: {error.strerror or error}") from error
    return [_kept(file) for file in files]


def _kept(file: Path) -> Kept:
    size = file.stat().st_size if file.exists() else 0  # a link may lead nowhere
    try:
        return Kept(file, size, Baseline.load(file))
    except BaselineError as error:
        place = "" if error.line is None else f"line {error.line}: "
        return Kept(file, size, None, place + error.reason)

"""Files that appear whole or not at all, one by one or as a set.

A new text is written next to its place and moved there, so that a run that is interrupted, or
a disk that is full, leaves the file of before.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pytest_claude_latency import litter
from pytest_claude_latency.errors import FileWriteError


def write_file(path: Path, content: bytes) -> None:
    """Write `content` to `path`. Folders are made, a link stays a link, a pipe or terminal is written to.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_bytes(content)  # a pipe or a terminal, which a file must not replace
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    litter.sweep(path.parent)
    new = _temporary(path, "new")
    try:
        new.write_bytes(content)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text that people or programs read, as `write_file` does.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
    """
    # a lone surrogate, which some test ids hold, cannot be encoded; its escape also reads well in JSON
    write_file(path, text.encode("utf-8", "backslashreplace"))


def replace_files(texts: Mapping[Path, str], stale: Iterable[Path] = ()) -> None:
    """Write each text to its file and remove the stale files, all or nothing. Folders are made.

    Raises:
        FileWriteError: a file could not be written; everything is as it was before.
    """
    new_files: dict[Path, Path] = {}
    try:
        for path, text in texts.items():
            new_files[path] = _temporary(path, "new")
            with _errors_name(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                litter.sweep(path.parent)
                with new_files[path].open("xb") as file:
                    file.write(text.encode())
                    file.flush()
                    # before the rename, or a crash of the machine could leave an empty file under the right name
                    os.fsync(file.fileno())
        _swap(new_files, [path for path in stale if path not in new_files])
    finally:
        for new in new_files.values():
            with suppress(OSError):
                new.unlink(missing_ok=True)


def _swap(new_files: Mapping[Path, Path], stale: Iterable[Path]) -> None:
    """Put new files in the place of old ones, or nothing at all.

    The texts are on the disk already: what is left takes no space, so it can always be taken back.
    """
    old_files: dict[Path, Path] = {}
    placed: list[Path] = []
    try:
        for path, new in new_files.items():
            with _errors_name(path):
                _keep_old(path, old_files)
                placed.append(path)
                new.replace(path)
        for path in stale:
            with _errors_name(path):
                _keep_old(path, old_files)
                path.unlink(missing_ok=True)
    except BaseException:
        for path in placed:
            if path not in old_files:
                path.unlink(missing_ok=True)
        for path, old in old_files.items():
            old.replace(path)
            old.unlink(missing_ok=True)  # a file replaced by a link to itself leaves the link
        raise
    for old in old_files.values():
        with suppress(OSError):
            old.unlink()


def _keep_old(path: Path, old_files: dict[Path, Path]) -> None:
    if not path.exists():
        return
    old = _temporary(path, "old")
    try:
        old.hardlink_to(path)  # the file itself stays in place, also if the process dies here
    except OSError:  # a file system without links
        shutil.copy2(path, old)
    old_files[path] = old


def _temporary(path: Path, suffix: str) -> Path:
    """A name in the same folder, so that moving it is one step: a rename does not cross file systems."""
    return path.with_name(litter.name(suffix))


@contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """Name the file where the system names a temporary one, or none."""
    try:
        yield
    except OSError as error:
        raise FileWriteError(path, error.strerror or str(error)) from error

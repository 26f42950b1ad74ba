"""Child processes: which files of this process do they have open too?

A child that was forked has a copy of each file, and one that was started with
another program has those that it was given. What it never had, it cannot write to.
So `multiprocessing`'s resource tracker, which lives as long as the program does,
is no reason to wait.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROCESSES = Path("/proc")


def hold(name: str) -> bool:
    """Return whether a child, or a child of one, has an open file whose name in `/proc` begins so; yes, if in doubt."""
    try:
        return any(target.startswith(name) for child in _descendants("self") for _, target in open_files(child))
    except PermissionError:  # it runs as another user
        return True


def a_fork_runs() -> bool:
    """Return whether a child, or a child of one, goes on with the program of this process; no, if it cannot be seen."""
    with suppress(OSError):
        # One that has ended and that nobody has waited for shows no command.
        own = (_PROCESSES / "self" / "cmdline").read_bytes()
        for child in _descendants("self"):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                if (child / "cmdline").read_bytes() == own:
                    return True
    return False


def runs(child: int) -> bool:
    """Return whether this child, or one of all children if it is no number of a process, still runs; yes, if in doubt.

    One that has ended is left as it is, for the program to see.
    """
    if not hasattr(os, "waitid"):
        return True
    kind = os.P_PID if child > 0 else os.P_ALL
    try:
        return os.waitid(kind, max(child, 0), os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:  # the program has seen its end
        return False


def open_files(process: Path) -> list[tuple[int, str]]:
    """Return the descriptors of a process, each with the name of its file, such as `pipe:[123]`."""
    found = []
    try:
        for descriptor in os.listdir(process / "fd"):  # noqa: PTH208 - a process may have very many
            try:
                found.append((int(descriptor), os.readlink(process / "fd" / descriptor)))  # noqa: PTH115 - as above
            except FileNotFoundError:  # closed since
                continue
    except (FileNotFoundError, ProcessLookupError):  # it has ended, so its files are closed
        return []
    return found


def _descendants(process: str) -> Iterator[Path]:
    for task in os.listdir(_PROCESSES / process / "task"):  # noqa: PTH208 - a process may have a thousand threads
        try:
            pids = (_PROCESSES / process / "task" / task / "children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            if not _LISTED:  # the kernel does not list children
                raise PermissionError from None
            continue  # the thread has ended
        for pid in pids:
            yield _PROCESSES / pid
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                yield from _descendants(pid)


_LISTED = (_PROCESSES / "thread-self" / "children").exists()

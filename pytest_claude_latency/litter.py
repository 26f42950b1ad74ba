"""Litter: files and folders that only the run needs which made them, and what a killed run left of them.

Their names say which process made them, so that the next run can tell what is left from what is in use.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from zlib import crc32

_MACHINE = f"{crc32((os.environ.get('COMPUTERNAME') or getattr(os, 'uname', lambda: ('', ''))()[1]).encode()):08x}"
"""Two machines or containers that share a folder do not see each other's processes."""
_NAME = (  # as text: most runs look at no folder
    r"(?:\.|claude-latency-)(?:(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-)?[0-9a-f]{16}(?:\.(?:new|old|jsonl|staging))"
)
_DAY = 24 * 60 * 60
_SWEPT: set[Path] = set()
"""The folders that this process has looked at: a folder of recordings may hold thousands of files."""


def name(suffix: str, prefix: str = ".") -> str:
    """Return a name that nothing else has: of a file that is about to be moved, or of something in a shared folder."""
    return f"{prefix}{_MACHINE}-{os.getpid()}-{os.urandom(8).hex()}.{suffix}"


def sweep(folder: Path) -> None:
    """Remove what runs that were killed left in a folder; once for each folder, and in silence where that fails."""
    if folder in _SWEPT:
        return
    _SWEPT.add(folder)
    with suppress(OSError):
        # When something last came or went here: clocks may be days ahead after tests in virtual time
        changed = folder.stat().st_mtime
        for entry in list(os.scandir(folder)):
            found = re.fullmatch(_NAME, entry.name)
            if found is None or not _is_left(entry, found, changed - _DAY):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with suppress(OSError):
                    Path(entry.path).unlink()


def _is_left(entry: os.DirEntry[str], found: re.Match[str], a_day_ago: float) -> bool:
    # On Windows `os.kill` ends the process that it is to ask for.
    if found["machine"] == _MACHINE and sys.platform != "win32":
        try:
            os.kill(int(found["process"]), 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):
            return False
        return False
    try:
        return entry.stat(follow_symlinks=False).st_mtime < a_day_ago
    except OSError:
        return False

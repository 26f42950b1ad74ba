"""Forked children of this process: what they tell the measurement that was under way when they were forked.

A forked child has a copy of everything, and what it notes there reaches nobody. So it appends to a file, whose name
both know, and the process that measures reads it.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import final

from pytest_claude_latency import litter
from pytest_claude_latency.measurement.processes.shared_page import TOLD


class Told(Enum):
    """What a child tells."""

    CALL = "call"
    """It sent a request through a door."""
    OUTSIDE = "outside"
    """It connected to a Claude API past every door."""
    PROCESS = "process"
    """It started a process."""
    MISS = "miss"
    """It asked for something that nothing may answer."""


@final
class Children:
    """What the children that are forked from now on tell, in the file at `path`. An older child knows it otherwise."""

    def __init__(self, path: Path | None = None) -> None:
        self._parent = os.getpid()
        # Nothing is made before a child has something to tell: most tests fork no children.
        self.path = path or Path(tempfile.gettempdir(), litter.name("jsonl", prefix="claude-latency-"))
        self._read = 0

    @property
    def is_child(self) -> bool:
        """Whether this process is such a child."""
        return os.getpid() != self._parent

    def tell(self, kind: Told, text: str) -> None:
        """Tell the process that measures. Each line is written at once, since other children write too."""
        line = json.dumps([kind.value, text]).encode() + b"\n"
        TOLD[0] = 1  # first: who sees it too early looks in vain, and looks again
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def news(self) -> list[tuple[Told, str]]:
        """Return what was told since this was last asked."""
        if not TOLD[0]:  # to look for a file costs a hundred times as much
            return []
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        new, self._read = lines[self._read :], len(lines)
        return [(Told(kind), text) for kind, text in map(json.loads, new)]

    def forget(self) -> None:
        """Remove the file."""
        if TOLD[0] and not self.is_child:
            with suppress(FileNotFoundError):
                self.path.unlink()

"""Traces of recordings: each file is read once, so that the runs of a test can be compared cheaply."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.diagnosis.trace import Trace
from pytest_claude_latency.errors import CassetteError
from pytest_claude_latency.messages_api.retries import calls_of


def trace_of(recording: Recording) -> Trace:
    """Return the trace of a recording. It does not say which calls fixtures made, so all count as the test's."""
    return Trace.of(
        calls_of(recording.exchanges), nodeid=recording.test, sample=recording.sample, recorded=recording.recorded
    )


@final
@dataclass(frozen=True)
class RecordedTraces:
    """A cache of the traces of one folder's recordings.

    One folder at a time is enough: a run goes from test module to test module and never back.
    """

    _cached: dict[tuple[Path, int], Trace | None] = field(default_factory=dict)

    def at(self, path: Path) -> Trace | None:
        """Return the trace of one recording; None if it cannot be read."""
        try:
            key = path, path.stat().st_mtime_ns  # a recording that was written again since is read again
        except OSError:
            return None
        if key not in self._cached:
            # other folders are done with, and what was written again is out of date
            for old_key in list(self._cached):
                if old_key[0].parent != path.parent or old_key[0] == path:
                    del self._cached[old_key]
            try:
                self._cached[key] = trace_of(Recording.load(path))
            except CassetteError:
                self._cached[key] = None
        return self._cached[key]

    def others_in_folder(self, path: Path) -> list[Trace]:
        """Return the traces of the other recordings in the folder of `path`: other samples, other tests."""
        return self.read(sibling for sibling in path.parent.glob("*.jsonl") if sibling != path)

    def read(self, paths: Iterable[Path]) -> list[Trace]:
        """Return the traces of those recordings that can be read, in the order of their paths."""
        # in one order on every machine, since findings name the first of equals
        return [trace for path in sorted(paths) if (trace := self.at(path)) is not None]

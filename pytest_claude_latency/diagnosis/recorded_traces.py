"""Accounts of recordings: what files tell of a test's runs, each read once, so that runs can be compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.diagnosis.rules import Account
from pytest_claude_latency.errors import CassetteError
from pytest_claude_latency.messages_api.retries import calls_of


def account_of(recording: Recording) -> Account:
    """What a recording tells. It does not say which calls fixtures made: all count as the test's."""
    return Account.of(
        calls_of(recording.exchanges), nodeid=recording.test, sample=recording.sample, recorded=recording.recorded
    )


@final
@dataclass(frozen=True)
class Accounts:
    """The accounts of recordings, of one folder at a time: a run goes from module to module and never back."""

    _known: dict[tuple[Path, int], Account | None] = field(default_factory=dict)

    def at(self, path: Path) -> Account | None:
        """The account of one recording; None if it cannot be read. What was replaced is read again."""
        try:
            key = path, path.stat().st_mtime_ns
        except OSError:
            return None
        if key not in self._known:
            for known in [known for known in self._known if known[0].parent != path.parent or known[0] == path]:
                del self._known[known]
            self._known[key] = _read(path)
        return self._known[key]

    def beside(self, path: Path) -> list[Account]:
        """Those of the other recordings in the folder of `path`: other samples, and other tests of its module."""
        return self.of(other for other in path.parent.glob("*.jsonl") if other != path)

    def of(self, paths: Iterable[Path]) -> list[Account]:
        """Those of these recordings that can be read, in the order of their names."""
        return [account for path in sorted(paths) if (account := self.at(path)) is not None]


def _read(path: Path) -> Account | None:
    try:
        return account_of(Recording.load(path))
    except CassetteError:
        return None

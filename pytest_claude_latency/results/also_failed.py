"""What made a run fail besides its latency tests, so that no report calls a run good that pytest does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from pytest_claude_latency.plurals import number_of

Kind: TypeAlias = Literal["variant", "other test", "file", "run"]

_WHAT: Final[dict[Kind, str]] = {
    "variant": "failed",
    "other test": "failed",
    "file": "could not be collected",
}


@dataclass(frozen=True, slots=True)
class AlsoFailed:
    """One failure that no row shows."""

    kind: Kind
    name: str
    """The node id, or what became of the whole run."""

    def text(self) -> str:
        """Return it in one line."""
        return f"{self.name} {_WHAT[self.kind]}" if self.kind in _WHAT else self.name


def counted(failures: Iterable[AlsoFailed]) -> list[str]:
    """Return how many of each kind there are, in words."""
    found = list(failures)
    counts = Counter(failure.kind for failure in found)
    lines = [f"{number_of(counts[kind], kind)} {what}" for kind, what in _WHAT.items() if counts[kind]]
    return lines + [failure.name for failure in found if failure.kind not in _WHAT]

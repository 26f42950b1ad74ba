"""Which faults do not run: counted where tests are collected, and told at the end of the run.

Each process of a run has its own, in the stash of its config.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias, final

TestsOfFaults: TypeAlias = dict[str, set[str]]
"""For each fault, the node ids of tests."""


@final
@dataclass
class FaultCounts:
    """What does not run, for the lines at the end of a run."""

    left_out: TestsOfFaults = field(default_factory=dict)
    """For each id of a fault, the tests that such a run does not try with it."""
    not_applying: TestsOfFaults = field(default_factory=dict)
    """For each fault of the option, the tests that it does not fit."""
    declared: TestsOfFaults = field(default_factory=dict)
    """For each fault of the option, the tests that have it from a marker: they are not tried with it twice."""

    def _all(self) -> Iterator[tuple[str, TestsOfFaults]]:
        yield "left_out", self.left_out
        yield "not_applying", self.not_applying
        yield "declared", self.declared

    def keep(self, selected: Collection[str]) -> None:
        """Forget all tests but these: what is collected is counted before `-k`, `-m`, `--lf` and ids select.

        Where nothing is selected, the faults that were left out stay: they may be what was asked for.
        """
        for name, counts in self._all():
            if selected or name != "left_out":
                for fault in list(counts):
                    counts[fault].intersection_update(selected)

    def as_json(self) -> dict[str, dict[str, list[str]]]:
        """Return the counts of a worker in types that execnet accepts."""
        return {name: {fault: sorted(tests) for fault, tests in counts.items()} for name, counts in self._all()}

    def join(self, sent: dict[str, dict[str, list[str]]]) -> None:
        """Take over the counts of a worker. All workers collect the same, so nothing is counted twice."""
        for name, counts in self._all():
            for fault, tests in sent[name].items():
                counts.setdefault(fault, set()).update(tests)

"""Which faults do not run: counted where tests are collected, and told at the end of the run.

Each process of a run has its own, in the stash of its config.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final


@final
@dataclass
class FaultCounts:
    """What does not run, by node ids of the tests, for the lines at the end of a run."""

    left_out: set[str] = field(default_factory=set)
    """Fault items that such a run does not have."""
    not_applying: dict[str, set[str]] = field(default_factory=dict)
    """For each fault of the option, the tests that it does not fit."""

    def as_json(self) -> dict[str, Any]:
        """Return the counts of a worker in types that execnet accepts."""
        return {
            "left_out": sorted(self.left_out),
            "not_applying": {fault: sorted(tests) for fault, tests in self.not_applying.items()},
        }

    def join(self, counts: dict[str, Any]) -> None:
        """Take over the counts of a worker. All workers collect the same, so nothing is counted twice."""
        self.left_out.update(counts["left_out"])
        for fault, tests in counts["not_applying"].items():
            self.not_applying.setdefault(fault, set()).update(tests)

"""Worker output: what a worker of xdist has to say besides its results, sent once, when it is done.

Both sides stand here, so that whoever adds a fact sees where it arrives. xdist sends plain types only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_claude_latency.collection.fault_counts import FaultCounts
from pytest_claude_latency.collection.selection import FAULT_COUNTS
from pytest_claude_latency.run.session import Session


def output_of(session: Session) -> dict[str, Any]:
    """Return what the worker has to say, in types that xdist can send."""
    collected = session.collected_tests
    counts = session.config.stash.get(FAULT_COUNTS, None)
    return {
        "warnings": list(session.warnings),
        "fixtures": session.recorded_fixtures,
        "faults": None if counts is None else counts.as_json(),
        "collected": None if collected is None else collected.as_json(),
    }


def take_over(output: Mapping[str, Any], session: Session) -> None:
    """Add what a worker said to what the controller knows."""
    for warning in output["warnings"]:
        session.warn(warning)
    session.recorded_fixtures.update({name: tuple(facts) for name, facts in output["fixtures"].items()})
    if output["faults"] is not None:
        session.config.stash.setdefault(FAULT_COUNTS, FaultCounts()).join(output["faults"])
    if session.collected_tests is not None and output["collected"] is not None:
        session.collected_tests.join(output["collected"])

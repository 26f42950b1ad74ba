"""Calls to Claude that no measurement saw: a test that made some never passes in silence."""

from __future__ import annotations

from pytest_claude_latency.measurement.call_log import Phase
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.run import messages


def warnings_of(measurement: Measurement) -> list[str]:
    """Return a warning for each way in which calls went past the measurement."""
    unseen = measurement.unseen
    warnings = [connection.unmeasured() for connection in unseen.connections]
    warnings += unseen.child_connections
    # After a miss the test has failed with it, which says more.
    if unseen.child_calls and not measurement.missed:
        warnings.append(messages.calls_of_children(unseen.child_calls, replays=measurement.replays))
    return warnings


def notes_of(measurement: Measurement) -> list[str]:
    """Return a note for each line of the program that started a process."""
    return [process.note() for process in measurement.unseen.processes]


def failure_of(measurement: Measurement) -> str | None:
    """Return how a test fails all of whose calls went past its measurement; `None` for any other."""
    unseen = measurement.unseen
    if measurement.log.of(*Phase).calls:
        return None
    for connection in unseen.connections:
        return connection.instead_of_calls()
    return messages.ONLY_CHILDREN_CALLED if unseen.child_calls or unseen.child_connections else None

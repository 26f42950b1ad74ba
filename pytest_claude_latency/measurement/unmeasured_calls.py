"""Calls to Claude that no measurement saw: a test that made some never passes in silence."""

from __future__ import annotations

from pytest_claude_latency.http.guard.judging import claudes_at
from pytest_claude_latency.measurement.call_log import Phase
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.plurals import number_of

ONLY_CHILDREN = "no call of this test was measured, but its child processes called a Claude API"
ONLY_CHILDREN_CALLED = (
    f"{ONLY_CHILDREN}\n"
    "  do        call Claude in the process of the test: in threads or tasks instead of child processes"
)


def warnings_of(measurement: Measurement) -> list[str]:
    """Return a warning for each way in which calls went past the measurement."""
    unseen = measurement.unseen
    warnings = [*measurement.warnings, *(connection.unmeasured() for connection in unseen.connections)]
    warnings += unseen.child_connections
    # After a miss the test has failed with it, which says more.
    if unseen.child_calls and not measurement.misses:
        replayed, sent = "answered from the recording, but not measured", "sent, but neither measured nor recorded"
        warnings.append(
            f"{number_of(unseen.child_calls, 'call')} of child processes: {replayed if measurement.replays else sent}; "
            f"what is to be measured has to be called in threads or tasks"
        )
    warnings += unseen.open_connections.unknown()
    # Clouds and gateways serve other models too. Beside measured calls that is what such a request asks for.
    if not measurement.log.exchanges and not measurement.answered_elsewhere:
        warnings += [
            f"no call was measured, but {number_of(count, 'request')} went to {host}:{port}, where a Claude API is "
            f"served, and by URL and body asked for no message of a Claude model: sent in every mode, and never "
            f"recorded; name the URL in latency_endpoints if it does"
            for (host, port), count in unseen.let_pass.items()
            if claudes_at(host, port) is not None
        ]
    return warnings


def notes_of(measurement: Measurement) -> list[str]:
    """Return a note for each line of the program that started a process."""
    unseen = measurement.unseen
    return [*(process.note() for process in unseen.processes), *unseen.child_processes]


def failure_of(measurement: Measurement) -> str | None:
    """Return how a test fails all of whose calls went past its measurement; `None` for any other."""
    unseen = measurement.unseen
    went_past = unseen.connections or unseen.child_calls or unseen.child_connections
    if not went_past or measurement.log.of(*Phase).calls:
        return None
    for connection in unseen.connections:
        return connection.instead_of_calls()
    return ONLY_CHILDREN_CALLED if unseen.child_calls or unseen.child_connections else None

"""Faults for `@pytest.mark.latency_fault`: what an API may do to a program.

Each is a value that is called with a recording and returns one in which that happens, so it can be played as well:
`play(dropped(after=3)(recording))`. Arguments are given by name.
"""

from __future__ import annotations

from pytest_claude_latency.errors import FaultError
from pytest_claude_latency.simulation.fault import Fault
from pytest_claude_latency.simulation.faults import (
    dropped,
    failing,
    malformed,
    overloaded,
    overloaded_midstream,
    rate_limited,
    refused,
    slower,
    stalled,
    trickled,
    truncated,
    unanswered,
)

__all__ = [
    "Fault",
    "FaultError",
    "dropped",
    "failing",
    "malformed",
    "overloaded",
    "overloaded_midstream",
    "rate_limited",
    "refused",
    "slower",
    "stalled",
    "trickled",
    "truncated",
    "unanswered",
]

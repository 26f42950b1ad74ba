"""A/B pairs: the recorded request and the current request of one call, as both were answered.

A run with `--latency-ab` sends both in one session, so that a slow moment of the API affects both equally. These
values travel from an xdist worker to the controller as plain dicts. They hold measurements and a hash of what was sent,
and never a header.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_claude_latency.metrics.timeline import Call


@dataclass(frozen=True, slots=True)
class MeasuredRequest:
    """One request of a pair as it was answered, and the conditions that may have made it fast or slow."""

    call: Call
    conditions: Mapping[str, str]
    """What `conditions_of` tells about it."""

    @property
    def failure(self) -> str | None:
        """The error that it was answered with, or that broke it off. `None` if it can be compared."""
        return self.call.error


@dataclass(frozen=True, slots=True)
class ABPair:
    """The recorded request and the current request of one call, sent one right after the other."""

    number: int
    """Which call of the test body it is, from 1."""
    recorded: MeasuredRequest
    current: MeasuredRequest

    @property
    def failure(self) -> str | None:
        """Why the two cannot be compared. `None` if they can."""
        # both may have failed, and each for another reason
        sides = {"the recorded request": self.recorded.failure, "the current request": self.current.failure}
        return "; ".join(f"{side} ended with {error}" for side, error in sides.items() if error is not None) or None


@dataclass(frozen=True, slots=True)
class NotCompared:
    """A call that has no pair, and the reason."""

    number: int | None
    """Which call of the test body it is, from 1. `None` if no call of the test has a pair."""
    reason: str
    mendable: bool = False
    """Whether a pair would exist if the test were recorded, as with any missing baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ABSample:
    """What one sample of a test measured with `--latency-ab`."""

    calls: int
    """How many calls the test body made."""
    recording: str
    """The file that holds the recorded requests, relative to rootdir."""
    pairs: tuple[ABPair, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()

    @property
    def sent(self) -> tuple[Call, ...]:
        """All calls that were sent only to compare."""
        # they cost money as well: the estimate of what a run costs counts them
        return tuple(request.call for pair in self.pairs for request in (pair.recorded, pair.current))

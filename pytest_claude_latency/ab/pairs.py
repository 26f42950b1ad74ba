"""Arms: the two requests that are measured side by side, the one that was recorded and the one that is made now.

Both are sent in one session, so that what wanders with the API's mood falls on both alike. It crosses from an xdist
worker to the controller as a plain dict; of what was sent it holds facts and a hash, and no header.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pytest_claude_latency.metrics.timeline import Call


@dataclass(frozen=True, slots=True)
class Arm:
    """One request as it was answered, and what else may have made it fast or slow (`conditions_of`)."""

    call: Call
    conditions: Mapping[str, str]

    @property
    def failure(self) -> str | None:
        """Why it measures nothing: the error it was answered with, or that broke it off. None if it does."""
        return self.call.error

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Arm:
        """The arm that `asdict` wrote."""
        return cls(Call(**plain["call"]), plain["conditions"])


@dataclass(frozen=True, slots=True)
class Arms:
    """One call's recorded request and its current one, measured one right after the other."""

    number: int
    """Which call of the test body it is, from 1."""
    recorded: Arm
    current: Arm

    @property
    def failure(self) -> str | None:
        """Why the two cannot be compared; None if they can."""
        sides = {"the recorded request": self.recorded.failure, "the current request": self.current.failure}
        return "; ".join(f"{side} ended with {why}" for side, why in sides.items() if why is not None) or None

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Arms:
        """The pair that `asdict` wrote."""
        return cls(plain["number"], Arm.from_dict(plain["recorded"]), Arm.from_dict(plain["current"]))


@dataclass(frozen=True, slots=True)
class NotCompared:
    """A call that has no pair, and why."""

    number: int | None
    """Which call of the test body it is, from 1; None: none of them has one."""
    reason: str
    mendable: bool = False
    """Whether recording the test would give it one: as with any baseline that is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """What one sample of a test measured side by side."""

    calls: int
    """How many calls its body made."""
    recording: str
    """The file that holds the recorded requests, relative to rootdir."""
    pairs: tuple[Arms, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()

    @property
    def sent(self) -> tuple[Call, ...]:
        """All calls that the comparison cost."""
        return tuple(arm.call for pair in self.pairs for arm in (pair.recorded, pair.current))

    def as_dict(self) -> dict[str, Any]:
        """It in types that JSON and execnet know; `from_dict` reads it back."""
        plain = {"pairs": [asdict(each) for each in self.pairs]}
        return {**asdict(self), **plain, "not_compared": [asdict(each) for each in self.not_compared]}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> SideBySide:
        """What `as_dict` wrote."""
        return cls(
            calls=plain["calls"],
            recording=plain["recording"],
            pairs=tuple(map(Arms.from_dict, plain["pairs"])),
            not_compared=tuple(NotCompared(**each) for each in plain["not_compared"]),
        )

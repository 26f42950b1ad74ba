"""A finding: a measured fact about a test, what can be done about it, and what that would save."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pytest_claude_latency import duration
from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.plurals import number_of

GUIDE: Final[Mapping[int, str]] = {
    1: "choose the right model",
    2: "keep prompt and answer short",
    3: "stream",
}
"""The sections of the guide to reducing latency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """An estimate: what the remedy would save, and the number of calls in the user's own recordings it is based on.

    `how` completes "saves about 3.050s": `"with half as many tokens"`.
    """

    span: Nanoseconds
    how: str
    calls: int

    def text(self) -> str:
        """One line."""
        basis = number_of(self.calls, "recorded call")
        return f"saves about {duration.show(self.span)} {self.how} (estimate from {basis})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one rule has to say about a test.

    `cost` is the time that the fact is about, by which findings are ranked; `guide` the section of the guide that the
    remedy comes from; None where it is none of the guide's. `calls` are the numbers of the calls it is about.
    """

    rule: str
    fact: str
    remedy: str
    cost: Nanoseconds
    guide: int | None = None
    saving: Saving | None = None
    calls: tuple[int, ...] = ()

    def lines(self) -> list[str]:
        """The fact, the remedy, and the saving where there is one."""
        source = "" if self.guide is None else f" (guide, {self.guide}: {GUIDE[self.guide]})"
        lines = [self.fact, f"try: {self.remedy}{source}"]
        return lines if self.saving is None else [*lines, self.saving.text()]

    def as_json(self) -> dict[str, Any]:
        """The finding in JSON types; times in seconds, to the microsecond."""
        saving = self.saving and {
            "seconds": _seconds(self.saving.span),
            "how": self.saving.how,
            "calls": self.saving.calls,
        }
        return {
            "rule": self.rule,
            "fact": self.fact,
            "remedy": self.remedy,
            "guide": self.guide,
            "cost": _seconds(self.cost),
            "saving": saving,
            "calls": list(self.calls),
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Finding:
        """The finding that `as_json` wrote."""
        saving = plain["saving"]
        return cls(
            rule=plain["rule"],
            fact=plain["fact"],
            remedy=plain["remedy"],
            cost=duration.nanoseconds(plain["cost"]),
            guide=plain["guide"],
            saving=saving
            and Saving(span=duration.nanoseconds(saving["seconds"]), how=saving["how"], calls=saving["calls"]),
            calls=tuple(plain["calls"]),
        )


def listing(findings: Iterable[Finding]) -> list[str]:
    """The lines of these findings, each after the word."""
    return [
        f"{'finding' if place == 0 else '':<10}{line}"
        for finding in findings
        for place, line in enumerate(finding.lines())
    ]


def _seconds(span: Nanoseconds) -> float:
    return round(span / duration.SECOND, 6)

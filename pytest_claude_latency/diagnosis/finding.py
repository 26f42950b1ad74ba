"""A finding: a measured fact about a test, what can be done about it, and what that would save."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from pytest_claude_latency import duration
from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.plurals import number_of

GUIDE: Final[Mapping[int, str]] = {1: "choose the right model", 2: "keep prompt and answer short", 3: "stream"}
"""The sections of Anthropic's guide to reducing latency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """An estimate of what the remedy would save, and the number of the user's recorded calls it is based on.

    `how` completes "saves about 3.050s": `"with half as many tokens"`. `made_up` says that the test's answers are.
    """

    span: Nanoseconds
    how: str
    calls: int
    made_up: bool = False

    def text(self) -> str:
        """Return the estimate in one line."""
        basis = number_of(self.calls, "recorded call")
        if self.made_up:
            basis = f"{number_of(self.calls, 'call')} with made-up answers"
        return f"saves about {duration.show(self.span)} {self.how} (estimate from {basis})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one rule says about a test.

    `cost` is the time that the fact is about, by which findings are ranked. `guide` is the section of the guide that
    the remedy comes from; None if it is not from the guide. `calls` are the numbers of the calls it is about.
    """

    rule: str
    fact: str
    remedy: str
    guide: int | None = None
    # what a remedy would save is often unknown, so findings are ranked by what their fact is about
    cost: Nanoseconds
    saving: Saving | None = None
    calls: tuple[int, ...] = ()
    made_at: tuple[str, ...] = ()
    """The lines of the program that made these calls, each once; empty where they are not known or all alike."""
    costs: tuple[Nanoseconds, ...] = ()
    """What `cost` adds up, for each of `calls`; empty where it is about all of them together. Reports leave it out."""

    def lines(self) -> list[str]:
        """Return the fact, where its calls are made, the remedy, and the saving, as far as there are these."""
        section = None if self.guide is None else GUIDE.get(self.guide)  # a report may be of a version that knows more
        source = "" if section is None else f" (guide, {self.guide}: {section})"
        lines = [self.fact, f"try: {self.remedy}{source}"]
        if self.made_at:
            lines.insert(1, f"made at {', '.join(self.made_at)}")
        return lines if self.saving is None else [*lines, self.saving.text()]

    def as_json(self) -> dict[str, Any]:
        """Return the finding in JSON types; times in seconds, to the microsecond."""
        saving = self.saving and {
            "seconds": _seconds(self.saving.span),
            "how": self.saving.how,
            "calls": self.saving.calls,
            "made_up": self.saving.made_up,
        }
        lists = {"calls": list(self.calls), "made_at": list(self.made_at)}
        values = asdict(self) | {"cost": _seconds(self.cost), "saving": saving} | lists
        del values["costs"]
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Finding:
        """Return the finding that `as_json` wrote."""
        saving = values["saving"]
        return cls(
            rule=values["rule"],
            fact=values["fact"],
            remedy=values["remedy"],
            cost=duration.nanoseconds(values["cost"]),
            guide=values["guide"],
            saving=saving
            and Saving(
                span=duration.nanoseconds(saving["seconds"]),
                how=saving["how"],
                calls=saving["calls"],
                made_up=saving.get("made_up", False),
            ),
            calls=tuple(values["calls"]),
            made_at=tuple(values.get("made_at", ())),
        )


def listing(findings: Iterable[Finding]) -> list[str]:
    """Return the lines of these findings; the first line of each begins with the word "finding"."""
    # a word in the first line only, so that a reader sees where a finding begins
    return [
        f"{'' if place else 'finding':<10}{line}" for finding in findings for place, line in enumerate(finding.lines())
    ]


def _seconds(span: Nanoseconds) -> float:
    return round(span / duration.SECOND, 6)

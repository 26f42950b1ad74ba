"""What was measured of an output that an application handed its user."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from pytest_claude_latency import duration


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedBudget:
    """A limit on a watched output, and what came of it. Both times are in seconds."""

    metric: str
    limit: float
    measured: float | None
    verdict: Literal["kept", "broken", "not measured", "not judged"]
    origin: str
    reason: str | None

    def as_json(self) -> dict[str, Any]:
        """Return what a limit on calls has too, so that both are read alike."""
        return {**_rounded(self), "statistic": None, "call": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One watched output. Times are seconds since the start of the test body or block; None where nothing came."""

    items: int
    """How many items held something that a user sees."""
    ttft: float | None
    longest_gap: float | None
    total: float | None
    start: float = 0.0
    """When the test body or block began, since the start of the test."""

    budgets: tuple[WatchedBudget, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return its fields as JSON values, times rounded to the microsecond; without budgets if it has none."""
        values = {name: value for name, value in _rounded(self).items() if name != "budgets"}
        return values | ({"budgets": [budget.as_json() for budget in self.budgets]} if self.budgets else {})

    def text(self) -> str:
        """Return it in one line."""
        moments = [("first text", self.ttft), ("longest gap", self.longest_gap), ("end", self.total)]
        shown = [f"{name} {duration.show(duration.nanoseconds(at))}" for name, at in moments if at is not None]
        return f"watched output: {', '.join(shown) or 'nothing came'}"


def _rounded(fact: WatchedBudget | Watched) -> dict[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(fact).items()}

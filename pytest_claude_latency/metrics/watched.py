"""What was measured of an output that an application handed its user."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from pytest_claude_latency import duration


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

    def as_json(self) -> dict[str, float | None]:
        """Return its fields as JSON values, times rounded to the microsecond."""
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}

    def text(self) -> str:
        """Return it in one line."""
        moments = [("first text", self.ttft), ("longest gap", self.longest_gap), ("end", self.total)]
        shown = [f"{name} {duration.show(duration.nanoseconds(at))}" for name, at in moments if at is not None]
        return f"watched output: {', '.join(shown) or 'nothing came'}"

"""A call in words, for messages and reports: what kind of call it was, and its moments."""

from __future__ import annotations

from pytest_claude_latency.metrics.timeline import Call


def describe(call: Call) -> str:
    """What kind of call it was, and how it ended where that was not in full."""
    facts = [call.model or "model unknown", "streamed" if call.streamed else "not streamed"]
    if not call.streamed and call.ttft is not None:
        facts[-1] += " (its first token came with its last)"
    if call.attempts > 1:
        facts.append(f"{call.attempts} attempts")
    if call.error is not None:
        facts.append(f"ended by {call.error}")
    if call.closed is not None:
        facts.append(f"closed by the {call.closed}")
    return ", ".join(facts)


def moments(call: Call) -> str:
    """The moments of one call, in milliseconds since it was sent."""
    reached: list[tuple[str, float | None]] = [("sent", 0.0), ("headers", call.ttfb)]
    if call.streamed:
        reached.append(("first token", call.ttft))
    if call.streamed and call.ttfa != call.ttft:
        reached.append(("first answer token", call.ttfa))
    reached.append(("end", call.total))
    shown = [f"{name} {milliseconds(at)}" for name, at in reached if at is not None]
    return " · ".join(shown if call.total is not None else [*shown, "not ended"])


def milliseconds(seconds: float) -> str:
    """A span as whole milliseconds, which lines up on a timeline: `"1240ms"`."""
    return f"{seconds * 1000:.0f}ms"

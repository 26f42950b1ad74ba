"""A call in words, for messages and reports: what kind of call it was, and its moments."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_claude_latency.metrics.given_up import given_up
from pytest_claude_latency.metrics.timeline import Call


def names_of(calls: Sequence[Call]) -> list[str]:
    """Return what reports call each call of a test: `"call 2"`, or `"call 2, given up"`."""
    lost = given_up(calls)
    return [f"call {number}{', given up' if number in lost else ''}" for number in range(1, len(calls) + 1)]


def describe(call: Call) -> str:
    """Return what kind of call it was, and how it ended if it was cut off: `"claude-haiku-4-5, streamed"`."""
    facts = [call.model or "model unknown", "streamed" if call.streamed else "not streamed"]
    # Without this, a `ttft` of many seconds in a report looks like an error of measurement.
    if not call.streamed and call.ttft is not None:
        facts[-1] += " (its first token came with its last)"
    if call.attempts > 1:
        facts.append(f"{call.attempts} attempts")
    if call.error is not None:
        facts.append(f"ended by {call.error}")
    if call.closed is not None:
        facts.append(f"closed by the {call.closed}")
    return ", ".join(facts)


def moments(call: Call, since: float = 0.0) -> str:
    """Return the moments of a call in milliseconds since it was sent: `"sent 0ms · headers 310ms · end 900ms"`.

    `since` is added to each of them: with `call.sent` they stand on the clock of the test.
    """
    instants: list[tuple[str, float | None]] = [("sent", 0.0), ("headers", call.ttfb)]
    if call.streamed:
        instants.append(("first token", call.ttft))
    if call.streamed and call.ttfa != call.ttft:  # after thinking
        instants.append(("first answer token", call.ttfa))
    # last, also where it equals the first token: it tells that the answer ended
    instants.append(("end", call.total))
    texts = [f"{name} {milliseconds(since + at)}" for name, at in instants if at is not None]
    return " · ".join(texts if call.total is not None else [*texts, "not ended"])


def place_of(call: Call) -> str:
    """Return the file and line of the program that made a call, for lists: `"app/llm.py:56"`; empty if unknown."""
    return (call.location or "").partition(" in ")[0]


def milliseconds(seconds: float) -> str:
    """Return a span in whole milliseconds, so that the moments of a timeline compare at a glance: `"1240ms"`."""
    return f"{seconds * 1000:.0f}ms"

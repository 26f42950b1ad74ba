"""The rule about the program itself."""

from __future__ import annotations

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.breakdown import Part
from pytest_claude_latency.diagnosis.critical_path import Stretch
from pytest_claude_latency.diagnosis.finding import Finding
from pytest_claude_latency.diagnosis.trace import Trace
from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.virtual_time import place_of_hold

# every program takes some time of its own
_LEAST_SHARE = 0.2
_LEAST_TIME = 200 * MILLISECOND


def application(trace: Trace) -> Finding | None:
    """Find much time in which the program waited for no request.

    What it took late of an answer is another finding.
    """
    # both stand in one part of the breakdown, since both are the program's; the remedies differ
    cost = trace.breakdown.time_in(Part.APPLICATION) - trace.breakdown.late
    total = trace.breakdown.total
    if cost < max(_LEAST_TIME, _LEAST_SHARE * total):
        return None
    path = trace.breakdown.path
    gaps = [
        (
            gap.end - gap.start,
            f"between {_name(trace, before.call)} and {_name(trace, after.call)}{_held_in(trace, gap)}",
        )
        for before, gap, after in zip(path, path[1:], path[2:], strict=False)
        if gap.call is None
    ]
    # a call that was given up may stay open behind the last answer
    if len(path) > 1 and path[-1].call is None:
        gaps.append((path[-1].end - path[-1].start, f"after {_name(trace, path[-2].call)}"))
    # without a gap on the path the time lies behind an answer that was already complete
    where = ", reading on after an answer was complete"
    if gaps:
        longest, place = max(gaps)
        where = f", {duration.show(longest)} of it {place}"
    return Finding(
        rule="application",
        fact=f"{duration.show(cost)} of {duration.show(total)} passed in the application{where}",
        remedy="look at the application: it was not waiting for the API",
        cost=cost,
    )


def _held_in(trace: Trace, gap: Stretch) -> str:
    """Return what held the program in most of a gap: `", in time.sleep at app.py:9 in f"`; empty if that is unknown."""
    start, end = trace.origin + gap.start, trace.origin + gap.end
    # Of a time in which no thread of Python ran nobody knows what it was.
    waits = [hold for hold in trace.holds if hold.what and start <= hold.start and hold.end <= end]
    longest = max(waits, key=lambda hold: hold.length, default=None)
    # less than half would name a small wait as the reason for a long gap
    if longest is None or 2 * longest.length < gap.end - gap.start:
        return ""
    what, where = place_of_hold(longest)
    return f", in {what} at {where}" if where else f", in {what}"


def _name(trace: Trace, place: int | None) -> str:
    return "the application" if place is None else trace.request(place)

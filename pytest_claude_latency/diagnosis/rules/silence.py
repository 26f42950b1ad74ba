"""Rules about streams that show nothing for a while although the API is at work."""

from __future__ import annotations

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.finding import Finding
from pytest_claude_latency.diagnosis.trace import PromptCall, Trace, numbers
from pytest_claude_latency.duration import SECOND, Nanoseconds

_LEAST = SECOND  # of silence that a reader notices


def silent_thinking(trace: Trace) -> Finding | None:
    """Find streams in which the model thought and nothing of it was shown.

    Silent where the thinking was shown, and about less than a second.
    """
    calls = [call for call in trace.calls if _unshown(call) >= _LEAST]
    if not calls:
        return None
    worst = trace.worst(calls, key=_unshown)
    return Finding(
        rule="silent-thinking",
        fact=f"{trace.name(worst)} thought for {duration.show(_unshown(worst))} and showed nothing of it: its reader "
        "saw a stream stand still" + trace.and_others(calls),
        remedy='ask for a summary of the thinking (thinking: {"display": "summarized"}) and show it, or lower the '
        "effort",
        cost=sum(_unshown(call) for call in calls),
        costs=tuple(_unshown(call) for call in calls),
        calls=numbers(calls),
    )


def _unshown(call: PromptCall) -> Nanoseconds:
    """Return for how long blocks of thinking were open in a stream without bringing anything."""
    timeline = call.timeline
    return sum(
        block.ended - block.began
        for block in timeline.blocks
        if block.type in ("thinking", "redacted_thinking")
        and block.ended is not None
        and not block.pieces(timeline.deltas)
    )


def buffered_tool_input(trace: Trace) -> Finding | None:
    """Find tools whose input the API held back until it was complete, and then sent at once.

    Silent where the input came as it was written, and where the tool asks for that already.
    """
    calls = [call for call in trace.calls if _held_back(call)]
    if not calls:
        return None
    worst = trace.worst(calls, key=_held_back)
    return Finding(
        rule="buffered-tool-input",
        fact=f"in {trace.name(worst)} nothing came for {duration.show(_held_back(worst))} after the use of a tool "
        "began, and then its input at once" + trace.and_others(calls),
        remedy="let the input stream (eager_input_streaming: true on the tool), if the program can use parts of it",
        cost=sum(_held_back(call) for call in calls),
        costs=tuple(_held_back(call) for call in calls),
        calls=numbers(calls),
    )


def _held_back(call: PromptCall) -> Nanoseconds:
    # the API sends the input of such a tool as it is written, so a silence there is the model's own
    tools = call.body.get("tools")
    if any(isinstance(tool, dict) and tool.get("eager_input_streaming") for tool in tools or ()):
        return 0
    held = 0
    for block in call.timeline.blocks:
        if block.type != "tool_use" or block.ended is None:
            continue
        pieces = [delta.at for delta in block.pieces(call.timeline.deltas)]
        # Written slowly from the start, or after a pause: then nothing was held back.
        if pieces and pieces[0] - block.began >= _LEAST and 4 * (pieces[-1] - pieces[0]) <= pieces[0] - block.began:
            held += pieces[0] - block.began
    return held

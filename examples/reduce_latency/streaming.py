"""A summary for a colleague who takes a conversation over: shown when it is complete, and while it is written."""

from __future__ import annotations

from collections.abc import Callable

import anthropic

client = anthropic.Anthropic()

TASK = "You hand support conversations over to a colleague. Be brief: what happened, what is open."


def hand_over_when_complete(conversation: str, show: Callable[[str], None]) -> str:
    message = client.messages.create(
        model="claude-haiku-4-5",
        max_tokens=300,
        system=TASK,
        messages=[{"role": "user", "content": conversation}],
    )
    summary = "".join(block.text for block in message.content if block.type == "text")
    show(summary)
    return summary


def hand_over_as_it_is_written(conversation: str, show: Callable[[str], None]) -> str:
    pieces = []
    with client.messages.stream(
        model="claude-haiku-4-5",
        max_tokens=300,
        system=TASK,
        messages=[{"role": "user", "content": conversation}],
    ) as stream:
        for piece in stream.text_stream:
            show(piece)
            pieces.append(piece)
    return "".join(pieces)

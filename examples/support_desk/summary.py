"""A summary of a long conversation for the colleague who takes it over, shown while it is written."""

from __future__ import annotations

from collections.abc import Callable

import anthropic

client = anthropic.Anthropic()


def summarize(conversation: str, show: Callable[[str], None]) -> str:
    """Pass each piece of the summary to `show` as it comes, and return the complete summary."""
    pieces = []
    with client.messages.stream(
        model="claude-haiku-4-5",
        max_tokens=300,
        system="You hand support conversations over to a colleague. Be brief: what happened, what is open.",
        messages=[{"role": "user", "content": conversation}],
    ) as stream:
        for piece in stream.text_stream:
            show(piece)
            pieces.append(piece)
    return "".join(pieces)

"""A summary of customer feedback in two sentences."""

from __future__ import annotations

import anthropic

client = anthropic.Anthropic()


def summarize_feedback(feedback: str) -> str:
    # for time-sensitive applications, use Claude Haiku 4.5
    message = client.messages.create(
        model="claude-haiku-4-5",
        max_tokens=100,
        messages=[{"role": "user", "content": f"Summarize this customer feedback in 2 sentences: {feedback}"}],
    )
    return "".join(block.text for block in message.content if block.type == "text")

"""A summary of customer feedback, as in the guide: with a larger model and with the fastest one."""

from __future__ import annotations

import anthropic

client = anthropic.Anthropic()


def summarize_with_sonnet(feedback: str) -> str:
    message = client.messages.create(
        model="claude-sonnet-4-6",
        max_tokens=100,
        messages=[{"role": "user", "content": f"Summarize this customer feedback in 2 sentences: {feedback}"}],
    )
    return "".join(block.text for block in message.content if block.type == "text")


def summarize_with_haiku(feedback: str) -> str:
    message = client.messages.create(
        model="claude-haiku-4-5",
        max_tokens=100,
        messages=[{"role": "user", "content": f"Summarize this customer feedback in 2 sentences: {feedback}"}],
    )
    return "".join(block.text for block in message.content if block.type == "text")

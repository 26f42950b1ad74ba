"""The queue that a ticket belongs in. One word is enough, so the prompt asks for one word."""

from __future__ import annotations

import anthropic

QUEUES = ("billing", "shipping", "returns", "other")

client = anthropic.Anthropic()


def queue_for(ticket: str) -> str:
    message = client.messages.create(
        model="claude-haiku-4-5",
        max_tokens=8,
        system=f"You sort support tickets. Answer with one word of: {', '.join(QUEUES)}.",
        messages=[{"role": "user", "content": ticket}],
    )
    word = "".join(block.text for block in message.content if block.type == "text").strip().lower()
    return word if word in QUEUES else "other"

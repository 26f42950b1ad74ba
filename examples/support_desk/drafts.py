"""Several drafts of one reply, requested at the same time, for a person to choose from."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import anthropic

TONES = ("warm", "brief", "formal")


async def drafts(ticket: str, tones: Sequence[str] = TONES) -> list[str]:
    """Return one draft in each tone. They are requested at once, so this takes as long as the slowest."""
    async with anthropic.AsyncAnthropic() as client:
        return await asyncio.gather(*(_draft(client, ticket, tone) for tone in tones))


async def _draft(client: anthropic.AsyncAnthropic, ticket: str, tone: str) -> str:
    message = await client.messages.create(
        model="claude-haiku-4-5",
        max_tokens=200,
        system=f"You draft replies of a support desk, at most three sentences, in a {tone} tone.",
        messages=[{"role": "user", "content": ticket}],
    )
    return "".join(block.text for block in message.content if block.type == "text")

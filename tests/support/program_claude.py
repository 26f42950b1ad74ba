"""The calls that programs under test make: ordinary code on the SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic

ASKED: dict[str, Any] = {"model": "claude-haiku-4-5", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}


def client(**settings: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(**{"max_retries": 0, **settings})


def async_client(**settings: Any) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(**{"max_retries": 0, **settings})


def ask(**settings: Any) -> str:
    """Make a call that is not streamed; return its text."""
    answer = client(**settings).messages.create(**ASKED)
    return "".join(block.text for block in answer.content if block.type == "text")


async def aask(**settings: Any) -> str:
    """Make the same call with the async client."""
    answer = await async_client(**settings).messages.create(**ASKED)
    return "".join(block.text for block in answer.content if block.type == "text")


async def words(**settings: Any) -> AsyncIterator[str]:
    """Yield the text deltas of a stream as they come."""
    async with async_client(**settings).messages.stream(**ASKED) as stream:
        async for text in stream.text_stream:
            yield text


async def read(**settings: Any) -> int:
    """Read a stream to its end; return the number of its text deltas."""
    return len([word async for word in words(**settings)])

"""Prompt text: the texts of a request or an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def instructions(body: Mapping[str, Any]) -> list[str]:
    """Return the texts in which a request says what it wants: the system prompt, and the last message."""
    messages = body.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    return [*texts(body.get("system")), *(texts(last.get("content")) if isinstance(last, dict) else ())]


def texts(content: Any) -> list[str]:
    """Return the texts of a content: a string, or a list of blocks of which some are text."""
    if isinstance(content, str):
        return [content]
    blocks = content if isinstance(content, list) else ()
    return [block["text"] for block in blocks if isinstance(block, dict) and isinstance(block.get("text"), str)]

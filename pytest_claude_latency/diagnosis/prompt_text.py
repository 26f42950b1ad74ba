"""Prompt text: what a request asks and what its answer says, as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def instructions(body: Mapping[str, Any]) -> list[str]:
    """The texts in which a request says what it wants: the system prompt, and what the user said last."""
    messages = body.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    return [*texts(body.get("system")), *(texts(last.get("content")) if isinstance(last, dict) else ())]


def texts(content: Any) -> list[str]:
    """The text of a content: a string, or the text blocks of a list."""
    if isinstance(content, str):
        return [content]
    blocks = content if isinstance(content, list) else ()
    return [block["text"] for block in blocks if isinstance(block, dict) and isinstance(block.get("text"), str)]


def answer_text(blocks: Iterable[Mapping[str, Any]]) -> str:
    """What the blocks of text say."""
    return "".join(block["text"] for block in blocks if isinstance(block.get("text"), str))

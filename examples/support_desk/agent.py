"""An agent that answers a customer's question and looks orders up if that helps."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import anthropic

from support_desk.orders import look_up

if TYPE_CHECKING:
    from anthropic.types import Message, MessageParam, ToolParam, ToolResultBlockParam, ToolUseBlock, ToolUseBlockParam

TOOLS: list[ToolParam] = [
    {
        "name": "look_up_order",
        "description": "State of an order, by its number.",
        "input_schema": {
            "type": "object",
            "properties": {"number": {"type": "string", "description": "for example A-1042"}},
            "required": ["number"],
        },
    }
]

SYSTEM = "You answer customers of a small shop, in two or three sentences. It is open Monday to Friday, nine to five."

client = anthropic.Anthropic()


def reply(question: str, show: Callable[[str], None], *, turns: int = 5) -> str:
    """Pass each piece of the answer to `show` as it comes, and return the last message."""
    messages: list[MessageParam] = [{"role": "user", "content": question}]
    for _ in range(turns):
        message = _turn(messages, show)
        calls = [block for block in message.content if block.type == "tool_use"]
        if not calls:
            return _text(message)
        messages.append({"role": "assistant", "content": [_as_sent(call) for call in calls]})
        messages.append({"role": "user", "content": [_result(call) for call in calls]})
    raise RuntimeError(f"no answer after {turns} turns")


def _turn(messages: list[MessageParam], show: Callable[[str], None]) -> Message:
    with client.messages.stream(
        model="claude-sonnet-4-6",
        max_tokens=400,
        system=SYSTEM,
        tools=TOOLS,
        messages=messages,
    ) as stream:
        for piece in stream.text_stream:
            show(piece)
        return stream.get_final_message()


def _as_sent(call: ToolUseBlock) -> ToolUseBlockParam:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}


def _result(call: ToolUseBlock) -> ToolResultBlockParam:
    number = str(dict(call.input).get("number"))
    return {"type": "tool_result", "tool_use_id": call.id, "content": json.dumps(look_up(number), ensure_ascii=False)}


def _text(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")

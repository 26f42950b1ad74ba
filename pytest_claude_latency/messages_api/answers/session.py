"""Event streams of a session, in which an agent works on its own and tells what it does.

They bring whole messages, and pieces of them ahead of these only if the program asked for previews.
"""

from __future__ import annotations

from typing import final

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.messages_api import sse
from pytest_claude_latency.messages_api.answers.content import Answer, get, items, json_body, json_value, text_at


@final
class SessionAnswer(Answer):
    """The events of a session, as far as they came. It has no end of its own: a program stops reading."""

    def take_event(self, at: Nanoseconds, event: sse.Event) -> None:
        """Take the next event of a stream, which arrived at this instant."""
        if self.failed is not None:
            return  # the SDK raises at the error and reads no further
        match event.name:
            case "agent.message":
                for block in items(get(json_value(event.data), "content")):
                    self._add(at, "text", get(block, "text"))
            case "event_delta":
                self._add(at, "text", get(json_value(event.data), "delta", "content", "text"))
            case "agent.thinking":
                self.thinking.append(at)
            case "error":
                self.failed = at
                self.error = text_at(json_value(event.data), "error", "type") or "error"

    def take_body(self, at: Nanoseconds, body: bytes) -> None:
        """Take a body in place of a stream, which only a refusal has."""
        self.complete = at
        self.error = text_at(json_body(body), "error", "type")

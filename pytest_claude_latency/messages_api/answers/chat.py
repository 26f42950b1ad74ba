"""Answers in the form of OpenAI's chat completions, as `openai` and `litellm` read them.

The message is complete at the chunk that has a `finish_reason`. Usage comes with it or in a chunk of its own behind it.
"""

from __future__ import annotations

from typing import Any, final

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.messages_api import sse
from pytest_claude_latency.messages_api.answers.content import (
    Answer,
    Usage,
    count_at,
    get,
    items,
    json_body,
    json_value,
    text_at,
)

_DONE = "[DONE]"  # the last event of a stream; no client reads further


@final
class ChatAnswer(Answer):
    """An answer in the form of OpenAI's chat completions."""

    def __init__(self, *, streamed: bool) -> None:
        super().__init__(streamed=streamed)
        self._tools: dict[int | None, dict[str, Any]] = {}
        self._is_done = False

    def take_event(self, at: Nanoseconds, event: sse.Event) -> None:
        """Take the next event of a stream, which arrived at this instant."""
        if self.failed is not None or self._is_done:
            return
        if event.data.startswith(_DONE):
            self._is_done = True
            self.complete = at if self.complete is None else self.complete
            return
        data = json_value(event.data)
        if event.name == "error" or get(data, "error"):
            self.failed = at
            self.error = _error_in(data) or "error"
            return
        for choice in items(get(data, "choices")):
            delta = get(choice, "delta")
            if thought := text_at(delta, "reasoning_content"):
                if not self.thinking:
                    self.thinking.append(at)
                self._add(at, "thinking", thought)
            self._add(at, "text", get(delta, "content"))
            for tool in items(get(delta, "tool_calls")):
                # only its first piece names a tool, so the others find their block by the index
                index = count_at(tool, "index")
                if index not in self._tools:
                    self._tools[index] = self._begin_block("input_json", name=text_at(tool, "function", "name") or "")
                self._add(at, "input_json", get(tool, "function", "arguments"), self._tools[index])
            if reason := text_at(choice, "finish_reason"):
                self.stop_reason, self.complete = reason, at
        self._take_facts(data)

    def take_body(self, at: Nanoseconds, body: bytes) -> None:
        """Take the complete body of an answer that does not stream, whose last byte arrived at this instant."""
        data = json_body(body)
        self.complete = at
        self.error = _error_in(data)
        for choice in items(get(data, "choices")):
            message = get(choice, "message")
            self.stop_reason = text_at(choice, "finish_reason") or self.stop_reason
            self._add_whole(at, "thinking", text_at(message, "reasoning_content"))
            content = get(message, "content")
            for part in content if isinstance(content, list) else [{"text": content}]:
                self._add_whole(at, "text", text_at(part, "text"))
            for tool in items(get(message, "tool_calls")):
                name = text_at(tool, "function", "name") or ""
                self._add_whole(at, "input_json", text_at(tool, "function", "arguments") or "", name=name)
        self._take_facts(data)

    def _take_facts(self, data: object) -> None:
        """Take the model, the service tier and the usage, as far as this part of the answer names them."""
        self.model = text_at(data, "model") or self.model
        self.service_tier = text_at(data, "service_tier") or self.service_tier
        usage = get(data, "usage")
        prompt, output = count_at(usage, "prompt_tokens"), count_at(usage, "completion_tokens")
        if prompt is None and output is None:
            return
        details = get(usage, "prompt_tokens_details")
        read = count_at(details, "cached_tokens")
        # Gateways in front of Claude say what was written too, in one of these places.
        write = count_at(usage, "cache_creation_input_tokens", otherwise=count_at(details, "cache_creation_tokens"))
        self.usage = Usage(
            # What was read from the cache, or written to it, is part of the prompt here.
            input=None if prompt is None else max(prompt - (read or 0) - (write or 0), 0),
            cache_read=read,
            cache_write=write,
            output=output,
            thinking=count_at(usage, "completion_tokens_details", "reasoning_tokens"),
            # Some gateways count along while the answer is under way.
            final=output is not None and self.complete is not None,
        )


def _error_in(data: object) -> str | None:
    """Return the name of the error that a body or an event reports; None if it reports none."""
    error = get(data, "error")
    kind, code = (text_at(error, key) for key in ("type", "code"))
    # Anthropic's endpoint gives all errors one type, and their names as codes. A gateway's code may be the status.
    if kind == "invalid_request_error" and code and not code.isdigit():
        kind = code
    name = next((name for name in (kind, code) if name not in (None, "None")), None)  # litellm's proxy writes "None"
    return name or (error if isinstance(error, str) and error else None)

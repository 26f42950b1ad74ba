"""Forms: in which form a request asks for a message, and an answer brings it.

Anthropic's Messages API is also spoken by Bedrock's `invoke`, by Vertex and by most gateways. Bedrock's Converse and
the chat completions of OpenAI have other bodies and other streams, whatever model answers. The event stream of a
session makes no message by itself; it brings those of an agent that works on.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pytest_claude_latency.messages_api.exchange import Request

Form: TypeAlias = Literal["messages", "converse", "chat", "session"]

_FORMS = re.compile(r"(?P<converse>.*/model/.+/converse(?:-stream)?)|(?P<chat>.*/chat/completions)/?")
_CONVERSE_PLACES = {
    "max_tokens": "inferenceConfig.maxTokens",
    "temperature": "inferenceConfig.temperature",
    "top_p": "inferenceConfig.topP",
    "stop_sequences": "inferenceConfig.stopSequences",
    "tools": "toolConfig.tools",
    "tool_choice": "toolConfig.toolChoice",
    "service_tier": "serviceTier.type",
}
_CONVERSE_FIELDS = frozenset(
    [
        "model",
        "messages",
        "system",
        "inferenceConfig",
        "toolConfig",
        "guardrailConfig",
        "additionalModelRequestFields",
        "promptVariables",
        "additionalModelResponseFieldPaths",
        "requestMetadata",
        "performanceConfig",
        "serviceTier",
        "outputConfig",
    ]
)
"""The fields of a Converse body. The model stands in the path."""
_SESSION_STREAM = re.compile(r".*/v1/sessions/[^/]+/(?:events|threads/[^/]+)/stream")


def form_of(request: Request) -> Form:
    """Return the form of a request and of its answer, by the path of its URL."""
    path = urlsplit(request.url).path
    match = _FORMS.fullmatch(path)
    if match is None:
        is_session = request.method.upper() == "GET" and _SESSION_STREAM.fullmatch(path) is not None
        return "session" if is_session else "messages"
    return "converse" if match["converse"] else "chat"


def messages_body(request: Request) -> dict[str, Any]:
    """Return the body of a request with the names of the Messages API, whatever its form.

    A field that the form does not have is absent. Of messages the content stays as it is. Empty if the body is not a
    JSON object.
    """
    body = request.json
    if not isinstance(body, dict):
        return {}
    form = form_of(request)
    if form not in ("converse", "chat"):
        return body
    fields = _of_converse(body) if form == "converse" else _of_chat(body)
    return {name: value for name, value in fields.items() if value is not None}


def place_of_field(request: Request, field: str) -> str:
    """Return where a request's body has a field of the Messages API, whose name may be dotted: `inferenceConfig.topP`.

    A name that the form itself has stays as it is. What Converse does not know it hands on to the model.
    """
    form, name = form_of(request), field.partition(".")[0]
    if form == "chat":
        # The newer name of two, if the request has it: with both, an answer is an error.
        has_newer = isinstance(request.json, dict) and "max_completion_tokens" in request.json
        return "max_completion_tokens" if field == "max_tokens" and has_newer else field
    if form != "converse" or name in _CONVERSE_FIELDS:
        return field
    return _CONVERSE_PLACES.get(field, f"additionalModelRequestFields.{field}")


def _of_converse(body: dict[str, Any]) -> dict[str, Any]:
    inference, tools = _object(body, "inferenceConfig"), _object(body, "toolConfig")
    return {
        # What Bedrock hands on to the model has the names of the model's own API: `thinking` for example.
        **_object(body, "additionalModelRequestFields"),
        "system": body.get("system"),
        "messages": body.get("messages"),
        "tools": tools.get("tools"),
        "tool_choice": tools.get("toolChoice"),
        "max_tokens": inference.get("maxTokens"),
        "temperature": inference.get("temperature"),
        "top_p": inference.get("topP"),
        "stop_sequences": inference.get("stopSequences"),
        "output_format": body.get("outputConfig"),
        "speed": _object(body, "performanceConfig").get("latency"),
        "service_tier": _object(body, "serviceTier").get("type"),
    }


def _of_chat(body: dict[str, Any]) -> dict[str, Any]:
    # a block each, so that a change in one of several is found where it is
    blocks: list[Any] = []
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict) and message.get("role") in ("system", "developer"):
            content = message.get("content")
            blocks += content if isinstance(content, list) else [{"type": "text", "text": content}]
    thinking, effort, output = body.get("thinking"), body.get("reasoning_effort"), body.get("response_format")
    # litellm turns an effort into thinking on its way to Claude, so that is what the model was asked for
    if thinking is None and effort not in (None, "none"):
        thinking = {"type": "enabled"}
    formatted = isinstance(output, dict) and output.get("type") not in (None, "text")
    return {
        "system": blocks or None,
        # System prompts stay among the messages too, so that places in these are those that were sent.
        "messages": body.get("messages"),
        "tools": body.get("tools"),
        "tool_choice": body.get("tool_choice"),
        "max_tokens": body.get("max_completion_tokens", body.get("max_tokens")),
        "temperature": body.get("temperature"),
        "top_p": body.get("top_p"),
        "stop_sequences": body.get("stop"),
        "thinking": thinking,
        "output_config": {"effort": effort} if isinstance(effort, str) else None,
        "output_format": output if formatted else None,
        "service_tier": body.get("service_tier"),
    }


def _object(body: dict[str, Any], key: str) -> dict[str, Any]:
    value = body.get(key)
    return value if isinstance(value, dict) else {}

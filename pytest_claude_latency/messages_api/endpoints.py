"""Endpoints: which requests make a message, and what they ask for, at every provider.

The API of Anthropic, gateways in front of it and most clouds read from the body which
model is asked, and whether to stream. Bedrock and Vertex read both from the path.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from pytest_claude_latency.messages_api.exchange import Request, header

# Vertex counts tokens with a model of its own name, which is not a prompt call.
_PROMPT_PATH = re.compile(
    r"(?P<before>.*)(?:"
    r"/v1/messages"
    r"|/model/(?P<bedrock>.+)/invoke(?P<bedrock_stream>-with-response-stream)?"
    r"|/models/(?!count-tokens:)(?P<vertex>[^/]+):(?:rawPredict|(?P<vertex_stream>streamRawPredict))"
    r")"
)


def is_prompt_call(request: Request) -> bool:
    """Return whether the request makes a message; those for token counts, batches, files and models do not."""
    return request.method.upper() == "POST" and _match(request) is not None


def requested_model(request: Request) -> str | None:
    """Return the model that the request names in its body or its path; None if in neither."""
    if isinstance(request.json, dict) and isinstance(model := request.json.get("model"), str):
        return model
    match = _match(request)
    name = match and (match["bedrock"] or match["vertex"])
    return unquote(name) if name else None


def asks_to_stream(request: Request) -> bool:
    """Return whether the request asks for its answer as a stream."""
    if isinstance(request.json, dict) and request.json.get("stream") is True:
        return True
    match = _match(request)
    return match is not None and bool(match["bedrock_stream"] or match["vertex_stream"])


def place_of(request: Request) -> tuple[str, str] | None:
    """Return what stands before the endpoint in the path of a prompt call, and the endpoint. None for other requests.

    What stands before belongs to a gateway, or names the project that pays.
    """
    match = _match(request)
    return None if match is None else (match["before"], match[0][match.end("before") :])


def provider_of(request: Request) -> str | None:
    """Return which API a prompt call is made for: `"bedrock"`, `"vertex"` or `"anthropic"`. None for other requests."""
    match = _match(request)
    if match is None:
        return None
    return "bedrock" if match["bedrock"] else "vertex" if match["vertex"] else "anthropic"


def _match(request: Request) -> re.Match[str] | None:
    return _PROMPT_PATH.fullmatch(urlsplit(request.url).path)


def is_signed_by_aws(request: Request) -> bool:
    """Return whether it holds a signature of AWS (version 4), which fits no other body."""
    login = header(request.headers, "authorization") or ""
    return login.startswith("AWS4-") or "x-amz-signature=" in request.url.lower()

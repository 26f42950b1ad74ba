"""Endpoints: which requests make a message, and what they ask for, at every provider.

The API of Anthropic, gateways in front of it and most clouds read from the body which
model is asked, and whether to stream. Bedrock and Vertex read both from the path.

`recognition.py` says which requests are Claude's. A request that is makes a message if its path is one of these, or
if its body is that of a message: a gateway may have paths of its own.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pytest_claude_latency.messages_api.exchange import Request, header

UNKNOWN_PROJECT: Final = "project-of-a-replay"
"""Stands in URLs of a replay for the project of Google Cloud that only the machine's credentials would name."""
PROJECT: Final = re.compile(r"(?<=/projects/)[^/?]+(?=/locations/)")

# Vertex counts tokens with a model of its own name, which is not a prompt call.
_PROMPT_PATH = re.compile(
    r"(?P<before>.*)(?:"
    r"/v1/messages"
    r"|(?P<openai>/chat/completions)"
    r"|/model/(?P<bedrock>.+)/(?:invoke|converse|(?P<bedrock_stream>invoke-with-response-stream|converse-stream))"
    r"|/models/(?!count-tokens:)(?P<vertex>[^/]+):(?:rawPredict|(?P<vertex_stream>streamRawPredict))"
    r")"
)


def is_prompt_call(request: Request) -> bool:
    """Return whether the request makes a message; those for token counts, batches, files and models do not."""
    return request.method.upper() == "POST" and (match_of(request) is not None or is_message_body(request))


def requested_model(request: Request) -> str | None:
    """Return the model that the request names in its body or its path; None if in neither."""
    # the body first: a gateway may keep a path for all models, and what the body says is what it asks for
    if isinstance(request.json, dict) and isinstance(model := request.json.get("model"), str):
        return model
    match = match_of(request)
    name = match and (match["bedrock"] or match["vertex"])
    return unquote(name) if name else None


def asks_to_stream(request: Request) -> bool:
    """Return whether the request asks for its answer as a stream."""
    if isinstance(request.json, dict) and request.json.get("stream") is True:
        return True
    match = match_of(request)
    return match is not None and bool(match["bedrock_stream"] or match["vertex_stream"])


def place_of(request: Request) -> tuple[str, str] | None:
    """Return what stands before the endpoint in the path of a prompt call, and the endpoint. None for other requests.

    What stands before belongs to a gateway, or names the project that pays.
    """
    match = match_of(request)
    return None if match is None else (match["before"], match[0][match.end("before") :])


def provider_of(request: Request) -> str | None:
    """Return which API a prompt call is made for: `"bedrock"`, `"vertex"`, `"openai"` or `"anthropic"`.

    None for requests to other paths.
    """
    match = match_of(request)
    if match is None:
        return None
    return next((name for name in ("bedrock", "vertex", "openai") if match[name]), "anthropic")


def match_of(request: Request) -> re.Match[str] | None:
    """Return what the path of a prompt call says: `before`, and `bedrock`, `vertex` (the model) or `openai`."""
    return _match_of_url(request.url)


@lru_cache(maxsize=256)  # each part of a test asks, and a program has few URLs
def _match_of_url(url: str) -> re.Match[str] | None:
    return _PROMPT_PATH.fullmatch(urlsplit(url).path)


def body_fields(request: Request) -> dict[str, Any]:
    """Return the fields of a JSON body; none if it has no fields."""
    return request.json if isinstance(request.json, dict) else {}


def is_message_body(request: Request) -> bool:
    """Return whether the body asks for a message as Anthropic's API wants it."""
    return {"messages", "max_tokens"} <= body_fields(request).keys()


def is_signed_by_aws(request: Request) -> bool:
    """Return whether it holds a signature of AWS (version 4), which fits no other body."""
    login = header(request.headers, "authorization") or ""
    return login.startswith("AWS4-") or "x-amz-signature=" in request.url.lower()

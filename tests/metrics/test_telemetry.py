"""What telemetry tells of a call besides its metrics."""

from __future__ import annotations

import json

import pytest

from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange, Request, Response
from pytest_claude_latency.metrics.telemetry import telemetry_of

MILLISECOND = 1_000_000


def asked(url: str, *chunks: tuple[int, str], model: str | None = "claude-haiku-4-5", sent: int = 0) -> Exchange:
    """A request whose answer streams: each chunk comes after so many milliseconds."""
    body = json.dumps({"max_tokens": 9, "messages": [], **({"model": model} if model else {})}).encode()
    return Exchange(
        sent * MILLISECOND,
        Request("POST", url, (), body),
        None,
        Response(MILLISECOND, 200, (("content-type", "text/event-stream; charset=utf-8"),)),
        tuple(Chunk(at * MILLISECOND, data.encode()) for at, data in chunks),
        End(9_000 * MILLISECOND),
    )


def test_each_event_that_a_client_hands_on_is_a_chunk() -> None:
    first = asked("https://api.anthropic.com/v1/messages")
    last = asked(
        "https://api.anthropic.com/v1/messages",
        (10, "event: message_start\ndata: {}\n\nevent: ping\ndata: {}\n\nevent: content_"),
        (30, "block_start\ndata: {}\n\n"),
        (40, "event: message_stop\ndata: {}\n\n"),
        sent=500,
    )

    assert telemetry_of([first, last])["chunks"] == [0.51, 0.53, 0.54]


@pytest.mark.parametrize(
    ("url", "provider", "model"),
    [
        ("https://api.anthropic.com/v1/messages", "anthropic", "claude-haiku-4-5"),
        ("https://bedrock-runtime.us-east-1.amazonaws.com/model/eu.claude/invoke", "aws.bedrock", "eu.claude"),
        ("https://x.googleapis.com/v1/projects/p/locations/l/models/opus:rawPredict", "gcp.vertex_ai", "opus"),
    ],
)
def test_the_provider_and_the_model_that_was_asked_are_told(url: str, provider: str, model: str) -> None:
    told = telemetry_of([asked(url, model=model if provider == "anthropic" else None)])

    assert (told["provider"], told["requested_model"]) == (provider, model)

"""Telemetry: what OpenTelemetry's conventions ask of a call that no metric of ours holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.messages_api.answer import is_streamed, stream_events, succeeded
from pytest_claude_latency.messages_api.endpoints import provider_of, requested_model
from pytest_claude_latency.messages_api.exchange import Exchange
from pytest_claude_latency.printable import printable

_PROVIDERS: Final = {"bedrock": "aws.bedrock", "vertex": "gcp.vertex_ai"}


def telemetry_of(attempts: Sequence[Exchange]) -> dict[str, Any]:
    """Return the provider and the model that was asked, and when each event of the stream came, in JSON types.

    The events count in seconds since the first attempt was sent.
    """
    first, last = attempts[0], attempts[-1]
    since = last.sent - first.sent
    is_stream = is_streamed(last) and succeeded(last)
    return {
        "provider": _PROVIDERS.get(provider_of(first.request) or "", "anthropic"),
        "requested_model": printable(requested_model(first.request) or "") or None,
        "chunks": [
            round((since + at) / SECOND, 6)
            for at, event in (stream_events(last) if is_stream else ())
            if event.name != "ping" and event.data != "[DONE]"  # clients keep these to themselves
        ],
    }

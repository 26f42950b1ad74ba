"""Faults as the program meets them: each client library raises its own errors, and AWS's clients read their own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import anthropic
import boto3
import pytest
import urllib3
from botocore.config import Config

from pytest_claude_latency import play
from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.faults import (
    Fault,
    failing,
    malformed,
    overloaded,
    rate_limited,
    truncated,
)
from pytest_claude_latency.http.library import HTTPLibrary
from pytest_claude_latency.simulation.refusals import refusal
from tests.support import other_forms
from tests.support.some_recording import recording
from tests.support.written_calls import URL, asked, streamed

PIECES = ((400, "text", "one "), (600, "text", "two "), (900, "text", "three"))
RECORDED = recording(streamed(asked(), PIECES, connect=(0, 50)))
HEADERS = {"anthropic-version": "2023-06-01", "content-type": "application/json"}
BODY = RECORDED.exchanges[0].request.content

MOMENT = datetime(2026, 11, 22, tzinfo=UTC)

HTTPX: Any = HTTPLibrary.of_sdk().module


def by_httpx() -> bytes:
    with HTTPX.Client(timeout=5) as client:
        return bytes(client.post(URL, headers=HEADERS, content=BODY).content)


def by_urllib3() -> bytes:
    with urllib3.PoolManager() as pools:
        answer = pools.request("POST", URL, headers=HEADERS, body=BODY, retries=False, timeout=5)
        return bytes(answer.data)


def by_aiohttp() -> bytes:
    async def ask() -> bytes:
        limit = aiohttp.ClientTimeout(sock_read=5)
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.post(URL, headers=HEADERS, data=BODY) as answer,
        ):
            return await answer.read()

    return asyncio.run(ask())


@pytest.mark.parametrize("ask", [by_httpx, by_urllib3, by_aiohttp])
def test_each_library_gets_the_bytes_of_a_fault_and_then_the_recorded_ones(ask: Callable[[], bytes]) -> None:
    with play((overloaded() & truncated(after=1))(RECORDED)):
        answers = [ask() for _ in range(3)]

    assert b'"overloaded_error"' in answers[0]
    assert b"one " in answers[1]
    assert b"two " not in answers[1]
    assert b"three" in answers[2]


def by_sdk() -> str:
    """Stream a message with Anthropic's own SDK, without its retries."""
    body = RECORDED.exchanges[0].request.json
    asked = {name: body[name] for name in ("model", "max_tokens", "messages")}
    with (
        anthropic.Anthropic(api_key="x", max_retries=0, timeout=5) as client,
        client.messages.stream(**asked) as answer,
    ):
        return "".join(answer.text_stream)


@pytest.mark.parametrize(
    ("status", "error", "name"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (402, anthropic.APIStatusError, "billing_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (409, anthropic.ConflictError, "conflict_error"),
        (413, anthropic.APIStatusError, "request_too_large"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (504, anthropic.APIStatusError, "timeout_error"),
        (529, anthropic.APIStatusError, "overloaded_error"),
    ],
)
def test_the_sdk_raises_the_class_of_each_status_with_the_apis_own_body(
    status: int, error: type[anthropic.APIStatusError], name: str
) -> None:
    fault: Fault = {429: rate_limited(retry_after="60s"), 529: overloaded()}.get(status, failing(status=status))

    with play(fault(RECORDED)), pytest.raises(error) as raised:
        by_sdk()

    answer = raised.value.response
    sent = refusal(RECORDED.exchanges[0].request, status, moment=MOMENT, retry_after=60 * SECOND)
    assert raised.value.status_code == status
    assert answer.content == sent.body
    assert json.loads(answer.content)["error"]["type"] == name
    assert answer.headers["request-id"] == raised.value.request_id == json.loads(answer.content)["request_id"]
    assert answer.headers.get("retry-after") == ("60" if status == 429 else None)


CONVERSE = recording(
    other_forms.converse(
        (400, other_forms.delta(text="one")), (500, other_forms.delta(text="two") + other_forms.STOPPED)
    )
)


def converse() -> list[Any]:
    """Stream a message from Bedrock, without boto3's own retries."""
    client = boto3.client("bedrock-runtime", region_name="eu-west-1", config=Config(retries={"total_max_attempts": 1}))
    body = CONVERSE.exchanges[0].request.json
    answer = client.converse_stream(modelId="eu.anthropic.claude-haiku-4-5-20251001-v1:0", messages=body["messages"])
    return list(answer["stream"])


def test_boto3_hands_on_a_malformed_event_as_one_without_content() -> None:
    with play(malformed(after=1)(CONVERSE)):
        events = converse()

    assert [event.get("contentBlockDelta", {}).get("delta") for event in events[:3]] == [
        {"text": "one"},
        None,
        {"text": "two"},
    ]

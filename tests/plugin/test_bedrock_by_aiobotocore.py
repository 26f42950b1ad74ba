"""Claude on Bedrock through `aiobotocore`: recorded once, then replayed without a network, credentials or a role."""

from __future__ import annotations

import socket

import pytest

from tests.plugin.suite import Suite
from tests.support.bedrock_answers import converse_stream, invoke_stream
from tests.support.claude_answers import status
from tests.support.claude_messages import text

pytest.importorskip("aiobotocore.session", reason="nox -s clients installs it")

PROGRAM = """
import json, os
from aiobotocore.session import get_session

LIVE = os.environ.get("ANTHROPIC_BASE_URL")
MODEL = "anthropic.claude-3-haiku-20240307-v1:0"
BODY = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": messages("hi")})
MESSAGES = [{"role": "user", "content": [{"text": "hi"}]}]


async def invoke(client):
    answer = await client.invoke_model(modelId=MODEL, body=BODY)
    return json.loads(await answer["body"].read())["content"][0]["text"]


async def invoke_stream(client):
    answer = await client.invoke_model_with_response_stream(modelId=MODEL, body=BODY)
    events = [json.loads(event["chunk"]["bytes"]) async for event in answer["body"]]
    return "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")


async def converse_stream(client):
    answer = await client.converse_stream(modelId=MODEL, messages=MESSAGES)
    deltas = [event["contentBlockDelta"] async for event in answer["stream"] if "contentBlockDelta" in event]
    return "".join(delta["delta"]["text"] for delta in deltas)


def test_it(claude_latency):
    async def main():
        given = {"endpoint_url": LIVE, "aws_access_key_id": "a", "aws_secret_access_key": "b"} if LIVE else {}
        async with get_session().create_client("bedrock-runtime", region_name="us-east-1", **given) as client:
            return await PROGRAM(client)

    assert asyncio.run(main()) == "Hello world"
    assert [call.attempts for call in claude_latency.calls] == [ATTEMPTS]
"""

ANSWERS = {
    "invoke": text("Hello wor|ld", ttfb="40ms"),
    "invoke_stream": invoke_stream("Hello wor|ld", ttfb="40ms", gap="30ms"),
    "converse_stream": converse_stream("Hello wor|ld", ttfb="40ms", gap="30ms"),
}


@pytest.fixture(autouse=True)
def no_aws(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the machine's credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(suite.path))


def _record_and_replay(suite: Suite, monkeypatch: pytest.MonkeyPatch, program: str, attempts: int = 1) -> None:
    suite.write(PROGRAM.replace("PROGRAM", program).replace("ATTEMPTS", str(attempts)))
    suite.record().assert_outcomes(passed=1)
    (recorded,) = suite.calls("test_it")

    def refuse(*args: object) -> None:
        raise AssertionError(f"a replay went to the network: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    suite.replay().assert_outcomes(passed=1)

    (replayed,) = suite.calls("test_it")
    if attempts == 1:
        assert replayed["ttft"] == pytest.approx(recorded["ttft"], abs=2e-6)
    assert len(suite.server.log) == attempts


@pytest.mark.parametrize("program", ANSWERS)
def test_a_replay_needs_no_credentials(suite: Suite, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    suite.server.answer(ANSWERS[program])

    _record_and_replay(suite, monkeypatch, program)


def test_what_botocore_repeats_is_one_call(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.server.answer(status(500), ANSWERS["invoke"])

    _record_and_replay(suite, monkeypatch, "invoke", attempts=2)

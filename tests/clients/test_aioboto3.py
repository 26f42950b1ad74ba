"""Claude on Bedrock through `aioboto3` and `aiobotocore`: replayed without credentials or a role."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.clients.client_suite import CONVERSE_HELLO, CONVERSE_STREAM_HELLO, GAP, HELLO, TTFB, ClientSuite, Way
from tests.support.bedrock_answers import invoke_stream
from tests.support.claude_answers import status
from tests.support.faults_on_the_wire import CASES, CLAUDE, Case, Seen, answered, ask_both, events

aioboto3 = pytest.importorskip("aioboto3", reason='nox -s "clients(aioboto3)" installs it')
config = pytest.importorskip("aiobotocore.config")

BEGIN = """
import aioboto3
from aiobotocore.session import get_session

MODEL = "anthropic.claude-3-haiku-20240307-v1:0"
GIVEN = {"endpoint_url": LIVE, "aws_access_key_id": "a", "aws_secret_access_key": "b"} if LIVE else {}


def client():
    return aioboto3.Session().client("bedrock-runtime", region_name="us-east-1", **GIVEN)


def body(prompt):
    return json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": messages(prompt)})


async def aask(prompt):
    async with client() as opened:
        return await program(opened, prompt)


def ask(prompt):
    return asyncio.run(aask(prompt))
"""

INVOKE = """

async def program(opened, prompt):
    answer = await opened.invoke_model(modelId=MODEL, body=body(prompt))
    return json.loads(await answer["body"].read())["content"][0]["text"]
"""
INVOKE_STREAM = """

async def program(opened, prompt):
    answer = await opened.invoke_model_with_response_stream(modelId=MODEL, body=body(prompt))
    events = [json.loads(event["chunk"]["bytes"]) async for event in answer["body"]]
    return "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")
"""
CONVERSE = """

async def program(opened, prompt):
    answer = await opened.converse(modelId=MODEL, messages=[{"role": "user", "content": [{"text": prompt}]}])
    return answer["output"]["message"]["content"][0]["text"]
"""
CONVERSE_STREAM = """

async def program(opened, prompt):
    answer = await opened.converse_stream(modelId=MODEL, messages=[{"role": "user", "content": [{"text": prompt}]}])
    deltas = [event["contentBlockDelta"] async for event in answer["stream"] if "contentBlockDelta" in event]
    return "".join(delta["delta"]["text"] for delta in deltas)
"""
OF_AIOBOTOCORE = """

def client():
    return get_session().create_client("bedrock-runtime", region_name="us-east-1", **GIVEN)
"""

WAYS = {
    "invoke": Way(INVOKE, [HELLO]),
    "invoke_stream": Way(INVOKE_STREAM, [invoke_stream("Hello wor|ld", ttfb=TTFB, gap=GAP)], streamed=True),
    "converse": Way(CONVERSE, [CONVERSE_HELLO]),
    "converse_stream": Way(CONVERSE_STREAM, [CONVERSE_STREAM_HELLO], streamed=True),
    "aiobotocore": Way(OF_AIOBOTOCORE + CONVERSE_STREAM, [CONVERSE_STREAM_HELLO], streamed=True),
}


@pytest.mark.timeout(1200)
def test_calls(clients: ClientSuite) -> None:
    again = replace(WAYS["invoke"], answers=[status(500), HELLO], attempts=[2])

    clients.check(BEGIN, WAYS | {"invoke_again": again})


def ask_streamed(base: str, case: Case) -> Seen:
    async def ask() -> Seen:
        async with aioboto3.Session().client(
            "bedrock-runtime",
            region_name="eu-west-1",
            endpoint_url=base,
            aws_access_key_id="a",
            aws_secret_access_key="b",
            config=config.AioConfig(
                retries={"total_max_attempts": 1}, connect_timeout=30, read_timeout=case.read_timeout
            ),
        ) as client:
            answer = await client.converse_stream(
                modelId=CLAUDE, messages=[{"role": "user", "content": [{"text": "hi"}]}]
            )
            parts = [event async for event in answer["stream"]]
            return answered(200, answer["ResponseMetadata"]["HTTPHeaders"], events(parts))

    return asyncio.run(ask())


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("converse")])
def test_a_program_cannot_tell_a_fault_from_the_api(name: str) -> None:
    seen = ask_both(ask_streamed, CASES[name])

    assert seen.injected == seen.sent
    assert seen.sent.errors or seen.sent.status is not None

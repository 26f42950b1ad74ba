"""Agents of `strands` on Bedrock, which stream by `converse-stream`."""

from __future__ import annotations

import pytest

from tests.clients.client_suite import CONVERSE_STREAM_HELLO, CONVERSE_STREAM_TOOL, ClientSuite, Way

pytest.importorskip("strands", reason='nox -s "clients(strands)" installs it')

BEGIN = """
import boto3
from strands import Agent, tool
from strands.models import BedrockModel


@tool
def look_up(order: int) -> str:
    '''Look an order up.

    Args:
        order: its number
    '''
    return f"order {order} is on its way"


def agent():
    given = {"aws_access_key_id": "a", "aws_secret_access_key": "b"} if LIVE else {}
    model = BedrockModel(
        model_id="anthropic.claude-3-haiku-20240307-v1:0",
        boto_session=boto3.Session(region_name="us-east-1", **given),
        endpoint_url=LIVE,
    )
    return Agent(model=model, tools=[look_up], callback_handler=None)
"""

SYNC = """
def ask(prompt):
    return str(agent()(prompt)).strip()
"""
STREAMED = """
async def aask(prompt):
    return "".join([event.get("data", "") async for event in agent().stream_async(prompt)])


def ask(prompt):
    return asyncio.run(aask(prompt))
"""

TWICE = [CONVERSE_STREAM_TOOL, CONVERSE_STREAM_HELLO]
WAYS = {
    name: Way(program, TWICE, streamed=True, stop_reasons=["tool_use", "end_turn"], attempts=[1, 1])
    for name, program in {"sync": SYNC, "streamed": STREAMED}.items()
}


@pytest.mark.timeout(1200)
def test_an_agent_with_a_tool(clients: ClientSuite) -> None:
    clients.check(BEGIN, WAYS)

"""Agents of `pydantic-ai`, through Anthropic's SDK, from which it always streams, and on Bedrock."""

from __future__ import annotations

import pytest

from tests.clients.client_suite import CONVERSE_HELLO, CONVERSE_STREAM_HELLO, HELLO, TOOL, ClientSuite, Way

pytest.importorskip("pydantic_ai", reason='nox -s "clients(pydantic_ai)" installs it')

BEGIN = """
from loop import RUN
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.bedrock import BedrockConverseModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.bedrock import BedrockProvider


def agent():
    base = LIVE or "https://api.anthropic.com"
    client = anthropic.AsyncAnthropic(api_key="x", base_url=base)
    return Agent(AnthropicModel("claude-haiku-4-5", provider=AnthropicProvider(anthropic_client=client)))


def bedrock_agent():
    import boto3

    given = {"endpoint_url": LIVE, "aws_access_key_id": "a", "aws_secret_access_key": "b"} if LIVE else {}
    client = boto3.client("bedrock-runtime", region_name="us-east-1", **given)
    provider = BedrockProvider(bedrock_client=client)
    return Agent(BedrockConverseModel("anthropic.claude-3-haiku-20240307-v1:0", provider=provider))


async def streamed(agent, prompt):
    async with agent.run_stream(prompt) as running:
        return "".join([part async for part in running.stream_text(delta=True)])
"""

SYNC = """
def ask(prompt):
    return agent().run_sync(prompt).output
"""
STREAMED = """
def ask(prompt):
    return RUN(streamed(agent(), prompt))
"""
TOOLS = """
def ask(prompt):
    helped = agent()

    @helped.tool_plain
    def look_up(order: int) -> str:
        return f"order {order} is on its way"

    return RUN(helped.run(prompt)).output
"""

WAYS = {
    "sync": Way(SYNC, [HELLO], streamed=True),
    "streamed": Way(STREAMED, [HELLO], streamed=True),
    "tools": Way(TOOLS, [TOOL, HELLO], streamed=True, stop_reasons=["tool_use", "end_turn"], attempts=[1, 1]),
    "bedrock": Way(SYNC.replace("agent()", "bedrock_agent()"), [CONVERSE_HELLO]),
    "bedrock_streamed": Way(STREAMED.replace("agent()", "bedrock_agent()"), [CONVERSE_STREAM_HELLO], streamed=True),
}


@pytest.mark.timeout(1200)
def test_agents(clients: ClientSuite) -> None:
    clients.check(BEGIN, WAYS)

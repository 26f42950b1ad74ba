"""Agents of `openai-agents`, which asks Claude through litellm."""

from __future__ import annotations

import pytest

from tests.clients.client_suite import HELLO, TOOL, ClientSuite, Way

pytest.importorskip("agents.extensions.models.litellm_model", reason='nox -s "clients(openai_agents)" installs it')

BEGIN = """
from agents import Agent, Runner, function_tool, set_tracing_disabled
from agents.extensions.models.litellm_model import LitellmModel

set_tracing_disabled(True)  # it would send traces to OpenAI


@function_tool
def look_up(order: int) -> str:
    return f"order {order} is on its way"


def agent():
    base = LIVE or "https://api.anthropic.com"
    model = LitellmModel("anthropic/claude-haiku-4-5", base_url=base, api_key="x")
    return Agent("helper", instructions="Help.", model=model, tools=[look_up])
"""

SYNC = """
def ask(prompt):
    return Runner.run_sync(agent(), prompt).final_output
"""
ASYNC = """
def ask(prompt):
    return asyncio.run(Runner.run(agent(), prompt)).final_output
"""
STREAMED = """
async def aask(prompt):
    running = Runner.run_streamed(agent(), prompt)
    async for _ in running.stream_events():
        pass
    return running.final_output


def ask(prompt):
    return asyncio.run(aask(prompt))
"""

WAYS = {
    name: Way(
        program, [TOOL, HELLO], streamed=name == "streamed", stop_reasons=["tool_use", "end_turn"], attempts=[1, 1]
    )
    for name, program in {"sync": SYNC, "async": ASYNC, "streamed": STREAMED}.items()
}


@pytest.mark.timeout(1200)
def test_an_agent_with_a_tool(clients: ClientSuite) -> None:
    clients.check(BEGIN, WAYS)

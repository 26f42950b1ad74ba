"""Agents of `smolagents` through litellm. Its own model for Bedrock fails on each answer of boto3, in any run."""

from __future__ import annotations

import pytest

from tests.clients.client_suite import GAP, TTFB, ClientSuite, Way
from tests.support.claude_messages import text, tool_use

pytest.importorskip("smolagents", reason='nox -s "clients(smolagents)" installs it')

BEGIN = """
import smolagents

BASE = LIVE or "https://api.anthropic.com"


@smolagents.tool
def look_up(order: int) -> str:
    '''Look an order up.

    Args:
        order: its number
    '''
    return f"order {order} is on its way"


def litellm_model():
    return smolagents.LiteLLMModel("anthropic/claude-haiku-4-5", api_base=BASE, api_key="x", max_tokens=90)
"""

TOOLS = """
def ask(prompt):
    return smolagents.ToolCallingAgent(tools=[look_up], model=litellm_model(), verbosity_level=0).run(prompt)
"""
CODE = """
def ask(prompt):
    told = {"verbosity_level": 0, "stream_outputs": True}
    return smolagents.CodeAgent(tools=[look_up], model=litellm_model(), **told).run(prompt)
"""

FINAL = tool_use("final_answer", {"answer": "Hello world"}, ttfb=TTFB, gaps=[GAP, GAP])
FIRST = tool_use("look_up", {"order": 7}, ttfb=TTFB, gaps=[GAP, GAP])
SCRIPT = text("Thought: I know it.\n|<code>\nfinal_answer(look_up(7))\n</code>", ttfb=TTFB, gaps=[GAP, GAP])
WAYS = {
    "tools": Way(TOOLS, [FIRST, FINAL], stop_reasons=["tool_use", "tool_use"], attempts=[1, 1]),
    "code_streamed": Way(CODE, [SCRIPT], "order 7 is on its way", streamed=True),
}


@pytest.mark.timeout(1200)
def test_agents(clients: ClientSuite) -> None:
    clients.check(BEGIN, WAYS)

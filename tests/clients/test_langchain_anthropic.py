"""Models of `langchain-anthropic`, which asks through Anthropic's SDK."""

from __future__ import annotations

import pytest

from tests.clients.client_suite import HELLO, TOOL, ClientSuite, Way

pytest.importorskip("langchain_anthropic", reason='nox -s "clients(langchain_anthropic)" installs it')

BEGIN = """
from loop import RUN
from langchain_anthropic import ChatAnthropic


def model():
    base = LIVE or "https://api.anthropic.com"
    return ChatAnthropic(model="claude-haiku-4-5", base_url=base, api_key="x", max_tokens=90)


def look_up(order: int) -> str:
    '''Look an order up.'''
"""

SYNC = """
def ask(prompt):
    return model().invoke(prompt).text
"""
STREAMED = """
def ask(prompt):
    return "".join(part.text for part in model().stream(prompt))
"""
ASYNC = """
def ask(prompt):
    return RUN(model().ainvoke(prompt)).text
"""
ASYNC_STREAMED = """
async def aask(prompt):
    return "".join([part.text async for part in model().astream(prompt)])


def ask(prompt):
    return RUN(aask(prompt))
"""
TOOLS = """
def ask(prompt):
    return model().bind_tools([look_up]).invoke(prompt).tool_calls[0]["args"]
"""

WAYS = {
    "sync": Way(SYNC, [HELLO]),
    "streamed": Way(STREAMED, [HELLO], streamed=True),
    "async": Way(ASYNC, [HELLO]),
    "async_streamed": Way(ASYNC_STREAMED, [HELLO], streamed=True),
    "tools": Way(TOOLS, [TOOL], {"order": 7}, stop_reasons=["tool_use"]),
}


@pytest.mark.timeout(1200)
def test_calls(clients: ClientSuite) -> None:
    clients.check(BEGIN, WAYS)

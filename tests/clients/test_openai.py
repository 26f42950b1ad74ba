"""OpenAI's SDK against the OpenAI-shaped endpoint."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.clients.client_suite import CHAT_HELLO, CHAT_TOOL, ClientSuite, Way
from tests.support.claude_answers import status

pytest.importorskip("openai", reason='nox -s "clients(openai)" installs it')

BEGIN = """
import openai

SETTINGS = {"base_url": (LIVE or "https://api.anthropic.com") + "/v1/", "api_key": "x"}


def asked(prompt, **more):
    return {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": messages(prompt), **more}
"""

SYNC = """
def ask(prompt):
    with openai.OpenAI(**SETTINGS) as client:
        return client.chat.completions.create(**asked(prompt)).choices[0].message.content
"""
STREAMED = """
def ask(prompt):
    with openai.OpenAI(**SETTINGS) as client:
        parts = client.chat.completions.create(**asked(prompt, stream=True))
        return "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
"""
ASYNC = """
async def aask(prompt):
    async with openai.AsyncOpenAI(**SETTINGS) as client:
        return (await client.chat.completions.create(**asked(prompt))).choices[0].message.content


def ask(prompt):
    return asyncio.run(aask(prompt))
"""
ASYNC_STREAMED = """
async def aask(prompt):
    async with openai.AsyncOpenAI(**SETTINGS) as client:
        parts = await client.chat.completions.create(**asked(prompt, stream=True))
        return "".join([part.choices[0].delta.content or "" async for part in parts if part.choices])


def ask(prompt):
    return asyncio.run(aask(prompt))
"""
TOOLS = """
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}


def ask(prompt):
    with openai.OpenAI(**SETTINGS) as client:
        answer = client.chat.completions.create(**asked(prompt, tools=[TOOL]))
        return answer.choices[0].message.tool_calls[0].function.arguments
"""

WAYS = {
    "sync": Way(SYNC, [CHAT_HELLO], stop_reasons=["stop"]),
    "streamed": Way(STREAMED, [CHAT_HELLO], stop_reasons=["stop"], streamed=True),
    "async": Way(ASYNC, [CHAT_HELLO], stop_reasons=["stop"]),
    "async_streamed": Way(ASYNC_STREAMED, [CHAT_HELLO], stop_reasons=["stop"], streamed=True),
    "tools": Way(TOOLS, [CHAT_TOOL], '{"order": 7}', stop_reasons=["tool_calls"]),
}


@pytest.mark.timeout(1200)
def test_calls(clients: ClientSuite) -> None:
    again = {
        f"{name}_again": replace(WAYS[name], answers=[status(429), CHAT_HELLO], attempts=[2])
        for name in ("sync", "async_streamed")
    }

    clients.check(BEGIN, WAYS | again)

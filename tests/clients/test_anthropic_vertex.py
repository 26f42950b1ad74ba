"""Anthropic's clients for Vertex AI and Claude on Google Cloud, with Google's own library for credentials."""

from __future__ import annotations

import pytest

from tests.clients.client_suite import HELLO, TOOL, ClientSuite, Way

pytest.importorskip("google.auth", reason='nox -s "clients(anthropic_vertex)" installs it')

BEGIN = """
os.environ["ANTHROPIC_VERTEX_PROJECT_ID"] = "shop"


def given():
    # live: a token, where a machine would have its credentials
    return {"region": "europe-west1", **({"base_url": LIVE + "/v1", "access_token": "x"} if LIVE else {})}


def managed():
    url = f"{LIVE}/v1/projects/shop/locations/global/workspaces/w/invoke"
    return {"workspace_id": "w", **({"base_url": url, "token_provider": lambda: "x"} if LIVE else {})}
"""

SYNC = """
def ask(prompt):
    with anthropic.AnthropicVertex(**given()) as client:
        return client.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=messages(prompt)).content[0].text
"""
STREAMED = """
def ask(prompt):
    with anthropic.AnthropicVertex(**given()) as client:
        asked = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": messages(prompt)}
        with client.messages.stream(**asked) as answer:
            return "".join(answer.text_stream)
"""
ASYNC = """
async def aask(prompt):
    async with anthropic.AsyncAnthropicVertex(**given()) as client:
        asked = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": messages(prompt)}
        return (await client.messages.create(**asked)).content[0].text


def ask(prompt):
    return asyncio.run(aask(prompt))
"""
ASYNC_STREAMED = """
async def aask(prompt):
    async with anthropic.AsyncAnthropicVertex(**given()) as client:
        asked = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": messages(prompt)}
        async with client.messages.stream(**asked) as answer:
            return "".join([text async for text in answer.text_stream])


def ask(prompt):
    return asyncio.run(aask(prompt))
"""
TOOLS = """
def ask(prompt):
    with anthropic.AnthropicVertex(**given()) as client:
        asked = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": messages(prompt)}
        tool = {"name": "look_up", "input_schema": {"type": "object", "properties": {}}}
        return client.messages.create(tools=[tool], **asked).content[0].input
"""

VERTEX = {
    "sync": Way(SYNC, [HELLO]),
    "streamed": Way(STREAMED, [HELLO], streamed=True),
    "async": Way(ASYNC, [HELLO]),
    "async_streamed": Way(ASYNC_STREAMED, [HELLO], streamed=True),
    "tools": Way(TOOLS, [TOOL], {"order": 7}, stop_reasons=["tool_use"]),
}
GOOGLE_CLOUD = {
    f"google_cloud_{name}": Way(
        way.program.replace("Vertex(**given", "GoogleCloud(**managed"), way.answers, streamed=way.streamed
    )
    for name, way in VERTEX.items()
    if name != "tools"
}


@pytest.mark.timeout(1200)
def test_calls(clients: ClientSuite, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    clients.check(BEGIN, VERTEX | GOOGLE_CLOUD)

"""litellm: sync calls, which it sends through httpx, and async ones, which it sends through httpx over aiohttp."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from tests.clients.client_suite import (
    CHAT_HELLO,
    CONVERSE_HELLO,
    CONVERSE_STREAM_HELLO,
    HELLO,
    TOOL,
    ClientSuite,
    Way,
)
from tests.clients.errors_of_faults import WHOLE, raised
from tests.support.faults_on_the_wire import CASES, Ask, Case, Seen, answered, ask_both, events

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or litellm fetches its table when it is imported
litellm = pytest.importorskip("litellm", reason='nox -s "clients(litellm)" installs it')

BEGIN = """
import google.auth, litellm

BASE = LIVE or "https://api.anthropic.com"
ASKED = {"model": "anthropic/claude-haiku-4-5", "api_base": BASE, "max_tokens": 9}
if LIVE:
    ASKED |= {"api_key": "x"}  # a replay needs none
BEDROCK = {"model": "bedrock/converse/anthropic.claude-3-haiku-20240307-v1:0", "aws_region_name": "us-east-1"}
if LIVE:
    BEDROCK |= {"aws_bedrock_runtime_endpoint": LIVE, "aws_access_key_id": "a", "aws_secret_access_key": "b"}
    BY_PROFILE = BEDROCK
else:  # a machine that has neither credentials nor the profile
    os.environ |= {"AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none"}
    BY_PROFILE = BEDROCK | {"aws_profile_name": "production"}
VERTEX = {"model": "vertex_ai/claude-haiku-4-5", "vertex_location": "us-east5", "max_tokens": 9}
# Of any address that it is given, litellm asks for another query than of Google's own.
VERTEX |= {"api_base": LIVE or "https://us-east5-aiplatform.googleapis.com"}


class Known:
    # what Google's library finds on a machine that may call Vertex AI
    token, quota_project_id, expired = "x", None, False

    def refresh(self, request):
        pass


def default(scopes=None):
    if not LIVE:
        raise google.auth.exceptions.DefaultCredentialsError("a replay has no credentials")
    return Known(), "shop"


google.auth.default = default
GATEWAY = {"model": "openai/claude-haiku-4-5", "api_key": "x", "api_base": BASE + "/v1", "max_tokens": 9}
TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}]


def ask_sync(prompt, asked=ASKED, **more):
    return litellm.completion(messages=messages(prompt), **asked, **more).choices[0].message


def ask_streamed(prompt, asked=ASKED, **more):
    parts = litellm.completion(messages=messages(prompt), stream=True, **asked, **more)
    return "".join(part.choices[0].delta.content or "" for part in parts)


async def ask_async(prompt, asked=ASKED, **more):
    return (await litellm.acompletion(messages=messages(prompt), **asked, **more)).choices[0].message.content


async def ask_async_streamed(prompt, asked=ASKED, **more):
    parts = await litellm.acompletion(messages=messages(prompt), stream=True, **asked, **more)
    return "".join([part.choices[0].delta.content or "" async for part in parts])
"""

SYNC = "\ndef ask(prompt):\n    return ask_sync(prompt).content\n"
STREAMED = "\nask = ask_streamed\n"
ASYNC = "\ndef ask(prompt):\n    return asyncio.run(ask_async(prompt))\n"
ASYNC_STREAMED = "\ndef ask(prompt):\n    return asyncio.run(ask_async_streamed(prompt))\n"
VERTEX_STREAMED = "\ndef ask(prompt):\n    return ask_streamed(prompt, VERTEX)\n"
MESSAGES = """
def ask(prompt):
    asked = litellm.anthropic_messages(messages=messages(prompt), **VERTEX)
    return asyncio.run(asked)["content"][0]["text"]
"""
USE = "\ndef ask(prompt):\n    return ask_sync(prompt, tools=TOOLS).tool_calls[0].function.arguments\n"

WAYS = {
    "sync": Way(SYNC, [HELLO]),
    "streamed": Way(STREAMED, [HELLO], streamed=True),
    "async": Way(ASYNC, [HELLO]),
    "async_streamed": Way(ASYNC_STREAMED, [HELLO], streamed=True),
    "tools": Way(USE, [TOOL], '{"order": 7}', stop_reasons=["tool_use"]),
    "bedrock": Way(SYNC.replace("ask_sync(prompt)", "ask_sync(prompt, BEDROCK)"), [CONVERSE_HELLO]),
    "bedrock_async_streamed": Way(
        ASYNC_STREAMED.replace("(prompt))", "(prompt, BY_PROFILE))"), [CONVERSE_STREAM_HELLO], streamed=True
    ),
    "vertex": Way(SYNC.replace("ask_sync(prompt)", "ask_sync(prompt, VERTEX)"), [HELLO]),
    "vertex_streamed": Way(VERTEX_STREAMED, [HELLO], streamed=True),
    "vertex_async": Way(ASYNC.replace("(prompt))", "(prompt, VERTEX))"), [HELLO]),
    "vertex_async_streamed": Way(ASYNC_STREAMED.replace("(prompt))", "(prompt, VERTEX))"), [HELLO], streamed=True),
    "vertex_messages": Way(MESSAGES, [HELLO]),
    "gateway_async_streamed": Way(
        ASYNC_STREAMED.replace("(prompt))", "(prompt, GATEWAY))"), [CHAT_HELLO], streamed=True, stop_reasons=["stop"]
    ),
}


@pytest.mark.timeout(1200)
def test_calls(clients: ClientSuite) -> None:
    clients.check(BEGIN, WAYS)


CLASSES = {
    "400": "BadRequestError",
    "401": "AuthenticationError",
    "404": "NotFoundError",
    "408": "Timeout",
    "422": "BadRequestError",
    "429": "RateLimitError",
    "500": "InternalServerError",
    "502": "BadGatewayError",
    "503": "ServiceUnavailableError",
    "504": "Timeout",
    "529": "APIError",
    "refused": "InternalServerError",
    "unanswered": "Timeout",
}


@pytest.mark.parametrize("fault", list(CLASSES))
def test_each_fault_raises_the_class_of_the_library(fault: str) -> None:

    def ask() -> None:
        litellm.completion(
            model="openai/claude-haiku-4-5",
            api_base="https://gateway.example.com/v1",
            api_key="x",
            messages=[{"role": "user", "content": "hi"}],
            num_retries=0,
            max_retries=0,
            timeout=5,
        )

    error = raised(ask, fault, WHOLE)

    assert type(error).__name__ == CLASSES[fault]
    if fault.isdecimal() and CLASSES[fault] != "Timeout":  # of which litellm says 408 itself
        assert error.status_code == int(fault)  # type: ignore[union-attr]  # a status is in each such error


def asked_of(base: str, case: Case) -> dict[str, Any]:
    provider, start = ("openai", base + "/v1") if "chat" in case.path else ("anthropic", base)
    asked: dict[str, Any] = {"model": f"{provider}/claude-haiku-4-5", "api_base": start, "api_key": "x"}
    asked |= {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9, "stream": True}
    return asked | {"num_retries": 0, "max_retries": 0, "timeout": case.read_timeout}


def ask_streamed(base: str, case: Case) -> Seen:
    parts = litellm.completion(**asked_of(base, case))
    return answered(200, {}, events([part.choices[0].delta.content for part in parts]))


def ask_async(base: str, case: Case) -> Seen:
    async def ask() -> Seen:
        parts = await litellm.acompletion(**asked_of(base, case))
        return answered(200, {}, events([part.choices[0].delta.content async for part in parts]))

    return asyncio.run(ask())


@pytest.mark.parametrize("ask", [ask_streamed, ask_async])
@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("messages", "chat"))])
def test_a_program_cannot_tell_a_fault_from_the_api(ask: Ask, name: str) -> None:
    seen = ask_both(ask, CASES[name])

    assert seen.injected == seen.sent
    assert seen.sent.errors or seen.sent.status is not None


def test_other_models_on_vertex_ask_for_credentials_in_a_replay_too(clients: ClientSuite) -> None:
    clients.suite.write(
        """
import google.auth, litellm

asked = []


def default(scopes=None):
    asked.append(scopes)
    raise google.auth.exceptions.DefaultCredentialsError("none here")


def test_it(claude_latency, monkeypatch):
    monkeypatch.setattr(google.auth, "default", default)
    given = {"messages": messages("hi"), "vertex_location": "us-east5", "num_retries": 0}
    with pytest.raises(pytest.fail.Exception):
        litellm.completion(model="vertex_ai/claude-haiku-4-5", **given)
    for_claude = len(asked)
    with pytest.raises(litellm.APIConnectionError, match='none here'):
        litellm.completion(model="vertex_ai/gemini-2.5-flash", **given)
    save_result([for_claude, len(asked)])
"""
    )

    clients.suite.replay().assert_outcomes(failed=1)  # by the miss

    assert clients.suite.saved_result == [0, 1]

"""OpenAI's SDK against the OpenAI-shaped endpoint."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.clients.client_suite import CHAT_HELLO, CHAT_TOOL, ClientSuite, Way
from tests.clients.errors_of_faults import STREAMED as STREAMED_ANSWER
from tests.clients.errors_of_faults import WHOLE, raised
from tests.support.claude_answers import status
from tests.support.faults_on_the_wire import CASES, Ask, Case, Seen, answered, ask_both, events

openai = pytest.importorskip("openai", reason='nox -s "clients(openai)" installs it')

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


CLASSES = {
    "400": "BadRequestError",
    "401": "AuthenticationError",
    "403": "PermissionDeniedError",
    "404": "NotFoundError",
    "408": "APIStatusError",
    "409": "ConflictError",
    "413": "APIStatusError",
    "422": "UnprocessableEntityError",
    "429": "RateLimitError",
    "500": "InternalServerError",
    "502": "InternalServerError",
    "503": "InternalServerError",
    "504": "InternalServerError",
    "529": "InternalServerError",
    "refused": "APIConnectionError",
    "unanswered": "APITimeoutError",
}
IN_MID_STREAM = {
    "dropped": "APIConnectionError",
    "overloaded_midstream": "APIError",
    "malformed": "JSONDecodeError",
    "trickled": "APITimeoutError",
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", [*CLASSES, *IN_MID_STREAM])
def test_each_fault_raises_the_class_of_the_sdk(fault: str, stream: bool) -> None:
    if fault in IN_MID_STREAM and not stream:
        pytest.skip("it is for answers that stream")

    def ask() -> None:
        with openai.OpenAI(base_url="https://gateway.example.com/v1/", api_key="x", max_retries=0, timeout=5) as client:
            answer = client.chat.completions.create(
                model="claude-haiku-4-5", messages=[{"role": "user", "content": "hi"}], stream=stream
            )
            if stream:
                list(answer)

    error = raised(ask, fault, STREAMED_ANSWER if stream else WHOLE)

    assert type(error).__name__ == (CLASSES | IN_MID_STREAM)[fault]
    if fault.isdecimal():
        assert error.status_code == int(fault)  # type: ignore[union-attr]  # a status is in each such error
        assert error.response.headers.get("retry-after") == ("60" if fault == "429" else None)  # type: ignore[union-attr]
        assert set(error.response.json()["error"]) == {"message", "type", "param", "code"}  # type: ignore[union-attr]


def ask_streamed(base: str, case: Case) -> Seen:
    with openai.OpenAI(
        base_url=base + "/v1", api_key="x", max_retries=0, timeout=openai.Timeout(30, read=case.read_timeout)
    ) as client:
        parts = client.chat.completions.create(**case.recorded.exchanges[0].request.json)
        return answered(200, {}, events([part.model_dump() for part in parts]))


def ask_async(base: str, case: Case) -> Seen:
    async def ask() -> Seen:
        async with openai.AsyncOpenAI(
            base_url=base + "/v1", api_key="x", max_retries=0, timeout=openai.Timeout(30, read=case.read_timeout)
        ) as client:
            parts = await client.chat.completions.create(**case.recorded.exchanges[0].request.json)
            return answered(200, {}, events([part.model_dump() async for part in parts]))

    return asyncio.run(ask())


@pytest.mark.parametrize("ask", [ask_streamed, ask_async])
@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("chat")])
def test_a_program_cannot_tell_a_fault_from_the_api(ask: Ask, name: str) -> None:
    seen = ask_both(ask, CASES[name])

    assert seen.injected == seen.sent
    assert seen.sent.errors or seen.sent.status is not None

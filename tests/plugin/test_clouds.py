"""Claude at other providers: their clients sign requests, name the model in the path, and frame streams otherwise."""

from __future__ import annotations

import json
from dataclasses import replace

import anthropic
import pytest

from pytest_claude_latency.cassettes.mismatch import NOTHING_FITS
from tests.plugin.suite import Suite, whole_lines
from tests.support.aws_frames import chunk
from tests.support.claude_answers import Answer
from tests.support.claude_messages import text

CLOUDS = {
    "Bedrock": ("Bedrock", "aws_region='us-east-1'", "base_url=LIVE, api_key='x'"),
    "Bedrock with a user agent of its own": (
        "Bedrock",
        "aws_region='us-east-1', default_headers={'User-Agent': 'shop'}",
        "base_url=LIVE, api_key='x'",
    ),
    "Vertex": ("Vertex", "region='europe-west1', project_id='shop'", "base_url=LIVE + '/v1', access_token='x'"),
    "Foundry": (
        "Foundry",
        "azure_ad_token_provider=login, base_url=(LIVE or 'https://shop.example') + '/anthropic'",
        "",
    ),
    "AWS": ("AWS", "aws_region='us-east-1', workspace_id='w'", "base_url=LIVE, api_key='x'"),
}

SOURCE = """
import os

LIVE = os.environ.get("ANTHROPIC_BASE_URL")


def login():
    assert LIVE, "a replay must not log in"
    return "a-token"


def made(kind):
    more = dict(GIVEN) if LIVE else {}
    return kind(SETTINGS, **more)


async def run():
    async with made(anthropic.AsyncAnthropicCLOUD) as client:
        return await aask(client=client)


def test_it(claude_latency):
    assert ask(client=made(anthropic.AnthropicCLOUD)) == asyncio.run(run()) == "Hello world"
    assert [call.model for call in claude_latency.calls] == ["claude-haiku-4-5"] * 2
    assert [call.streamed for call in claude_latency.calls] == [False] * 2
"""


@pytest.mark.parametrize(("cloud", "settings", "given"), CLOUDS.values(), ids=CLOUDS)
def test_a_replay_needs_neither_credentials_nor_the_network(
    suite: Suite, cloud: str, settings: str, given: str
) -> None:
    suite.write(SOURCE.replace("CLOUD", cloud).replace("SETTINGS", settings).replace("GIVEN", given))

    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)

    assert len(suite.server.log) == 2


STREAMS = """
import os

live = os.environ.get("ANTHROPIC_BASE_URL")


async def run(client):
    async with client:
        return [event.to_dict() async for event in await client.messages.create(
            model="claude-haiku-4-5", max_tokens=9, messages=messages("hi"), stream=True)]


def test_it(claude_latency):
    more = {"base_url": live + PREFIX, "GIVEN": "x"} if live else {}
    client = anthropic.CLIENT(SETTINGS, **more)
    events = [event.to_dict() for event in client.messages.create(
        model="claude-haiku-4-5", max_tokens=9, messages=messages("hi"), stream=True)]
    assert asyncio.run(run(anthropic.AsyncCLIENT(SETTINGS, **more))) == events
    save_result(events)
    for call in claude_latency.calls:
        assert call.model == "claude-haiku-4-5"
        assert call.streamed
        assert call.output_tokens == 8
        assert 0.03 <= call.ttft < call.total
"""


@pytest.mark.parametrize(
    ("cloud", "settings", "given", "prefix"),
    [
        ("Bedrock", "aws_region='us-east-1'", "api_key", ""),
        ("Vertex", "region='europe-west1', project_id='shop'", "access_token", "/v1"),
    ],
)
def test_streams_are_measured_as_the_apis_own(suite: Suite, cloud: str, settings: str, given: str, prefix: str) -> None:
    answer = text("Hello wor|ld", ttfb="20ms", gaps=["10ms", "10ms"])
    if cloud == "Bedrock":
        pytest.importorskip("botocore.eventstream", reason="the SDK's Bedrock extra is not installed")
        answer = _framed(answer)
    suite.server.answers(lambda request: answer)
    source = STREAMS.replace("CLIENT", f"Anthropic{cloud}").replace("SETTINGS", settings)
    suite.write(source.replace("GIVEN", given).replace("PREFIX", repr(prefix)))

    suite.record().assert_outcomes(passed=1)
    recorded = suite.saved_result
    suite.replay().assert_outcomes(passed=1)

    assert suite.saved_result == recorded
    assert "ld" in json.dumps(recorded)


def _framed(answer: Answer) -> Answer:
    """The events of a stream in the frames of AWS."""
    events = [part.data.decode().partition("data: ")[2].strip() for part in answer.parts]
    parts = tuple(replace(part, data=chunk(event)) for part, event in zip(answer.parts, events, strict=True))
    headers = (("content-type", "application/vnd.amazon.eventstream"),)
    return replace(answer, headers=headers, parts=parts, unstreamed=None)


GOOGLE = """
import os

LIVE = os.environ.get("ANTHROPIC_BASE_URL")
GATEWAY = anthropic.AnthropicGoogleCloud(project="shop", workspace_id="w").base_url.path.rstrip("/")


def made(kind):
    more = {"base_url": LIVE + GATEWAY, "token_provider": lambda: "a-token"} if LIVE else {}
    return kind(workspace_id="w", **more)


async def run():
    async with made(anthropic.AsyncAnthropicGoogleCloud) as client:
        return await aask(client=client)


def test_it(claude_latency):
    client = made(anthropic.AnthropicGoogleCloud)
    assert ask(client=client) == asyncio.run(run()) == "Hello world"
    assert len(claude_latency.calls) == 2
    if not LIVE:
        # what the client would send next to the API is not changed by the replay
        assert client._project is None and client._base_url_deferred and client.google_credentials is None


def test_another_prompt(claude_latency):
    ask(PROMPT, client=made(anthropic.AnthropicGoogleCloud))
"""


@pytest.mark.skipif(not hasattr(anthropic, "AnthropicGoogleCloud"), reason="the SDK has no client of Google Cloud")
def test_a_project_that_the_credentials_of_the_machine_would_name_is_not_needed(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOOGLE_CLOUD_PROJECT", "ANTHROPIC_GOOGLE_CLOUD_PROJECT", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    suite.write(GOOGLE.replace("PROMPT", "'one'"))
    suite.record().assert_outcomes(passed=2)
    suite.write(GOOGLE.replace("PROMPT", "'another'"))

    result = suite.replay()

    result.assert_outcomes(passed=1, failed=1)
    whole_lines(result).fnmatch_lines(["*" + NOTHING_FITS.format(request="POST */workspaces/w/invoke/v1/messages*")])
    result.stdout.no_fnmatch_line("*project-of-a-replay*")
    assert len(suite.server.log) == 3

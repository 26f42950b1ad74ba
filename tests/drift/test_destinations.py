"""Where a recorded request is sent: the environment decides, and never the recording."""

from __future__ import annotations

import pytest

from pytest_claude_latency.ab.recorded_request import Obstacle
from pytest_claude_latency.drift.destinations import NO_KEY, Destinations
from pytest_claude_latency.messages_api.exchange import Request, header
from tests.support.some_recording import asking

BODY = b'{"model": "claude-haiku-4-5", "max_tokens": 9, "messages": []}'
BEDROCK = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/anthropic.claude-haiku-4-5%3A0/converse"
VERTEX = (
    "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/anthropic/models/c:rawPredict"
)
CHAT = "https://gateway.example/openai/chat/completions"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-for-tests")
    for name in ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def sent(url: str, *headers: tuple[str, str], **environment: str) -> Request:
    request = Destinations(environment).request_for(asking(BODY, url, headers))
    assert isinstance(request, Request)
    return request


def obstacle(url: str, **environment: str) -> str:
    found = Destinations(environment).request_for(asking(BODY, url))
    assert isinstance(found, Obstacle)
    return found.reason


def test_a_recording_does_not_say_where_the_key_goes() -> None:
    request = sent("https://evil.example/prefix/v1/messages?beta=true", ("anthropic-version", "2023-06-01"))

    assert request.url == "https://api.anthropic.com/v1/messages?beta=true"
    assert "a-key-for-tests" in str(request.headers)
    assert header(request.headers, "anthropic-version") == "2023-06-01"
    assert request.content == asking(BODY).content


def test_the_address_and_its_prefix_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://gateway.example/claude/")

    assert sent("https://api.anthropic.com/v1/messages").url == "https://gateway.example/claude/v1/messages"


@pytest.mark.parametrize("url", ["htp//me:s3cret@host", "ftp://me:s3cret@host", "https://", "http://host:99999"])
def test_nothing_is_sent_to_what_is_no_address(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)

    told = obstacle("https://api.anthropic.com/v1/messages")

    assert "ANTHROPIC_BASE_URL" in told
    assert "s3cret" not in told


@pytest.mark.parametrize("key", [None, "", " "])
def test_without_a_key_nothing_is_sent(key: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY") if key is None else monkeypatch.setenv("ANTHROPIC_API_KEY", key)

    assert obstacle("https://api.anthropic.com/v1/messages") == NO_KEY.reason
    assert obstacle("https://api.anthropic.com/v1/chat/completions") == NO_KEY.reason


def test_bedrock_takes_a_bearer_token_in_the_region_of_the_recording() -> None:
    request = sent(BEDROCK, AWS_BEARER_TOKEN_BEDROCK="token", AWS_REGION="us-east-1")

    assert request.url == BEDROCK
    assert header(request.headers, "authorization") == "Bearer token"
    elsewhere = sent(BEDROCK, AWS_BEARER_TOKEN_BEDROCK="t", AWS_ENDPOINT_URL_BEDROCK_RUNTIME="http://127.0.0.1:9")
    assert elsewhere.url == "http://127.0.0.1:9/model/anthropic.claude-haiku-4-5%3A0/converse"
    assert "AWS_BEARER_TOKEN_BEDROCK" in obstacle(BEDROCK)


def test_a_host_that_only_looks_like_bedrock_gets_no_token() -> None:
    foreign = BEDROCK.replace("amazonaws.com", "amazonaws.com.evil.example")

    assert sent(foreign, AWS_BEARER_TOKEN_BEDROCK="t", AWS_REGION="us-east-1").url.startswith(
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/"
    )
    assert "AWS_BEARER_TOKEN_BEDROCK" in obstacle(foreign, AWS_BEARER_TOKEN_BEDROCK="t")


def test_the_form_of_openai_goes_to_its_own_gateway_or_to_anthropic() -> None:
    gateway = {"OPENAI_BASE_URL": "https://mine.example/v1", "OPENAI_API_KEY": "openai-key"}

    assert sent(CHAT, **gateway).url == "https://mine.example/v1/chat/completions"
    assert header(sent(CHAT, **gateway).headers, "authorization") == "Bearer openai-key"
    own = sent("https://api.anthropic.com/v1/chat/completions")
    assert own.url == "https://api.anthropic.com/v1/chat/completions"
    assert header(own.headers, "authorization") == "Bearer a-key-for-tests"
    assert "OPENAI_BASE_URL" in obstacle(CHAT)


def test_what_cannot_be_sent_is_told() -> None:
    assert "Vertex AI" in obstacle(VERTEX)
    assert "gateway" in obstacle("https://gateway.example/my/own/path")

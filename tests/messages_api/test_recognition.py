"""Which requests are Claude's, by URL, headers and body."""

from __future__ import annotations

import json

import pytest

from pytest_claude_latency.messages_api.endpoints import asks_to_stream, is_prompt_call, requested_model
from pytest_claude_latency.messages_api.exchange import Headers, Request
from pytest_claude_latency.messages_api.recognition import EndpointPattern, Recognition

BEDROCK = "https://bedrock-runtime.eu-west-1.amazonaws.com/model"
VERTEX = "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers"
PROFILE = "arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Aapplication-inference-profile%2Fabc"
COMPLETIONS = "https://gateway.example/v1/chat/completions"
ASKED = {"messages": [], "max_tokens": 9}
SDK = (("x-stainless-lang", "python"), ("user-agent", "Anthropic/Python 2.14.0"))
OPENAIS = (("x-stainless-lang", "python"), ("user-agent", "OpenAI/Python 3.0.0"))


def post(url: str, body: object = None, headers: Headers = ()) -> Request:
    return Request("POST", url, headers, b"" if body is None else json.dumps(body).encode())


CLAUDES = {
    "the SDK, whatever it asks": post("https://gateway.example/v1/files", headers=SDK),
    "the SDK under another name": post(f"{BEDROCK}/x/invoke", headers=(("x-stainless-lang", "python"),)),
    "an API version": post("https://gateway.example/any", headers=(("Anthropic-Version", "2023-06-01"),)),
    "Anthropic's host, whatever it asks": Request("GET", "https://api.anthropic.com/v1/models"),
    "a message at a gateway": post("https://gateway.example/claude/v1/messages", ASKED),
    "invoke": post(f"{BEDROCK}/anthropic.claude-haiku-4-5-v1%3A0/invoke", {}),
    "invoke, streamed": post(f"{BEDROCK}/eu.anthropic.claude-v1:0/invoke-with-response-stream", {}),
    "converse": post(f"{BEDROCK}/eu.anthropic.claude-v1%3A0/converse", {}),
    "converse, streamed": post(f"{BEDROCK}/eu.anthropic.claude-v1%3A0/converse-stream", {}),
    "a profile, by the body": post(f"{BEDROCK}/{PROFILE}/invoke", {"anthropic_version": "bedrock-2023-05-31"}),
    "Vertex": post(f"{VERTEX}/anthropic/models/claude-haiku-4-5@1:rawPredict", {}),
    "Vertex, streamed": post(f"{VERTEX}/anthropic/models/claude-haiku-4-5@1:streamRawPredict", {}),
    "OpenAI's shape": post(COMPLETIONS, {"model": "anthropic/claude-haiku-4.5"}, OPENAIS),
}
OTHERS = {
    "another host": Request("GET", "https://shop.example/orders"),
    "a page of Anthropic's": Request("GET", "https://docs.anthropic.com/en/api"),
    "a login": post("https://api.anthropic.com/v1/oauth/token", {}),
    "messages of a chat": post("https://chat.example/v1/messages", {"messages": ["hi"]}),
    "not a post": Request("GET", f"{BEDROCK}/anthropic.claude-v1/converse"),
    "another model on Bedrock": post(f"{BEDROCK}/amazon.nova-lite-v1%3A0/converse", {}),
    "an embedding": post(f"{BEDROCK}/cohere.embed-v4/invoke", {"texts": []}),
    "another model on Vertex": post(f"{VERTEX}/meta/models/llama-4:rawPredict", {}),
    "another model in OpenAI's shape": post(
        "https://api.openai.example/v1/chat/completions", {"model": "gpt-9"}, OPENAIS
    ),
    "no model": post(COMPLETIONS, {}),
    "a body that is no JSON": post("https://gateway.example/v1/messages"),
}


@pytest.mark.parametrize("request_", CLAUDES.values(), ids=CLAUDES)
def test_requests_of_claude(request_: Request) -> None:
    assert Recognition().is_claudes(request_)


@pytest.mark.parametrize("request_", OTHERS.values(), ids=OTHERS)
def test_requests_of_others(request_: Request) -> None:
    assert not Recognition().is_claudes(request_)


def test_a_body_is_read_only_where_it_has_to_tell() -> None:
    recognition = Recognition()

    assert recognition.by_head(post("https://gateway.example/v1/messages")) is None
    assert recognition.by_head(post("https://storage.example/upload")) is False
    assert recognition.by_head(post(f"{BEDROCK}/anthropic.claude-v1/converse")) is True


def test_users_add_and_exclude_endpoints() -> None:
    lines = [r"^https://llm\.example/", r"! /v1/messages/batches$"]
    recognition = Recognition([EndpointPattern.parse(line) for line in lines])

    assert recognition.is_claudes(post("https://llm.example/ask"))
    assert not recognition.is_claudes(post("https://api.anthropic.com/v1/messages/batches", headers=SDK))
    assert recognition.is_claudes(post("https://api.anthropic.com/v1/messages", headers=SDK))


@pytest.mark.parametrize("line", ["(", "!(", "!", "! "])
def test_a_pattern_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="regular expression"):
        EndpointPattern.parse(line)


def test_an_inference_profile_that_says_no_model_is_named_once() -> None:
    told: list[str] = []
    recognition = Recognition(warn=told.append)

    assert not any(recognition.is_claudes(post(f"{BEDROCK}/{PROFILE}/converse", {})) for _ in range(2))

    (message,) = told
    assert "application-inference-profile/abc does not say which model" in message
    assert Recognition([EndpointPattern.parse("application-inference-profile(/|%2F)abc")]).is_claudes(
        post(f"{BEDROCK}/{PROFILE}/converse", {})
    )


@pytest.mark.parametrize(
    ("request_", "model", "streams"),
    [
        (CLAUDES["converse"], "eu.anthropic.claude-v1:0", False),
        (CLAUDES["converse, streamed"], "eu.anthropic.claude-v1:0", True),
        (CLAUDES["OpenAI's shape"], "anthropic/claude-haiku-4.5", False),
        (post("https://llm.example/ask", ASKED), None, False),
    ],
)
def test_a_request_that_makes_a_message_says_what_it_asks(request_: Request, model: str | None, streams: bool) -> None:
    assert is_prompt_call(request_)
    assert requested_model(request_) == model
    assert asks_to_stream(request_) is streams

from __future__ import annotations

import pytest

from pytest_claude_latency.http.guard.hosts import are_same, is_claudes, of_pattern, plain


@pytest.mark.parametrize(
    "host",
    [
        "api.anthropic.com",
        "api-staging.anthropic.com",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "bedrock-runtime-fips.us-gov-west-1.amazonaws.com",
        "bedrock-runtime.cn-north-1.amazonaws.com.cn",
        "bedrock-runtime.us-east-1.api.aws",
        "vpce-0a1b-2c3d.bedrock-runtime.eu-west-1.vpce.amazonaws.com",
        "bedrock-mantle.us-east-1.api.aws",
        "aws-external-anthropic.us-east-1.api.aws",
        "aiplatform.googleapis.com",
        "europe-west4-aiplatform.googleapis.com",
        "aiplatform.eu.rep.googleapis.com",
        "claude.googleapis.com",
        "example-resource.services.ai.azure.com",
    ],
)
def test_the_hosts_of_vendors_are_known_at_each_port(host: str) -> None:
    assert is_claudes(host, 443)
    assert is_claudes(host, None)


@pytest.mark.parametrize(
    "host",
    [
        "docs.anthropic.com",
        "anthropic.com.example.org",
        "api.anthropic.com.example.org",
        "bedrock.us-east-1.amazonaws.com",
        "s3.us-east-1.amazonaws.com",
        "oauth2.googleapis.com",
        "storage.googleapis.com",
        "mine.openai.azure.com",
        "localhost",
        "127.0.0.1",
        "",
    ],
)
def test_other_hosts_are_not(host: str) -> None:
    assert not is_claudes(host, 443)


@pytest.mark.parametrize(
    ("variable", "url", "host", "port"),
    [
        ("ANTHROPIC_BASE_URL", "https://gateway.example/claude", "gateway.example", 443),
        ("ANTHROPIC_BEDROCK_BASE_URL", "http://gateway.example", "gateway.example", 80),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://Gateway.Example:4000/", "gateway.example", 4000),
        ("ANTHROPIC_FOUNDRY_BASE_URL", "http://localhost:4000", "127.0.0.1", 4000),
        ("ANTHROPIC_VERTEX_BASE_URL", "http://127.0.0.1:4000", "::1", 4000),
    ],
)
def test_hosts_of_the_environment_are_known_at_their_port(
    monkeypatch: pytest.MonkeyPatch, variable: str, url: str, host: str, port: int
) -> None:
    monkeypatch.setenv(variable, url)

    assert is_claudes(host, port)
    assert not is_claudes(host, port + 1)
    assert not is_claudes(host, None)


def test_an_address_that_is_none_is_no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://gateway.example:port")

    assert not is_claudes("gateway.example", 80)


def test_a_host_is_compared_in_one_spelling() -> None:
    assert plain(b"API.Anthropic.com.") == plain("api.anthropic.com") == "api.anthropic.com"
    assert plain("[fe80::1%eth0]") == "fe80::1"


def test_all_names_of_this_machine_are_the_same_host() -> None:
    assert are_same("localhost", "127.0.0.1")
    assert are_same("::1", "::ffff:127.0.0.1")
    assert not are_same("localhost", "gateway.example")


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        (r"https://gateway\.example/", ("gateway.example", 443)),
        (r"^http://gateway\.example:4000/v1/.*", ("gateway.example", 4000)),
        (r"https?://gate-way.example/chat", ("gate-way.example", None)),
        (r"//localhost:4000$", ("localhost", 4000)),
        (r"https://.*\.example/", None),
        (r"https://(a|b)\.example/", None),
        (r"/chat/completions", None),
    ],
)
def test_a_pattern_names_the_host_that_it_begins_with(pattern: str, named: tuple[str, int | None] | None) -> None:
    assert of_pattern(pattern) == named

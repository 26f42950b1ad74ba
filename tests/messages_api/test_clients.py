"""Which library made a request, by what it sends."""

from __future__ import annotations

import pytest

from pytest_claude_latency.messages_api.clients import client_list, client_of, release_line
from pytest_claude_latency.messages_api.exchange import Request

STAINLESS = ("x-stainless-package-version", "2.14.0")


def sent_by(*headers: tuple[str, str]) -> Request:
    return Request("POST", "https://host/", headers)


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ([("user-agent", "Anthropic/Python 2.14.0"), STAINLESS], "anthropic 2.14.0"),
        ([("user-agent", "my-app/3"), STAINLESS, ("anthropic-version", "2023-06-01")], "anthropic 2.14.0"),
        ([("user-agent", "AsyncOpenAI/Python 2.14.0"), STAINLESS], "openai 2.14.0"),
        ([("user-agent", "Boto3/1.42.0 md/Botocore#1.42.0 ua/2.1 os/linux#6.1 lang/python#3.11")], "boto3 1.42.0"),
        ([("user-agent", "aiobotocore/2.25.0 md/Botocore#1.40.61")], "aiobotocore 2.25.0"),
        ([("User-Agent", "python-requests/2.32.3")], "requests 2.32.3"),
        ([("user-agent", "Python/3.11 aiohttp/3.10.5")], "aiohttp 3.10.5"),
        ([("user-agent", "an app of ours")], None),
        ([], None),
    ],
)
def test_a_client_is_known_by_its_headers(headers: list[tuple[str, str]], client: str | None) -> None:
    assert client_of(sent_by(*headers)) == client


def test_several_clients_are_named_once_each() -> None:
    assert client_list(["boto3 1.42.0", "anthropic 2.14.0", "boto3 1.42.0", ""]) == "boto3 1.42.0, anthropic 2.14.0"
    assert client_list([]) == "unknown"


def test_a_release_line_is_named_without_the_exact_version() -> None:
    assert [release_line(client) for client in ("anthropic 0.93.0", "anthropic", "unknown")] == [
        "anthropic 0.x",
        "anthropic",
        "unknown",
    ]

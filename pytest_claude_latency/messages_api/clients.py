"""Clients: which library made a request, by what it says of itself in the headers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pytest_claude_latency.messages_api.exchange import Request, header

UNKNOWN = "unknown"
"""What stands for a client that does not say what it is."""

_PRODUCT = re.compile(r"(?P<name>[A-Za-z][\w.-]*)/(?P<version>\d[\w.+-]*)")
_LANGUAGES = ("python", "cpython")  # "Python/3.11 aiohttp/3.10.5": the language is not the client


def client_of(request: Request) -> str | None:
    """Return the name and version of the library that made a request: `"anthropic 2.14.0"`, `"boto3 1.42.0"`.

    None if its headers do not say.
    """
    agent = header(request.headers, "user-agent") or ""
    generated = header(request.headers, "x-stainless-package-version")
    if generated is not None:  # one generator makes the SDKs of Anthropic and OpenAI, and both send this header
        is_of_openai = "openai" in agent.lower() and header(request.headers, "anthropic-version") is None
        return f"{'openai' if is_of_openai else 'anthropic'} {generated}"
    # the first that is no language: a library names itself before those that it is built on
    for product in _PRODUCT.finditer(agent):
        name = product["name"].lower()
        if name not in _LANGUAGES:
            return f"{name.removeprefix('python-')} {product['version']}"
    return None


def client_list(clients: Iterable[str]) -> str:
    """Return the libraries that made the requests of a recording, each once, separated by commas."""
    return ", ".join(filter(None, dict.fromkeys(clients))) or UNKNOWN


def release_line(client: str) -> str:
    """Return a client with its release line in place of its exact version: `"anthropic 2.x"`."""
    name, _, version = client.rpartition(" ")
    return f"{name} {version.partition('.')[0]}.x" if name and version[:1].isdigit() else client

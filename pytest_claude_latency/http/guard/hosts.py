"""Known hosts: where Claude's API is served, by its vendors and by what the environment names.

A host of a cloud also serves other models. What a door lets pass to it is not the guard's business, so the table need
not tell them apart.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

_VENDORS: Final = (
    r"(?:[\w-]+\.)*api(?:-[\w-]+)?\.(?:anthropic|claude)\.com",
    # Amazon Bedrock, with its private links and partitions; Claude Platform on AWS
    r"(?:[\w-]+\.)*(?:bedrock-runtime|bedrock-mantle|aws-external-anthropic)(?:-fips)?\.(?:[\w-]+\.)+"
    r"(?:amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|api\.aws|api\.amazonwebservices\.com\.cn)",
    # Vertex AI and Claude on Google Cloud
    r"(?:[\w-]+-)?aiplatform(?:\.[\w-]+)*\.googleapis\.com",
    r"claude(?:\.[\w-]+)*\.googleapis\.com",
    # Azure AI Foundry. Azure serves no Claude model under openai.azure.com.
    r"[\w-]+\.services\.ai\.azure\.(?:com|us|cn)",
)
_VENDOR: Final = re.compile("|".join(_VENDORS))

_NETWORKS: Final = tuple(map(ip_network, ("160.79.104.0/23", "153.61.224.0/22", "2607:6bc0::/48")))
"""The addresses of Anthropic's own API, as its documentation lists them for firewalls."""

_VARIABLES: Final = (
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_AWS_BASE_URL",
    "ANTHROPIC_BEDROCK_BASE_URL",
    "ANTHROPIC_BEDROCK_MANTLE_BASE_URL",
    "ANTHROPIC_FOUNDRY_BASE_URL",
    "ANTHROPIC_GOOGLE_CLOUD_BASE_URL",
    "ANTHROPIC_VERTEX_BASE_URL",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
)
_PORTS: Final = {"http": 80, "https": 443}
_LITERAL: Final = re.compile(
    r"\^?(?:(?P<scheme>https?)|https\?|\(\?:https\?\))?:?//"
    r"(?P<host>(?:[\w-]|\\[.-]|\.(?![*+?{]))+)(?::(?P<port>\d+))?(?=/|\\/|\$|$)"
)
"""The start of a pattern that names one host: each character of it stands for itself."""


def plain(host: str | bytes) -> str:
    """Return a host as it is compared: text in lower case, without the dot, brackets and scope that it may have."""
    text = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else host
    return text.strip("[]").partition("%")[0].rstrip(".").lower()


def is_claudes(host: str, port: int | None) -> bool:
    """Return whether a Claude API is served there. `port` is `None` where only the name is looked up."""
    return is_vendors(host) or any(
        port == known_port and are_same(host, known_host) for known_host, known_port in from_environment()
    )


@lru_cache(maxsize=64)
def of_pattern(pattern: str) -> tuple[str, int | None] | None:
    """Return the host that a regular expression over URLs begins with, and its port; `None` if it names no host.

    The port is `None` where the expression leaves it open.
    """
    match = _LITERAL.match(pattern)
    if match is None:
        return None
    port = int(match["port"]) if match["port"] else _PORTS.get(match["scheme"] or "")
    return plain(match["host"].replace("\\", "")), port


@lru_cache(maxsize=1024)
def is_vendors(host: str) -> bool:
    """Return whether a host belongs to Anthropic's API or to a cloud's. There every port is known."""
    return _VENDOR.fullmatch(host) is not None


@lru_cache(maxsize=1024)
def is_in_anthropics_network(address: str) -> bool:
    """Return whether an address is one of Anthropic's API, whatever name it was looked up by."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(parsed in network for network in _NETWORKS)


def from_environment() -> list[tuple[str, int]]:
    """Return the hosts and ports that the environment names now: a test or fixture may have set them."""
    named = [destination_of(url) for variable in _VARIABLES if (url := os.environ.get(variable))]
    return [destination for destination in named if destination is not None]


@lru_cache(maxsize=64)
def destination_of(url: str) -> tuple[str, int] | None:
    """Return the host and port of a URL; `None` if it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:  # a port that is no number
        return None
    return None if parts.hostname is None or port is None else (plain(parts.hostname), port)


def are_same(host: str, other: str) -> bool:
    """Return whether two hosts are the same one. All names of this machine's own network are."""
    return host == other or (is_loopback(host) and is_loopback(other))


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Return whether a host is this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified

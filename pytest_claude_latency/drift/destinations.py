"""Destinations: where a recorded request is sent now, and with which login.

Both come from the environment, by the variables that the client libraries read. A recording says what is asked, and
never where to: whoever changes a recording could send the key to a host of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final, final
from urllib.parse import urlsplit

from pytest_claude_latency.ab.recorded_request import Obstacle, as_sent_now
from pytest_claude_latency.messages_api.endpoints import place_of, provider_of
from pytest_claude_latency.messages_api.exchange import Headers, Request

NO_KEY: Final = Obstacle("there is no key: set ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN)", mendable=True)
_NO_AWS_KEY: Final = Obstacle(
    "it was made on Bedrock, and a signature cannot be made again: set AWS_BEARER_TOKEN_BEDROCK", mendable=True
)
_NO_GATEWAY: Final = Obstacle(
    "it has the form of OpenAI's API: set OPENAI_BASE_URL and OPENAI_API_KEY to those of its gateway", mendable=True
)
_VERTEX: Final = Obstacle("it was made on Vertex AI, whose login is in no variable")
_UNKNOWN: Final = Obstacle("its path is that of a gateway, and not of an API")
_NO_ADDRESS: Final = Obstacle(
    "the address that a variable gives (ANTHROPIC_BASE_URL, OPENAI_BASE_URL or AWS_ENDPOINT_URL_BEDROCK_RUNTIME) does "
    "not begin with http:// or https:// and a host",
    mendable=True,
)
_API = "api.anthropic.com"
# A host may be anywhere; the name of a region cannot lead to another company.
_BEDROCK_HOST = re.compile(r"bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com")


@final
class Destinations:
    """Where requests go, by the variables of an environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        import anthropic

        self._environment = environment
        # The SDK decides which of several variables counts, and in which header a key travels.
        with anthropic.Anthropic() as client:
            self._anthropic = str(client.base_url), tuple(client.auth_headers.items())

    def request_for(self, recorded: Request) -> Request | Obstacle:
        """Return the request that asks the same now, or why there is none."""
        provider, (_, endpoint) = provider_of(recorded), place_of(recorded) or ("", "")
        place: tuple[str, Headers] | Obstacle
        match provider:
            case "anthropic":
                place = self._of_anthropic()
            case "openai":
                place = self._of_openai(urlsplit(recorded.url).hostname == _API)
            case "bedrock":
                place = self._of_bedrock(urlsplit(recorded.url).hostname or "")
            case "vertex":
                place = _VERTEX
            case _:
                place = _UNKNOWN
        if isinstance(place, Obstacle):
            return place
        base, login = place
        if not _is_address(base):
            return _NO_ADDRESS
        headers = (*login, ("user-agent", f"claude-latency/{version('pytest-claude-latency')}"))
        return as_sent_now(recorded, Request(recorded.method, base.rstrip("/") + endpoint, headers))

    def _of_anthropic(self) -> tuple[str, Headers] | Obstacle:
        base, login = self._anthropic
        # a variable that is set to nothing makes a header with nothing in it
        login = tuple((name, value) for name, value in login if value.removeprefix("Bearer").strip())
        return (base, login) if login else NO_KEY

    def _of_openai(self, is_anthropics: bool) -> tuple[str, Headers] | Obstacle:
        base, key = (self._environment.get(name) for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"))
        if base and key:
            return base, (("authorization", f"Bearer {key}"),)
        if not is_anthropics:
            return _NO_GATEWAY
        # Anthropic's own API speaks that form too, and takes its keys.
        own = self._of_anthropic()
        if isinstance(own, Obstacle):
            return own
        key = own[1][0][1].removeprefix("Bearer ")
        return f"{own[0].rstrip('/')}/v1", (("authorization", f"Bearer {key}"),)

    def _of_bedrock(self, host: str) -> tuple[str, Headers] | Obstacle:
        names = ("AWS_REGION", "AWS_DEFAULT_REGION")
        recorded = _BEDROCK_HOST.fullmatch(host)
        region = recorded[1] if recorded else next(filter(None, map(self._environment.get, names)), None)
        base = self._environment.get("AWS_ENDPOINT_URL_BEDROCK_RUNTIME")
        if base is None and region is not None:
            base = f"https://bedrock-runtime.{region}.amazonaws.com"
        key = self._environment.get("AWS_BEARER_TOKEN_BEDROCK")
        return (base, (("authorization", f"Bearer {key}"),)) if base and key else _NO_AWS_KEY


def _is_address(base: str) -> bool:
    """Return whether requests can be sent below this URL."""
    try:
        url = urlsplit(base)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0  # reading the port checks it
    except ValueError:
        return False

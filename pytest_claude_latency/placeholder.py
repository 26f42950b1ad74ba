"""The placeholder a replay puts in the place of a missing key.

The environment is left as it is, so a suite's own checks for a key mean what
they meant. The SDK asks each client for its authentication headers as it
builds a request; where a replay is under way and there are none, a placeholder
goes in. It never leaves the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from pytest_claude_latency.options import PLACEHOLDER_KEY

_HEADERS = {"Authorization": f"Bearer {PLACEHOLDER_KEY}"}


@final
class Placeholder:
    """Fills in for missing credentials while `wanted()` is true; otherwise calls `missing`."""

    def __init__(self, wanted: Callable[[], bool], missing: Callable[[], None]) -> None:
        self._wanted = wanted
        self._missing = missing
        self._originals: list[tuple[type[Any], property]] = []

    def start(self) -> None:
        """Watch the clients of the installed SDK."""
        import anthropic

        for client in (anthropic.Anthropic, anthropic.AsyncAnthropic):
            original = client.__dict__["auth_headers"]
            self._originals.append((client, original))
            setattr(client, "auth_headers", self._filled(original))  # noqa: B010  # mypy knows it as read-only

    def stop(self) -> None:
        """Leave the clients as they were."""
        for client, original in self._originals:
            setattr(client, "auth_headers", original)  # noqa: B010  # as above
        self._originals.clear()

    def _filled(self, original: property) -> property:
        def auth_headers(client: Any) -> dict[str, str]:
            assert original.fget is not None
            headers: dict[str, str] = original.fget(client)
            if headers or _carries_its_own(client):
                return headers
            if self._wanted():
                return dict(_HEADERS)
            if not _can_fetch(client):
                self._missing()
            return headers

        return property(auth_headers)


def _carries_its_own(client: Any) -> bool:
    """Whether the client was given an authentication header by hand."""
    names = {name.lower() for name in client._custom_headers}
    return not names.isdisjoint({"authorization", "x-api-key"})


def _can_fetch(client: Any) -> bool:
    """Whether the client has a provider that fetches tokens when it sends."""
    return getattr(client, "_token_cache", None) is not None

"""What a replay changes inside the SDK: a missing key is made up, nothing is signed, and chance is pinned.

The environment is left as it is, so a suite's own checks for a key mean what
they meant. The SDK asks each client for its authentication headers as it
builds a request; where a replay is under way and there are none, a placeholder
goes in. It never leaves the process. Clients of other clouds sign a request, or
fetch a token for it, when it is built; a replay has no use for either. The
jitter of the SDK's back-off, which differs from run to run, is the middle of its
range in every replay.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import wraps
from importlib import import_module
from inspect import iscoroutinefunction
from typing import Any, final
from unittest import mock

PLACEHOLDER_KEY = "placeholder-of-a-replay"
_HEADERS = {"Authorization": f"Bearer {PLACEHOLDER_KEY}"}
_MIDDLE = 0.5
_CLOUDS = "anthropic.lib."
_LOGINS = {"_prepare_request": None, "_get_azure_ad_token": PLACEHOLDER_KEY}
"""Methods by which clients of clouds sign in, and what they say in a replay. Neither is there on the API's own."""


def set_placeholder_key() -> None:
    """Put a key where code that reads the environment finds it."""
    os.environ["ANTHROPIC_API_KEY"] = PLACEHOLDER_KEY


def drop_placeholder_key() -> None:
    """Leave the environment as it was."""
    os.environ.pop("ANTHROPIC_API_KEY", None)


@final
class SDKPatches:
    """The changes, made once and in force while `replaying()` is true; a live client without a key is `keyless`."""

    def __init__(self, replaying: Callable[[], bool], keyless: Callable[[], None]) -> None:
        self._replaying = replaying
        self._keyless = keyless
        self._patches = ExitStack()

    def start(self) -> None:
        """Patch the installed SDK."""
        import anthropic

        base_client = import_module("anthropic._base_client")
        for client in (anthropic.Anthropic, anthropic.AsyncAnthropic):
            filled = self._filled(client.__dict__["auth_headers"])
            self._patches.enter_context(mock.patch.object(client, "auth_headers", filled))
        for client, method in _cloud_logins(vars(anthropic).values()):
            skipped = self._skipped(client.__dict__[method], _LOGINS[method])
            self._patches.enter_context(mock.patch.object(client, method, skipped))
        pinned = self._pinned(base_client.random)
        self._patches.enter_context(mock.patch.object(base_client, "random", pinned))

    def stop(self) -> None:
        """Leave the SDK as it was."""
        self._patches.close()

    def _pinned(self, random: Callable[[], float]) -> Callable[[], float]:
        return lambda: _MIDDLE if self._replaying() else random()

    def _filled(self, original: property) -> property:
        def auth_headers(client: Any) -> dict[str, str]:
            assert original.fget is not None
            headers: dict[str, str] = original.fget(client)
            if headers or _carries_its_own(client):
                return headers
            if self._replaying():
                return dict(_HEADERS)
            if not _can_fetch(client):
                self._keyless()
            return headers

        return property(auth_headers)

    def _skipped(self, original: Callable[..., Any], instead: str | None) -> Callable[..., Any]:
        async def asynchronously() -> str | None:
            return instead

        @wraps(original)
        def login(*args: Any, **kwargs: Any) -> Any:
            if not self._replaying():
                return original(*args, **kwargs)
            return asynchronously() if iscoroutinefunction(original) else instead

        return login


def _cloud_logins(names: Iterable[object]) -> Iterator[tuple[type[Any], str]]:
    """The classes of clients for other clouds among the SDK's public names, each with a method it signs in by."""
    clients = {each for each in names if isinstance(each, type) and each.__module__.startswith(_CLOUDS)}
    return ((client, method) for client in clients for method in _LOGINS if method in client.__dict__)


def _carries_its_own(client: Any) -> bool:
    """Whether the client was given an authentication header by hand."""
    names = {name.lower() for name in client._custom_headers}
    return not names.isdisjoint({"authorization", "x-api-key"})


def _can_fetch(client: Any) -> bool:
    """Whether the client has a way to get a credential when it sends: a provider of tokens, or a cloud's signature."""
    of_cloud = any(base.__module__.startswith(_CLOUDS) for base in type(client).__mro__)
    return of_cloud or getattr(client, "_token_cache", None) is not None

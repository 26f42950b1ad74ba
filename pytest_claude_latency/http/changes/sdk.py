"""What a replay changes inside the SDK: a missing key is made up, and nothing is signed.

- The SDK asks each client for its authentication headers as it builds a request. Where a replay is under way and there
  are none, a placeholder goes in. It never leaves the process. The environment is left as it is, so a suite's own
  checks for a key mean what they meant.
- Clients of other clouds sign a request, or fetch a token for it, when it is built. A replay needs neither. Nor does it
  need the project that a client of Google Cloud would take from the machine's credentials.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from copy import copy
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, final
from unittest import mock

from pytest_claude_latency.http.changes.botocore import BotocorePatches
from pytest_claude_latency.http.changes.certificates import LateCertificates
from pytest_claude_latency.http.changes.chance import PinnedChance
from pytest_claude_latency.http.changes.litellm import LitellmKeys
from pytest_claude_latency.messages_api.endpoints import UNKNOWN_PROJECT
from pytest_claude_latency.messages_api.recognition import Recognition

PLACEHOLDER_KEY = "placeholder-of-a-replay"
_HEADERS = {"Authorization": f"Bearer {PLACEHOLDER_KEY}"}
_OWN_HEADERS = frozenset({"authorization", "x-api-key"})
_CLOUDS = "anthropic.lib."
_LOGINS = {"_prepare_request": None, "_get_azure_ad_token": PLACEHOLDER_KEY}
"""The methods by which clients of clouds sign in, and what they return in a replay. Anthropic's own have neither."""


def set_placeholder_key() -> None:
    """Put a key where code that reads the environment finds it."""
    os.environ["ANTHROPIC_API_KEY"] = PLACEHOLDER_KEY


def drop_placeholder_key() -> None:
    """Leave the environment as it was."""
    os.environ.pop("ANTHROPIC_API_KEY", None)


@final
class SDKPatches:
    """The changes. They are made once and are in force while `replaying()` is true.

    `keyless` is called when a live client sends without a key. `recognition` says which requests of other libraries are
    Claude's.
    """

    def __init__(
        self, replaying: Callable[[], bool], keyless: Callable[[], None], recognition: Recognition | None = None
    ) -> None:
        self._replaying = replaying
        self._chance = PinnedChance(replaying)
        self._botocore = BotocorePatches(replaying, (recognition or Recognition()).is_claudes, self._chance)
        self._litellm = LitellmKeys(replaying, PLACEHOLDER_KEY)
        self._certificates = LateCertificates(replaying)
        self._keyless = keyless
        self._patches = ExitStack()

    def start(self) -> None:
        """Patch the installed SDK, botocore, what makes pauses of a random length, and the loading of certificates."""
        import anthropic

        for changes in (self._botocore, self._chance, self._litellm, self._certificates):
            changes.start()
            self._patches.callback(changes.stop)

        def patch(target: Any, name: str, new: object) -> None:
            self._patches.enter_context(mock.patch.object(target, name, new))

        for client in (anthropic.Anthropic, anthropic.AsyncAnthropic):
            patch(client, "auth_headers", self._filled(client.__dict__["auth_headers"]))
        # A set, since the SDK exports some classes under two names, and a method patched twice would be wrapped twice.
        for cloud_client in {value for value in vars(anthropic).values() if isinstance(value, type)}:
            if cloud_client.__module__.startswith(_CLOUDS):
                # Only where a class defines the method itself: a subclass inherits the patched one.
                for method in _LOGINS.keys() & cloud_client.__dict__.keys():
                    patch(cloud_client, method, self._skipped(cloud_client.__dict__[method], _LOGINS[method]))
        if (google := getattr(anthropic, "AnthropicGoogleCloud", None)) is not None:
            self._guess_project(google, patch)

    def _guess_project(self, client: Any, patch: Callable[[Any, str, object], None]) -> None:
        """Let a client of Google Cloud whose project is not known yet build URLs with a placeholder in a replay.

        The client keeps nothing of it: the same one may call the API in the next test.
        """
        # The class that defines it, which the sync and the async client share: one patch serves both.
        base = next(base for base in client.__mro__ if "_resolve_deferred_base_url" in vars(base))
        state = sys.modules[base.__module__]._GoogleCredentialsState
        load, resolve, place = state.token, base._resolve_deferred_base_url, base._prepare_url

        def token(credentials: Any) -> Any:
            return PLACEHOLDER_KEY if self._replaying() else load(credentials)

        def resolve_base_url(client: Any) -> None:
            if not self._replaying():
                resolve(client)

        def prepare_url(client: Any, url: str) -> Any:
            if self._replaying() and client._base_url_deferred:
                client = copy(client)
                client._project = client._project or UNKNOWN_PROJECT
                resolve(client)
            return place(client, url)

        patch(state, "token", token)
        patch(base, "_resolve_deferred_base_url", resolve_base_url)
        patch(base, "_prepare_url", prepare_url)

    def prove(self) -> None:
        """Make sure that all that is changed is there.

        Raises:
            InterceptionError: a loaded library lacks a name that is needed.
        """
        self._botocore.prove()

    def stop(self) -> None:
        """Leave everything as it was."""
        self._patches.close()

    def _filled(self, original: property) -> property:
        """Return `auth_headers` with a placeholder where a replay finds nothing."""

        def auth_headers(client: Any) -> dict[str, str]:
            assert original.fget is not None
            headers: dict[str, str] = original.fget(client)  # `authorization` in new SDKs, `x-api-key` in old ones
            if headers or not _OWN_HEADERS.isdisjoint(name.lower() for name in client._custom_headers):
                return headers
            if self._replaying():
                return dict(_HEADERS)
            # A client of a cloud signs its requests, and others have a provider of tokens: they need no key here.
            is_of_cloud = any(base.__module__.startswith(_CLOUDS) for base in type(client).__mro__)
            if not is_of_cloud and getattr(client, "_token_cache", None) is None:
                self._keyless()
            return headers

        return property(auth_headers)

    def _skipped(self, original: Callable[..., Any], instead: str | None) -> Callable[..., Any]:
        """Return a login that returns `instead` in a replay. It stays what it was, sync or async."""

        async def answer_async() -> str | None:
            return instead

        @wraps(original)
        def login(*args: Any, **kwargs: Any) -> Any:
            if not self._replaying():
                return original(*args, **kwargs)
            return answer_async() if iscoroutinefunction(original) else instead

        return login

"""What a replay changes inside `botocore`: nothing is signed, and no credentials are looked up.

- A request that a recording answers is not signed, so that no credentials are needed. All others are: a replay may run
  beside calls to other services, and to other models of the same one. Some libraries, such as litellm, call botocore's
  signer themselves.
- A client that finds no credentials asks the machine for its role over the network. A client of Bedrock's that is made
  in a replay asks only when it has to sign.
- The jitter of its back-offs is pinned.

All is changed at once, when `botocore.session` has been imported: it imports the other modules, and no client can be
made without it. So a version that lacks a name is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import wraps
from importlib import import_module
from types import ModuleType
from typing import Any, Final, final
from unittest import mock

from pytest_claude_latency import required_names
from pytest_claude_latency.errors import InterceptionError
from pytest_claude_latency.http.changes.chance import PinnedChance
from pytest_claude_latency.messages_api.exchange import Request
from pytest_claude_latency.virtual_time.patches.import_hook import Watcher, on_import

_SERVICES: Final = frozenset({"bedrock", "bedrock-runtime"})  # langchain-aws makes one of each

_UNSIGNED: ContextVar[bool] = ContextVar("claude_latency_unsigned", default=False)
"""Whether the request that is being signed in this context needs no signature."""

_LAZY: ContextVar[bool] = ContextVar("claude_latency_lazy_credentials", default=False)
"""Whether what looks for credentials in this context can do without them."""


@final
class BotocorePatches:
    """The changes. They are made when botocore is imported, and are in force while `replaying()` is true.

    `is_claudes` says of a request whether a recording has to answer it.
    """

    def __init__(
        self, replaying: Callable[[], bool], is_claudes: Callable[[Request], bool], chance: PinnedChance
    ) -> None:
        self._replaying = replaying
        self._is_claudes = is_claudes
        self._chance = chance
        self._unsupported: InterceptionError | None = None
        self._patches = ExitStack()
        self._watcher: Watcher | None = None

    def start(self) -> None:
        """Patch botocore and aiobotocore if they are loaded, and otherwise as soon as they are."""
        self._watcher = on_import({"botocore.session": self._patch, "aiobotocore.session": self._patch_async})

    def prove(self) -> None:
        """Make sure that a botocore that is loaded has all that is changed.

        Raises:
            InterceptionError: it lacks a name that is needed; nothing of it was patched.
        """
        if self._unsupported is not None:
            raise self._unsupported

    def stop(self) -> None:
        """Leave botocore as it was."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None
        self._unsupported = None
        self._patches.close()

    def _patch(self, session: ModuleType) -> None:
        if not self._has_all("botocore"):
            return

        def create_client(original: Any, session: Any, service_name: str, *args: Any, **kwargs: Any) -> Any:
            had_credentials = session._credentials is not None
            try:
                # Only while a client is made that may call Claude: all others look their login up as they always do.
                with lazy_credentials(service_name in _SERVICES and self._replaying()):
                    return original(session, service_name, *args, **kwargs)
            finally:
                if not had_credentials and isinstance(session._credentials, _lazy_kind()):
                    session._credentials = None  # another client, or the program, asks for itself

        # Only a machine of AWS answers at the address of the metadata service. Elsewhere it takes seconds to find out.
        def load(original: Any, provider: Any) -> Any:
            if not _LAZY.get():
                return original(provider)
            return _lazy_kind()(provider._role_fetcher.retrieve_iam_role_credentials, provider.METHOD)

        def add_auth(original: Any, auth: Any, request: Any) -> None:
            if not (self._replaying() and self._is_claudes(_as_request(request))):
                original(auth, request)

        self._sign_nothing(import_module("botocore.signers"))
        self._wrap(import_module("botocore.auth").SigV4Auth, "add_auth", add_auth)
        self._wrap(import_module("botocore.credentials").InstanceMetadataProvider, "load", load)
        self._wrap(session.Session, "create_client", create_client)
        self._chance.pin_botocore(self._patches)

    def _patch_async(self, session: ModuleType) -> None:
        if not self._has_all("aiobotocore"):
            return
        credentials = import_module("aiobotocore.credentials")

        async def create_client(original: Any, session: Any, service_name: str, *args: Any, **kwargs: Any) -> Any:
            had_credentials = session._credentials is not None
            try:
                with lazy_credentials(service_name in _SERVICES and self._replaying()):
                    return await original(session, service_name, *args, **kwargs)
            finally:
                if not had_credentials and isinstance(session._credentials, _lazy_kind()):
                    session._credentials = None

        async def load(original: Any, provider: Any) -> Any:
            if not _LAZY.get():
                return await original(provider)
            kind = credentials.AioDeferredRefreshableCredentials
            return kind(provider._role_fetcher.retrieve_iam_role_credentials, provider.METHOD)

        self._sign_nothing_async(import_module("aiobotocore.signers"))
        self._wrap(credentials.AioInstanceMetadataProvider, "load", load)
        self._wrap(session.AioSession, "_create_client", create_client)

    def _has_all(self, package: str) -> bool:
        # This runs while the program imports the library, which must not fail: `prove` says what is missing.
        try:
            required_names.check(package)
        except InterceptionError as error:
            self._unsupported = error
            return False
        return True

    def _wrap(self, target: Any, name: str, wrapper: Callable[..., Any]) -> None:
        """Replace a method by one that calls `wrapper` with the original and its arguments."""
        original = getattr(target, name)

        @wraps(original)
        def wrapped(self_: Any, /, *args: Any, **kwargs: Any) -> Any:
            return wrapper(original, self_, *args, **kwargs)

        self._patches.enter_context(mock.patch.object(target, name, wrapped))

    def _sign_nothing(self, module: ModuleType) -> None:
        unsigned = import_module("botocore").UNSIGNED

        def sign(original: Any, signer: Any, operation_name: str, request: Any, *args: Any, **kwargs: Any) -> Any:
            token = _UNSIGNED.set(self._replaying() and self._is_claudes(_as_request(request)))
            try:
                return original(signer, operation_name, request, *args, **kwargs)
            finally:
                _UNSIGNED.reset(token)

        # `sign` has the request but not the choice of a signer, and this the choice but not the request: hence the
        # context variable between them.
        def choose_signer(original: Any, signer: Any, *args: Any, **kwargs: Any) -> Any:
            return unsigned if _UNSIGNED.get() else original(signer, *args, **kwargs)

        self._wrap(module.RequestSigner, "_choose_signer", choose_signer)
        self._wrap(module.RequestSigner, "sign", sign)

    # aiobotocore overrides the same methods with async ones, which do the same.

    def _sign_nothing_async(self, module: ModuleType) -> None:
        unsigned = import_module("botocore").UNSIGNED

        async def sign(original: Any, signer: Any, operation_name: str, request: Any, *args: Any, **kwargs: Any) -> Any:
            token = _UNSIGNED.set(self._replaying() and self._is_claudes(_as_request(request)))
            try:
                return await original(signer, operation_name, request, *args, **kwargs)
            finally:
                _UNSIGNED.reset(token)

        async def choose_signer(original: Any, signer: Any, *args: Any, **kwargs: Any) -> Any:
            return unsigned if _UNSIGNED.get() else await original(signer, *args, **kwargs)

        self._wrap(module.AioRequestSigner, "_choose_signer", choose_signer)
        self._wrap(module.AioRequestSigner, "sign", sign)


@contextmanager
def lazy_credentials(are_lazy: bool = True) -> Iterator[None]:
    """Surround code that looks for credentials and, if `are_lazy`, can do without those of the machine."""
    token = _LAZY.set(are_lazy)
    try:
        yield
    finally:
        _LAZY.reset(token)


def _lazy_kind() -> Any:
    """Return the class of credentials that are looked up when they are first needed."""
    return import_module("botocore.credentials").DeferredRefreshableCredentials


def _as_request(raw: Any) -> Request:
    """Return a request of botocore, whose body its own clients make as bytes, as a plain value."""
    body = raw.data
    content = body.encode() if isinstance(body, str) else bytes(body) if isinstance(body, bytes | bytearray) else b""
    return Request(raw.method, raw.url, tuple((name, str(value)) for name, value in raw.headers.items()), content)

"""What a replay changes inside litellm: it refuses to send to Anthropic without a key, which a replay does not need.

Nor does it need credentials for Bedrock. litellm looks for them itself, and signs with botocore's signer, which leaves
out what a recording answers (`botocore`). Nor does Claude on Vertex AI need Google's, or a project: litellm would ask
the machine, and Google for a token. Other models there get their own: a replay lets their requests pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import wraps
from importlib import import_module
from inspect import iscoroutinefunction
from types import ModuleType
from typing import Any, final
from unittest import mock

from pytest_claude_latency.http.changes.botocore import lazy_credentials
from pytest_claude_latency.messages_api.endpoints import UNKNOWN_PROJECT
from pytest_claude_latency.virtual_time.patches.import_hook import Watcher, on_import

_VERTEX = "litellm.llms.vertex_ai"
_PARTNERS = f"{_VERTEX}.vertex_ai_partner_models"
"""Where Claude and other models that are not Google's are called."""

_IS_CLAUDES: ContextVar[bool] = ContextVar("claude_latency_litellm_vertex", default=False)
"""Whether what asks for a token of Google in this context is about to call Claude."""


@contextmanager
def _noted(*args: Any, **kwargs: Any) -> Iterator[None]:
    """Surround a call with these arguments, of which the first is the name of the model."""
    token = _IS_CLAUDES.set("claude" in str(kwargs.get("model", args[:1])))
    try:
        yield
    finally:
        _IS_CLAUDES.reset(token)


@final
class LitellmKeys:
    """The changes. They are made when litellm is imported, and are in force while `replaying()` is true."""

    def __init__(self, replaying: Callable[[], bool], placeholder: str) -> None:
        self._replaying = replaying
        self._placeholder = placeholder
        self._patches = ExitStack()
        self._watcher: Watcher | None = None

    def start(self) -> None:
        """Patch litellm if it is loaded, and otherwise as soon as it is."""
        self._watcher = on_import(
            {
                "litellm.llms.anthropic.common_utils": self._fill,
                "litellm.llms.bedrock.base_aws_llm": self._fill_credentials,
                f"{_VERTEX}.vertex_llm_base": self._fill_token,
                f"{_PARTNERS}.main": self._note_model,
                f"{_PARTNERS}.count_tokens.handler": self._note_model,
            }
        )

    def stop(self) -> None:
        """Leave litellm as it was."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None
        self._patches.close()

    def _fill(self, module: ModuleType) -> None:
        models = getattr(module, "AnthropicModelInfo", None)
        find = getattr(models, "get_api_key", None)
        if models is None or find is None:
            return  # a version without it finds the key in another way, or fails with its own error

        @wraps(find)
        def get_api_key(*args: Any, **kwargs: Any) -> Any:
            key = find(*args, **kwargs)
            return self._placeholder if key is None and self._replaying() else key

        self._patches.enter_context(mock.patch.object(models, "get_api_key", staticmethod(get_api_key)))

    def _fill_credentials(self, module: ModuleType) -> None:
        clients = getattr(module, "BaseAWSLLM", None)
        find = getattr(clients, "get_credentials", None)
        if clients is None or find is None:
            return

        @wraps(find)
        def get_credentials(*args: Any, **kwargs: Any) -> Any:
            if not self._replaying():
                return find(*args, **kwargs)
            try:
                with lazy_credentials():
                    found = find(*args, **kwargs)
            except Exception as error:
                # no profile and no role has to be there either
                if not type(error).__module__.startswith("botocore."):
                    raise
                found = None
            made_up = import_module("botocore.credentials").Credentials
            return made_up(self._placeholder, self._placeholder) if found is None else found

        self._patches.enter_context(mock.patch.object(clients, "get_credentials", get_credentials))

    def _fill_token(self, module: ModuleType) -> None:
        for name in ("_ensure_access_token", "_ensure_access_token_async"):
            self._wrap(getattr(module, "VertexBase", None), name, self._token)

    def _token(self, original: Callable[..., Any], client: Any, /, *args: Any, **kwargs: Any) -> Any:
        is_claudes = _IS_CLAUDES.get() or type(client).__module__.startswith(f"{_PARTNERS}.anthropic.")
        if not (is_claudes and self._replaying()):
            return original(client, *args, **kwargs)
        project = kwargs["project_id"] if "project_id" in kwargs else (*args, None, None)[1]
        token = (self._placeholder, project or UNKNOWN_PROJECT)

        async def answer() -> tuple[str, str]:
            return token

        return answer() if iscoroutinefunction(original) else token

    def _note_model(self, module: ModuleType) -> None:
        """Let the functions that know the model say whether it is Claude's: what fetches a token does not know it."""

        async def noted_async(original: Callable[..., Any], client: Any, /, *args: Any, **kwargs: Any) -> Any:
            with _noted(*args, **kwargs):
                return await original(client, *args, **kwargs)

        def noted(original: Callable[..., Any], client: Any, /, *args: Any, **kwargs: Any) -> Any:
            with _noted(*args, **kwargs):
                return original(client, *args, **kwargs)

        self._wrap(getattr(module, "VertexAIPartnerModels", None), "completion", noted)
        counter = getattr(module, "VertexAIPartnerModelsTokenCounter", None)
        self._wrap(counter, "handle_count_tokens_request", noted_async)

    def _wrap(self, target: Any, name: str, wrapper: Callable[..., Any]) -> None:
        """Replace a method by one that calls `wrapper` with the original and its arguments, if it is there."""
        if (original := getattr(target, name, None)) is None:
            return

        @wraps(original)
        def wrapped(self_: Any, /, *args: Any, **kwargs: Any) -> Any:
            return wrapper(original, self_, *args, **kwargs)

        self._patches.enter_context(mock.patch.object(target, name, wrapped))

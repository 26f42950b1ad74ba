"""What a replay changes inside litellm: it refuses to send to Anthropic without a key, which a replay does not need.

Nor does it need credentials for Bedrock. litellm looks for them itself, and signs with botocore's signer, which leaves
out what a recording answers (`botocore`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from importlib import import_module
from types import ModuleType
from typing import Any, final
from unittest import mock

from pytest_claude_latency.http.changes.botocore import lazy_credentials
from pytest_claude_latency.virtual_time.patches.import_hook import Watcher, on_import


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

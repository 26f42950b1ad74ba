"""The suite of a user, for tests that run pytest."""

from __future__ import annotations

import concurrent.futures.process  # as below
import concurrent.futures.thread  # noqa: F401  # as below
import multiprocessing.pool  # noqa: F401  # as below
from importlib import import_module

import anthropic  # noqa: F401  # loaded here, since each run in this process restores the modules, and would load it again
import anyio._backends._asyncio  # noqa: F401  # as above
import hypothesis  # noqa: F401  # as above
import pytest
import respx  # noqa: F401  # as above

from pytest_claude_latency.http.library import HTTPLibrary
from tests.plugin.suite import Suite
from tests.support.claude_server import ClaudeServer

# As above. A second copy would raise other exception types.
import_module(HTTPLibrary.of_sdk().name.replace("httpx", "httpcore"))


@pytest.fixture
def with_reruns(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the runs of `pytester` have the plugin for reruns again."""
    monkeypatch.delenv("PYTEST_ADDOPTS")


@pytest.fixture
def suite(pytester: pytest.Pytester, claude_server: ClaudeServer, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Return an empty suite with a server from which it can record."""
    return Suite(pytester, claude_server, monkeypatch)

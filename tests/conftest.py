"""What every test of the project stands on: a clean environment, and the test server for those that ask."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.claude_server import ClaudeServer

# no test depends on how fast the machine is, or on what else it does
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# for further environments: what differs there is the machine's software, which any example meets
settings.register_profile("again", settings.get_profile("any machine"), max_examples=15)
settings.load_profile(os.environ.get("PROPERTY_TESTS", "any machine"))

# nothing here speaks TLS, and each client that loads the machine's certificates takes 60 ms for it
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)
os.environ.pop("SSL_CERT_FILE", None)


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own key, gateway, proxy or CI must not decide what a test does."""
    for name in os.environ:
        if name.startswith("ANTHROPIC_") or name.lower().endswith("_proxy") or name == "CI":
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_bytecode_of_test_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is written twice within a second, at the same length, would be run as it was first."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


@pytest.fixture
def claude_server() -> Iterator[ClaudeServer]:
    """A server on 127.0.0.1 that speaks the Messages API; `claude_server.url` is a base URL for the SDK."""
    with ClaudeServer() as server:
        yield server

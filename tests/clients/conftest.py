"""The suite of a user who works with a client library, for tests that record and replay it."""

from __future__ import annotations

import pytest

from tests.clients.client_suite import ClientSuite
from tests.plugin.suite import Suite
from tests.support.claude_server import ClaudeServer


@pytest.fixture
def clients(pytester: pytest.Pytester, claude_server: ClaudeServer, monkeypatch: pytest.MonkeyPatch) -> ClientSuite:
    """Return an empty suite on a machine that has no credentials of any cloud."""
    # In a process of its own: these libraries are large, and many cannot be imported a second time.
    monkeypatch.setattr(pytester, "runpytest", pytester.runpytest_subprocess)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.setenv(name, str(pytester.path / "none"))
    monkeypatch.setenv("COLUMNS", "300")  # so that no warning is wrapped
    monkeypatch.setenv("HOME", str(pytester.path))
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or litellm fetches its table of prices
    return ClientSuite(Suite(pytester, claude_server, monkeypatch))

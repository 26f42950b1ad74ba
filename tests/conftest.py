"""Settings and fixtures for every test: a clean environment, and the test server."""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio.plugin  # loaded here: each run inside a test would load it again
from hypothesis import HealthCheck, settings

import pytest_claude_latency
from tests.support import inner_runs
from tests.support.claude_server import ClaudeServer

# No test may depend on how fast the machine is, or on what else it does
settings.register_profile("thorough", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# What one waits for: enough to see what a change broke. The session `slow` of noxfile.py tries the full number
settings.register_profile("usual", settings.get_profile("thorough"), max_examples=40)
# For runs with another Python or SDK: only the software differs there, and every example uses it, so a few are enough
settings.register_profile("again", settings.get_profile("thorough"), max_examples=15)
settings.load_profile(os.environ.get("PROPERTY_TESTS", "usual"))

# No test uses TLS, and each client that loads the certificates of the machine takes 50 ms for it
os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "support" / "no_authority.pem")
os.environ.pop("SSL_CERT_DIR", None)


def pytest_configure(config: pytest.Config) -> None:
    """Load the whole package. pytester forgets what a run imported first, and the next run would compile it again."""
    for module in pkgutil.walk_packages(pytest_claude_latency.__path__, f"{pytest_claude_latency.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    inner_runs.look_once([*config.pluginmanager.get_plugins(), pytest_asyncio.plugin])
    gc.disable()


@pytest.hookimpl(wrapper=True, optionalhook=True)  # xdist may be missing
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Start one worker more than there are processors: for a third of their time, tests wait for what they measure."""
    workers = yield
    return workers if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else workers + 1


def pytest_collection_finish() -> None:
    """Let no collection of garbage look at what is loaded by now: it stays, and is most of what there is."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a test that hangs fail, instead of stopping everything. (The ini key would trouble runs of the examples.)"""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(autouse=True)
def _without_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the key, gateway, proxy, CI and width of the machine: they must not decide what a test does."""
    for name in os.environ:
        if name.startswith("ANTHROPIC_") or name.lower().endswith("_proxy") or name in ("CI", "GITHUB_ACTIONS"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")  # as xdist sets it for its workers


@pytest.fixture(autouse=True)
def _without_bytecode_of_test_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write no bytecode. It is looked up by time and size of the source.

    If a test writes a file twice within a second, with the same length, Python would run the first version again.
    """
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return pytest's own `pytester`, whose runs do without the plugin for reruns.

    Each run would leave a thread and a socket of it behind in this process, and a replay looks at every thread.
    """
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:rerunfailures")
    return pytester


@pytest.fixture
def claude_server() -> Iterator[ClaudeServer]:
    """Start a server on 127.0.0.1 that answers like the Messages API; `claude_server.url` is a base URL for the SDK."""
    with ClaudeServer() as server:
        yield server

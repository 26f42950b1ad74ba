"""Suites that the benchmarks run: tests of one call, each with a recording, and the same tests on a mock transport."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from streams import ASK, URL, recording

from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds
from pytest_claude_latency.http.library import HTTPLibrary
from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange, Request, Response

ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": ASK["model"],
    "content": [{"type": "text", "text": "1, 2, 3"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "output_tokens": 6},
}
_HEAD = f"import anthropic, pytest\n\nASK = {ASK!r}\n"
_TRANSPORT = f"""
import {HTTPLibrary.of_sdk().name} as library

TRANSPORT = library.MockTransport(lambda request: library.Response(200, json={ANSWER!r}))
"""
_CLIENTS = {
    "one": """
OF_MOCK = anthropic.Anthropic(api_key="none", http_client=anthropic.DefaultHttpxClient(transport=TRANSPORT))
OF_TEST = anthropic.Anthropic(api_key="none")

def mocked_client():
    return OF_MOCK

def recorded_client():
    return OF_TEST
""",
    "own": """
def mocked_client():
    return anthropic.Anthropic(api_key="none", http_client=anthropic.DefaultHttpxClient(transport=TRANSPORT))

def recorded_client():
    return anthropic.Anthropic(api_key="none")
""",
    "programs": """
def mocked_client():
    client = recorded_client()
    client._client._transport = TRANSPORT
    client._client._mounts = {}
    return client

def recorded_client():
    return anthropic.Anthropic(api_key="none")
""",
}
_PAIR = """
def test_mocked_{0}():
    client = mocked_client()
    assert client.messages.create(**ASK).content[0].text == "1, 2, 3"


@pytest.mark.latency_budget(total="3s")
def test_recorded_{0}():
    client = recorded_client()
    assert client.messages.create(**ASK).content[0].text == "1, 2, 3"
"""
_NOTING_COSTS = """
import json
from pathlib import Path
from time import process_time_ns  # a test's virtual time does not change it

import pytest

COSTS = {"mocked": [], "recorded": []}


class Costs:
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item):
        before = process_time_ns()
        try:
            return (yield)
        finally:
            COSTS[item.name.split("_")[1]].append(process_time_ns() - before)


def pytest_configure(config):
    config.pluginmanager.register(Costs())


def pytest_unconfigure():
    Path("costs.json").write_text(json.dumps(COSTS))
"""
_RECORDED = """
@pytest.mark.latency_budget(total="3s")
def test_{0}():
    client = anthropic.Anthropic(api_key="none")
    assert client.messages.create(**ASK).content[0].text == "1, 2, 3"
"""


def write_recorded(folder: Path, tests: int, name: str = "") -> Path:
    """Write a module of so many latency tests with their recordings; return it."""
    module = folder / f"test_recorded_{name or tests}.py"
    module.write_text(_HEAD + "".join(_RECORDED.format(number) for number in range(tests)))
    _save_recordings(module, [f"test_{number}" for number in range(tests)])
    return module


def _save_recordings(module: Path, tests: Sequence[str]) -> None:
    made = recording([_exchange()])
    for test in tests:
        path = module.parent / "cassettes" / module.stem / f"{test}.1.jsonl"
        replace(made, test=f"{module.name}::{test}").save(path)


def costs_of_pairs(folder: Path, pairs: int, clients: str) -> dict[str, list[Nanoseconds]]:
    """Run so many pairs of tests, in turn on a mock transport and replayed; return what each cost, by its kind.

    `clients` says which client they use: `one` for all tests of a kind; their `own`, which on the mock transport has
    no context of `ssl`; or that which the program makes (`programs`), in which the mock is put afterwards.
    """
    module = folder / f"test_pairs_{clients}.py"
    pair = "".join(_PAIR.format(number) for number in range(pairs))
    module.write_text(_HEAD + _TRANSPORT + _CLIENTS[clients] + pair)
    (folder / "conftest.py").write_text(_NOTING_COSTS)
    _save_recordings(module, [f"test_recorded_{number}" for number in range(pairs)])
    pytest_seconds(module)
    costs: dict[str, list[Nanoseconds]] = json.loads((folder / "costs.json").read_text())
    return costs


def _exchange() -> Exchange:
    return Exchange(
        sent=0,
        request=Request("POST", URL, (("anthropic-version", "2023-06-01"),), json.dumps(ASK).encode()),
        response=Response(400 * MILLISECOND, 200, (("content-type", "application/json"),)),
        chunks=(Chunk(SECOND, json.dumps(ANSWER).encode()),),
        end=End(SECOND),
    )


def pytest_seconds(module: Path, *arguments: str) -> float:
    """Run pytest on a module, with the plugins that these suites need; return the seconds of processor time."""
    before = _children()
    plugins = ("-p", "respx.plugin", "-p", "pytest_claude_latency.plugin")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugins, *arguments, module.name]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": ""}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=module.parent, check=False)
    if run.returncode not in (0, 5):
        raise SystemExit(run.stdout + run.stderr)
    return _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

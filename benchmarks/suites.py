"""Suites that the benchmarks run: tests of one call, each with a recording, and the same tests on a mock transport."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from streams import ASK, URL, recording

from pytest_claude_latency.duration import MILLISECOND, SECOND
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
_RECORDED_HEAD = """
def new_client():
    return anthropic.Anthropic(api_key="none")
"""
_RECORDED = """
@pytest.mark.latency_budget(total="3s")
def test_{0}():
    client = CLIENT or new_client()
    assert client.messages.create(**ASK).content[0].text == "1, 2, 3"
"""
_MOCKED_HEAD = f"""
import {HTTPLibrary.of_sdk().name} as library

TRANSPORT = library.MockTransport(lambda request: library.Response(200, json={ANSWER!r}))

def new_client():
    return anthropic.Anthropic(api_key="none", http_client=anthropic.DefaultHttpxClient(transport=TRANSPORT))
"""
_MOCKED = """
def test_{0}():
    client = CLIENT or new_client()
    assert client.messages.create(**ASK).content[0].text == "1, 2, 3"
"""


def write_recorded(folder: Path, tests: int, name: str = "", *, one_client: bool = False) -> Path:
    """Write a module of so many latency tests with their recordings; return it.

    Each test makes a client of its own, unless there is `one_client` for all.
    """
    module = folder / f"test_recorded_{name or tests}{'_by_one' * one_client}.py"
    module.write_text(_text(_RECORDED_HEAD, _RECORDED, tests, one_client=one_client))
    made = recording([_exchange()])
    for number in range(tests):
        path = folder / "cassettes" / module.stem / f"test_{number}.1.jsonl"
        replace(made, test=f"{module.name}::test_{number}").save(path)
    return module


def write_mocked(folder: Path, tests: int, *, one_client: bool = False) -> Path:
    """Write a module of so many tests that make the same call on a mock transport; return it."""
    module = folder / f"test_mocked_{tests}{'_by_one' * one_client}.py"
    module.write_text(_text(_MOCKED_HEAD, _MOCKED, tests, one_client=one_client))
    return module


def _text(head: str, test: str, tests: int, *, one_client: bool) -> str:
    client = f"\nCLIENT = {'new_client()' if one_client else None}\n"
    return _HEAD + head + client + "".join(test.format(number) for number in range(tests))


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

"""What a simulation costs: the worlds of a test of three calls, beside plain replays of the same test.

The test runs in pytest as a user runs it: with 1,000 worlds, with none, and as 1,000 samples, which is what as many
plain replays cost. Processor time leaves out what other programs do.

    python benchmarks/simulation_cost.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

WORLDS = 1000
TEST = """
import anthropic
import pytest

CLIENT = anthropic.Anthropic(api_key="none")
ASKED = {"model": "claude-haiku-4-5", "max_tokens": 100}


@pytest.mark.latency_budget(elapsed="9s")
def test_three():
    for prompt in ("one", "two", "three"):
        CLIENT.messages.create(messages=[{"role": "user", "content": prompt}], **ASKED)
"""
RECORD = """
import json, sys
from pathlib import Path
from dataclasses import replace
from pytest_claude_latency import Recording
from pytest_claude_latency.cassettes.recording import save_set
from pytest_claude_latency.messages_api.exchange import Request, canonical
from pytest_claude_latency.simulation.answers import Answer, made_up

def exchange(prompt, sent):
    body = {"messages": [{"role": "user", "content": prompt}], "model": "claude-haiku-4-5", "max_tokens": 100}
    content = canonical(json.dumps(body).encode())
    request = Request("POST", "https://api.anthropic.com/v1/messages", (), content)
    return replace(made_up(request, Answer("Your refund is on its way."), 1), sent=sent)

def recording(sample):
    calls = [exchange(prompt, 2_000_000_000 * place) for place, prompt in enumerate(("one", "two", "three"))]
    return Recording(test="test_it.py::test_three", sample=sample, recorded="2026-11-22T11:30:00.000Z",
                     exchanges=tuple(calls))

recordings = [recording(number) for number in range(1, int(sys.argv[1]) + 1)]
save_set(recordings, Path("test_it.py").resolve(), "cassettes", "test_three")
"""


def seconds_of(folder: Path, *arguments: str) -> float:
    """Return the processor time of a run of pytest."""
    before = os.times()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def recorded(folder: Path, samples: int) -> Path:
    folder.mkdir()
    (folder / "test_it.py").write_text(TEST)
    subprocess.run([sys.executable, "-c", RECORD, str(samples)], cwd=folder, check=True)
    return folder


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        few, many = recorded(Path(name) / "few", 6), recorded(Path(name) / "many", WORLDS)
        start = seconds_of(few, "--latency-samples=1")
        worlds = seconds_of(few, "--latency-samples=1", f"--latency-simulate={WORLDS}") - start
        replays = seconds_of(many) - start
    print(f"{WORLDS:,} worlds   {worlds:6.2f} s   {1000 * worlds / WORLDS:.2f} ms each")
    print(f"{WORLDS:,} replays  {replays:6.2f} s   {1000 * replays / WORLDS:.2f} ms each")


if __name__ == "__main__":
    main()

"""Programs that ask Claude through a client library: recorded, measured, replayed without a network, and closed.

A program is Python source that defines `ask(prompt)`, sync. It sends to `LIVE` while that is set, which is in runs that
record, and otherwise to an address of the API. Its test asks twice: the first time, a library imports, connects and
builds what it needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import pytest

from pytest_claude_latency.cassettes.mismatch import NOTHING_FITS
from tests.plugin.suite import Suite
from tests.support.bedrock_answers import converse, converse_stream, converse_tool_use
from tests.support.chat_answers import chat, chat_tool_use
from tests.support.claude_answers import Answer
from tests.support.claude_messages import text, tool_use
from tests.support.claude_server import Served

TTFB = "60ms"
GAP = "400ms"
"""Long, so that a slow machine measures no event of a stream as the next one."""

_GAP = 0.4
_FILES_KEEP = 2e-6
"""Seconds: recordings keep offsets to the microsecond."""

HELLO = text("Hello wor|ld", ttfb=TTFB, gaps=[GAP, GAP])
TOOL = tool_use("look_up", {"order": 7}, ttfb=TTFB, gaps=[GAP, GAP])
CHAT_HELLO = chat("Hello wor|ld", ttfb=TTFB, gap=GAP)
CHAT_TOOL = chat_tool_use("look_up", {"order": 7}, ttfb=TTFB, gap=GAP)
CONVERSE_HELLO = converse("Hello wor|ld", ttfb=TTFB)
CONVERSE_STREAM_HELLO = converse_stream("Hello wor|ld", ttfb=TTFB, gap=GAP)
CONVERSE_STREAM_TOOL = converse_tool_use("look_up", {"order": 7}, ttfb=TTFB, gap=GAP)

_OFFLINE = """
import os, socket

if not os.environ.get("ANTHROPIC_BASE_URL"):
    def refuse(*args, **kwargs):
        with open("network.txt", "a") as file:
            print(args, file=file)
        raise ConnectionRefusedError("a packet would leave")

    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        setattr(socket, name, refuse)
"""

_HEAD = """
import os
LIVE = os.environ.get("ANTHROPIC_BASE_URL")
"""

_LOOP = """
import asyncio

RUN = asyncio.Runner().run
"""
"""A module for programs whose library keeps its connections: they fail on another event loop, live as in a replay."""

_TEST = """

@pytest.mark.latency_budget(elapsed="60s")
def test_it(claude_latency):
    asked_before = ask("warm up")
    calls_before = len(claude_latency.calls)
    start = time.monotonic()
    answer = ask("PROMPT")
    took = time.monotonic() - start
    first, last = claude_latency.calls[calls_before], claude_latency.calls[-1]
    assert took >= last.sent + last.total - first.sent - 1e-3, "the program's own stopwatch"
    with open("NAME.json", "w") as file:
        json.dump([asked_before, answer], file)
"""

_QUIET = ("-W", "ignore", "-p", "no:asyncio", "-p", "no:trio", "--tb=short")


@dataclass(frozen=True)
class Way:
    """A program, the answers to one `ask` of it, and what has to be measured of its calls."""

    program: str
    answers: Sequence[Answer]
    says: object = "Hello world"
    streamed: bool = False
    stop_reasons: Sequence[str] = ("end_turn",)
    attempts: Sequence[int] = (1,)
    tokens: tuple[int, int] = (12, 8)


@final
class ClientSuite:
    """A suite with a test for each way to ask."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite

    def check(self, begin: str, ways: Mapping[str, Way]) -> None:
        """Record all ways, replay them offline, and replay them with another prompt. `begin` opens each program."""
        self.suite.pytester.makeconftest(_OFFLINE)
        self.suite.pytester.makepyfile(loop=_LOOP)
        ways = {name: ways[name] for name in sorted(ways)}  # as pytest orders the files
        for way in ways.values():
            self.suite.server.answer(*way.answers, *way.answers)

        self._write(begin, ways, "one")
        self.suite.record("-x", *_QUIET).assert_outcomes(passed=len(ways))
        recorded, told = self._calls(ways), self._told(ways)
        left = list(self.suite.server.log)
        for name, way in ways.items():
            served, left = left[: 2 * len(way.answers)], left[2 * len(way.answers) :]
            self._compare_with_the_server(name, recorded[name], served, way)
            assert told[name] == [way.says] * 2
        self.suite.server.close()

        self.suite.replay(*_QUIET).assert_outcomes(passed=len(ways))
        assert self._told(ways) == told
        replayed = self._calls(ways)
        for name, calls in replayed.items():
            for after, before in zip(calls, recorded[name], strict=True):
                _compare_with_the_recording(after, before)
        if any(
            attempts > 1 for way in ways.values() for attempts in way.attempts
        ):  # pauses with jitter, which is pinned
            self.suite.replay(*_QUIET).assert_outcomes(passed=len(ways))
            assert self._calls(ways) == replayed

        self._write(begin, ways, "another")
        closed = self.suite.replay(*_QUIET)
        closed.assert_outcomes(failed=len(ways))
        misses = [line for line in closed.outlines if NOTHING_FITS.format(request="POST") in line]
        assert len(misses) >= len(ways)
        packets = self.suite.path / "network.txt"
        assert not packets.exists(), packets.read_text()

    def _write(self, begin: str, ways: Mapping[str, Way], prompt: str) -> None:
        for name, way in ways.items():
            test = _TEST.replace("PROMPT", prompt).replace("NAME", name)
            self.suite.write("import json\n" + _HEAD + begin + way.program + test, f"test_{name}")

    def _calls(self, ways: Mapping[str, Way]) -> dict[str, list[dict[str, Any]]]:
        return {name: self.suite.calls(f"test_{name}.py::test_it") for name in ways}

    def _told(self, ways: Mapping[str, Way]) -> dict[str, Any]:
        return {name: self.suite.read_json(f"{name}.json") for name in ways}

    @staticmethod
    def _compare_with_the_server(name: str, calls: list[dict[str, Any]], log: Sequence[Served], way: Way) -> None:
        """Make sure that each time is that of the server's write, and not that of the next one."""
        answered = [served for served in log if served.status == 200]
        delays = []
        for call, served in zip(calls, answered, strict=True):
            writes = [write.at / 1e9 for write in served.writes]
            first = writes[1] if call["streamed"] else writes[-1]
            assert first <= call["ttft"], f"{name}: ttft is {call['ttft']}, written at {writes}"
            assert writes[-1] <= call["total"], f"{name}: total is {call['total']}, written at {writes}"
            delays.append(max(call["ttft"] - first, call["total"] - writes[-1]))
        # The quickest call, since the first one imports and builds, and the machine may do something else meanwhile
        assert min(delays) < _GAP or max(way.attempts) > 1, f"{name}: what was measured is late: {delays}"
        for call, reason, attempts in zip(calls, [*way.stop_reasons] * 2, [*way.attempts] * 2, strict=True):
            assert (call["stop_reason"], call["attempts"], call["streamed"]) == (reason, attempts, way.streamed)
            assert (call["prompt_tokens"], call["output_tokens"]) == way.tokens


def _compare_with_the_recording(replayed: dict[str, Any], recorded: dict[str, Any]) -> None:
    if recorded["attempts"] == 1:  # a pause between attempts has jitter live, and none in a replay
        for name in ("ttfb", "ttft", "ttfa", "total", "longest_gap"):
            assert replayed[name] == pytest.approx(recorded[name], abs=_FILES_KEEP), name
    for name in ("model", "streamed", "status", "attempts", "error", "closed", "stop_reason", "output_tokens"):
        assert replayed[name] == recorded[name], name

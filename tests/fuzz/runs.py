"""Whole runs of pytest: over damaged recordings, and while a server or a proxy sends whatever it likes.

Programs of several client libraries ask. What they get is damaged, and the last test gets a sound answer. So each run
must go on to its end, write its reports, and pass that test. What a program met live it must meet in the replay.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, final
from unittest import mock

import brotli  # type: ignore[import-untyped]  # it has no types
import pytest
import zstandard

from tests.fuzz.damage import ODD_VALUES, damaged
from tests.support.aws_frames import exception
from tests.support.claude_answers import Answer, Part, hang_up
from tests.support.claude_messages import text
from tests.support.claude_server import ClaudeServer
from tests.support.other_forms import STOPPED, USAGE, delta

PROGRAMS = """
import asyncio, contextlib
import aiohttp, anthropic, httpx, os, pytest, urllib3

pytestmark = pytest.mark.latency_budget(total="1h")
ASKED = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
HEADERS = {"x-api-key": "k", "anthropic-version": "2023-06-01", "accept-encoding": "gzip, deflate, br, zstd"}
URL = os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages"


@pytest.fixture
def told(record_property):
    @contextlib.contextmanager
    def catching():
        ended = "nothing"
        try:
            yield
        except Exception as error:
            ended = f"{type(error).__module__}.{type(error).__qualname__}"
        record_property("ended", ended)

    return catching()


def test_create(number, told):
    with told:
        with anthropic.Anthropic(max_retries=0, timeout=3) as client:
            client.messages.create(**ASKED)


def test_stream(number, told):
    with told:
        with anthropic.Anthropic(max_retries=0, timeout=3) as client:
            with client.messages.stream(**ASKED) as answer:
                "".join(answer.text_stream)


def test_async_stream(number, told):
    with told:
        async def ask():
            async with anthropic.AsyncAnthropic(max_retries=0, timeout=3) as client:
                async with client.messages.stream(**ASKED) as answer:
                    async for event in answer:
                        pass

        asyncio.run(ask())


def test_httpx(number, told):
    with told:
        with httpx.Client(timeout=3) as client:
            with client.stream("POST", URL, headers=HEADERS, json={**ASKED, "stream": True}) as response:
                b"".join(response.iter_bytes())


def test_aiohttp(number, told):
    with told:
        async def ask():
            limits = aiohttp.ClientTimeout(total=3)
            async with aiohttp.ClientSession(timeout=limits) as session:
                async with session.post(URL, headers=HEADERS, json={**ASKED, "stream": True}) as response:
                    await response.read()

        asyncio.run(ask())


def test_urllib3(number, told):
    with told:
        with urllib3.PoolManager(retries=False, timeout=3) as pool:
            asked = {"headers": HEADERS, "json": {**ASKED, "stream": True}}
            b"".join(pool.request("POST", URL, preload_content=False, **asked).stream(decode_content=True))


def test_sound():
    with anthropic.Anthropic() as client:
        client.messages.create(**{**ASKED, "system": "sound"})


def pytest_generate_tests(metafunc):
    if "number" in metafunc.fixturenames:
        metafunc.parametrize("number", range(2))
"""
REPORTS = ("report.json", "report.html", "report.md", "report.trace.json")
_HEADERS = (
    *(("request-id", "r\xe9q"), ("server-timing", "\xff\x80;dur=x"), ("retry-after", "9" * 400), ("request-id", "")),
    *(("anthropic-ratelimit-requests-limit", "-1e999"), ("content-type", "\xa0"), ("vary", "")),
    *(("x" * 5_000, "y"), ("content-encoding", "gzip, br"), ("content-encoding", "x"), ("date", "\x7f")),
    *(("server-timing", "::error::x"), ("content-type", "text/event-stream; charset=utf-16"), ("connection", "close")),
    *(("transfer-encoding", "gzip"), ("set-cookie", "\x00"), ("content-type", "application/json; charset=x\xe9")),
)
_TYPES = ("text/event-stream", "application/json", "application/vnd.amazon.eventstream", "text/html; charset=latin-1")
_STATUSES = (*[200] * 8, 204, 302, 304, 400, 404, 413, 429, 500, 503, 529, 999)
_PACKERS = (("gzip", gzip.compress), ("br", brotli.compress), ("zstd", zstandard.compress))
_WITHOUT_BODY = (204, 304)


@final
class Runs:
    """Runs of one suite in `folder`, which must not be there yet."""

    def __init__(self, folder: Path, chance: random.Random, server: ClaudeServer) -> None:
        self._folder, self._chance = folder, chance
        folder.mkdir()
        (folder / "tox.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
        (folder / "test_it.py").write_text(PROGRAMS)
        self._environment = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "k"}
        server.answers(lambda request: text("Hello") if b"sound" in request.content else damaged_answer(chance))
        self._recordings: dict[Path, bytes] = {}

    def wire(self) -> list[str]:
        """Record what damaged answers a server sends, replay it, and return what is wrong."""
        for path in self.files():
            path.unlink()
        faults, live = self._run("--latency-mode=record")
        more, replayed = self._run("--latency-budget", *(f"--latency-report={name}" for name in REPORTS))
        differences = [name for name in live if replayed.get(name) != live[name]]
        return [*faults, *more, *(f"{name}: live {live[name]}, replayed {replayed.get(name)}" for name in differences)]

    def recordings(self) -> list[str]:
        """Replay damaged recordings, and return what is wrong."""
        if not self._recordings:
            self._run("--latency-mode=record")
            self._recordings = {path: path.read_bytes() for path in self.files()}
        for path, content in self._recordings.items():
            path.write_bytes(content if "sound" in path.name else damaged(content, self._chance))
        return self._run("--latency-budget", *(f"--latency-report={name}" for name in REPORTS))[0]

    def files(self) -> list[Path]:
        """Return the recordings as they are now."""
        return sorted(self._folder.rglob("*.jsonl"))

    def _run(self, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """Return what is wrong with a run, and how each test ended."""
        seen, out = _Seen(), io.StringIO()
        for name in REPORTS:
            (self._folder / name).unlink(missing_ok=True)
        plain = ("-p", "no:cacheprovider", "--import-mode=importlib", f"--rootdir={self._folder}", "-q")
        within = (chdir(self._folder), mock.patch.dict(os.environ, self._environment))
        with within[0], within[1], redirect_stdout(out), redirect_stderr(out):
            status = pytest.main([*plain, *arguments, "test_it.py"], plugins=[seen])
        sys.modules.pop("test_it", None)  # other runs of this process have a module of that name
        faults, told = list(seen.faults), out.getvalue()
        if status not in (0, 1) or "INTERNALERROR" in told:
            faults.append(f"status {status}: {told[-9_000:]}")
        faults += [f"it said: {line}" for line in told.splitlines() if "PytestUn" in line]
        if seen.ended.get("test_sound") != "passed":
            faults.append(f"the sound test: {seen.ended.get('test_sound')}")
        reports = [argument.partition("=")[2] for argument in arguments if argument.startswith("--latency-report=")]
        faults += [f"{name} was not written" for name in reports if not (self._folder / name).exists()]
        return faults, seen.ended


def damaged_answer(chance: random.Random) -> Answer:
    """Return an answer that is damaged most of the time, in some encoding."""
    if chance.random() < 0.02:
        return hang_up(reset=chance.random() < 0.5)
    status = chance.choice(_STATUSES)
    body = b"" if status in _WITHOUT_BODY else chance.choice(_bodies(chance))
    body = damaged(body, chance) if body and chance.random() < 0.7 else body
    headers: list[tuple[str, str]] = [("content-type", chance.choice(_TYPES))]
    if body and chance.random() < 0.5:
        name, pack = chance.choice(_PACKERS)
        body, headers = pack(body), [*headers, ("content-encoding", name)]
        body = damaged(body, chance) if chance.random() < 0.3 else body
    if chance.random() < 0.5:
        headers = [chance.choice(_HEADERS), *headers]
    size = max(1, len(body) // chance.randint(1, 6))
    parts = tuple(Part(body[at : at + size], gap=1) for at in range(0, len(body), size))
    ending: Any = chance.choice(("complete",) * 6 + ("close", "reset"))
    return Answer(status, tuple(headers), parts=parts, ending=ending, chunked=chance.random() < 0.7)


def _bodies(chance: random.Random) -> list[bytes]:
    """Return sound bodies: events, a message, frames of Bedrock, and an error with an odd text."""
    sound = text("Hello |wor|ld")
    refused = exception("throttlingException", "Too many")
    frames = b"".join([delta(text="Hel"), delta(text="lo"), STOPPED, USAGE, refused])
    odd = {"type": "x", "message": str(chance.choice(ODD_VALUES))[:500]}
    message = sound.unstreamed.body if sound.unstreamed is not None else b""
    return [sound.body, sound.body, message, frames, json.dumps({"type": "error", "error": odd}).encode(), b""]


@final
class _Seen:
    """How each test of a run ended, and errors that came from within this package and are not of its own."""

    def __init__(self) -> None:
        self.ended: dict[str, str] = {}
        self.faults: list[str] = []

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        outcome = yield
        report = outcome.get_result()
        if call.excinfo is not None:
            kind, last = call.excinfo.type, call.excinfo.traceback[-1]
            self.ended[item.name] = (
                f"{call.when} {kind.__module__}.{kind.__qualname__}: {str(call.excinfo.value)[:300]}"
            )
            is_ours = "pytest_claude_latency" in str(last.path)
            # a miss is a failure of pytest, and errors of the system are what programs expect
            if is_ours and kind.__module__ == "builtins" and not issubclass(kind, (OSError, pytest.fail.Exception)):
                self.faults.append(f"{item.name}: {call.excinfo.getrepr(style='short')}")
        elif report.failed:
            self.ended[item.name] = "failed"
        elif call.when == "call":
            told = dict(report.user_properties).get("ended", "passed")
            self.ended.setdefault(item.name, str(told))

"""A user's test suite, recorded from the test server and replayed without it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, final

import pytest

from pytest_claude_latency.errors import NotUnderstoodError
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.exchange import Request
from tests.support.claude_answers import Answer
from tests.support.claude_messages import text
from tests.support.claude_server import ClaudeServer
from tests.support.report_schema import assert_fits
from tests.support.wide_lines import too_wide_in_sections

APP = """
import json, pathlib
import anthropic

ASKED = {"model": "claude-haiku-4-5", "max_tokens": 100}


def messages(prompt):
    return [{"role": "user", "content": prompt}]


def ask(prompt="hi", client=None, **more):
    if client is None:
        with anthropic.Anthropic() as client:
            return ask(prompt, client, **more)
    return client.messages.create(messages=messages(prompt), **{**ASKED, **more}).content[0].text


def stream(prompt="hi", client=None, **more):
    if client is None:
        with anthropic.Anthropic() as client:
            return stream(prompt, client, **more)
    with client.messages.stream(messages=messages(prompt), **{**ASKED, **more}) as answer:
        return "".join(answer.text_stream)


async def aask(prompt="hi", client=None, **more):
    if client is None:
        async with anthropic.AsyncAnthropic() as client:
            return await aask(prompt, client, **more)
    return (await client.messages.create(messages=messages(prompt), **{**ASKED, **more})).content[0].text


async def astream(prompt="hi", client=None, **more):
    if client is None:
        async with anthropic.AsyncAnthropic() as client:
            return await astream(prompt, client, **more)
    async with client.messages.stream(messages=messages(prompt), **{**ASKED, **more}) as answer:
        return "".join([text async for text in answer.text_stream])


def save_result(value):
    pathlib.Path("result.json").write_text(json.dumps(value))
"""

HEADER = """
import asyncio, time, unittest
import anthropic, pytest
from app import ask, stream, aask, astream, messages, save_result
"""


def as_shown(problem: str, origin: str = "") -> list[str]:
    """Return the lines, or patterns of lines, that a terminal shows of what is not understood."""
    return NotUnderstoodError(problem, origin).in_lines().split("\n")


class _Run(NamedTuple):
    """A run that several tests begin with: its result, the files after it, and how many queued answers it took."""

    result: pytest.RunResult
    files: dict[str, bytes]
    answers: int


_RUNS: dict[object, _Run] = {}


def whole_lines(result: pytest.RunResult, *, of_errors: bool = False) -> pytest.LineMatcher:
    """Return what a run printed, or what it said of errors, with texts that were wrapped in one line again."""
    wholes: list[str] = []
    before = ""
    for line in result.errlines if of_errors else result.outlines:
        text = line.lstrip()
        has_no_room = len(before) + 1 + len(text.partition(" ")[0]) > 79
        is_column = before.startswith(("  budget ", "  measured ")) and line[:12].isspace()
        is_typed = before.endswith(":") and text.startswith("pytest -")
        is_labelled = re.match(r"  \S.{7}  \S|  called by |  recording \S*/", line)
        if line.startswith(" ") and text and not is_labelled and (has_no_room or is_column or is_typed):
            wholes[-1] = " ".join([wholes[-1].removesuffix(" \\"), text])
        else:
            wholes.append(line)
        before = line
    return pytest.LineMatcher(wholes)


@final
class Suite:
    """The files of a user, and runs of pytest on them. `record` uses `server`; `replay` has no key and no server."""

    def __init__(self, pytester: pytest.Pytester, server: ClaudeServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester = pytester
        self.server = server
        self._monkeypatch = monkeypatch
        pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
        pytester.makepyfile(app=APP)
        server.answers(_usual_answer)

    @property
    def path(self) -> Path:
        """Return the rootdir of the suite."""
        return self.pytester.path

    def write(self, source: str, name: str = "test_it") -> None:
        """Write a test file that imports the functions of `app`."""
        (self.path / f"{name}.py").write_text(HEADER + source, encoding="utf-8")

    def ini(self, *lines: str) -> None:
        """Add lines to the ini file."""
        path = self.path / "tox.ini"
        path.write_text("\n".join([path.read_text(), *lines, ""]), encoding="utf-8")

    def run(
        self, *args: str, key: str | None = None, base_url: str | None = None, report: str | None = "report.json"
    ) -> pytest.RunResult:
        """Run pytest in this process; the file `report` gets its JSON report."""
        with self._monkeypatch.context() as patch:
            for name, value in {"ANTHROPIC_API_KEY": key, "ANTHROPIC_BASE_URL": base_url}.items():
                if value is not None:
                    patch.setenv(name, value)
            reports = [] if report is None else [f"--latency-report={report}"]
            result = self.pytester.runpytest("-p", "no:cacheprovider", *reports, *args)
        assert too_wide_in_sections(result.outlines) == []
        return result

    def record(self, *args: str, mode: str = "record", report: str | None = "report.json") -> pytest.RunResult:
        """Record from the test server."""
        mode = f"--latency-mode={mode}"
        return self.run(mode, *args, key="a-key-for-tests", base_url=self.server.url, report=report)

    def once(self, run: Callable[..., pytest.RunResult], *args: str) -> pytest.RunResult:
        """Return what `run(*args)` returns, of `record` or `replay`: tests that begin with the same run share it.

        The second test gets the files of the first: the run would write the same ones, up to some milliseconds. It is
        the same run if it finds the same files and the same answers, of a server that has served nothing yet.
        """
        answers = self.server.planned
        assert not self.server.log or run == self.replay, "what was answered before may decide what is answered next"
        key = run.__name__, args, answers, frozenset(self._files().items())
        if key not in _RUNS:
            result = run(*args)
            _RUNS[key] = _Run(result, self._files(), len(answers.queued) - len(self.server.planned.queued))
            return result
        for name, content in _RUNS[key].files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self.server.drop(_RUNS[key].answers)
        return _RUNS[key].result

    def _files(self) -> dict[str, bytes]:
        files = (path for path in self.path.rglob("*") if path.is_file())
        return {path.relative_to(self.path).as_posix(): path.read_bytes() for path in files}

    def replay(self, *args: str) -> pytest.RunResult:
        """Replay and judge: no key, no server, the API's own address."""
        return self.run("--latency-budget", *args)

    @property
    def report(self) -> dict[str, Any]:
        """Return the JSON report of the last run."""
        report: dict[str, Any] = json.loads((self.path / "report.json").read_text())
        assert_fits(report)
        return report

    def test(self, name: str) -> dict[str, Any]:
        """Return what the last run reports about the only test whose id ends in `name`."""
        (entry,) = [test for test in self.report["tests"] if test["nodeid"].endswith(name)]
        return entry  # type: ignore[no-any-return]  # JSON

    def calls(self, name: str) -> list[dict[str, Any]]:
        """Return the calls of that test."""
        return self.test(name)["calls"]  # type: ignore[no-any-return]  # JSON

    @property
    def saved_result(self) -> Any:
        """Return the value that the last test passed to `save_result`."""
        return self.read_json("result.json")

    def read_json(self, name: str) -> Any:
        """Return what is in a JSON file of the suite."""
        return json.loads((self.path / name).read_text())

    def recordings(self) -> list[str]:
        """Return the files of all recordings, relative to rootdir."""
        return sorted(path.relative_to(self.path).as_posix() for path in self.path.rglob("*.jsonl"))


def _usual_answer(request: Request) -> Answer | None:
    """Return the answer for tests that do not choose one; `None` leaves requests without a prompt to the server."""
    return text("Hello wor|ld", ttfb="5ms", gaps=["2ms", "3ms"]) if is_prompt_call(request) else None

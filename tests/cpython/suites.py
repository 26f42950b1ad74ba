"""Runs CPython's suites, each in a process of its own, on the machine's clock or in a world."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

SUITES = (
    *(
        f"test.test_asyncio.test_{name}"
        for name in (
            "base_events",
            "buffered_proto",
            "context",
            "eager_task_factory",
            "events",
            "free_threading",
            "futures",
            "futures2",
            "locks",
            "pep492",
            "protocols",
            "queues",
            "runners",
            "selector_events",
            "sendfile",
            "server",
            "sock_lowlevel",
            "ssl",
            "sslproto",
            "staggered",
            "streams",
            "subprocess",
            "taskgroups",
            "tasks",
            "threads",
            "timeouts",
            "transports",
            "unix_events",
            "waitfor",
        )
    ),
    *(
        f"test.test_concurrent_futures.test_{name}"
        for name in ("as_completed", "future", "init", "shutdown", "thread_pool", "wait")
    ),
    "test.test_asyncgen",
    "test.test_contextlib_async",
    "test.test_queue",
    "test.test_sched",
    "test.test_select",
    "test.test_selectors",
    "test.test_signal",
    "test.test_socketserver",
    "test.test_thread",
    "test.test_threadedtempfile",
    "test.test_threading",
    "test.test_threading_local",
    "test.test_threadsignals",
    "test.test_time",
    "test.test_timeout",
)
SILENCE = 90  # seconds without any test beginning or ending, after which the one that runs counts as hung


@dataclass(frozen=True)
class Ending:
    """How one test ended: `passed`, `skipped`, `failed`, `hung` or `crashed`, and what was said about it."""

    outcome: str
    text: str = ""


def installed_suites() -> tuple[list[str], list[str]]:
    """Return the suites that this interpreter brings, and those that it lacks."""
    found = [suite for suite in SUITES if _is_installed(suite)]
    return found, [suite for suite in SUITES if suite not in found]


def _is_installed(suite: str) -> bool:
    try:
        return find_spec(suite) is not None
    except ModuleNotFoundError:  # the folder of the suite
        return False


def run(suite: str, notes: Path, *, in_a_world: bool, only: Sequence[str] = ()) -> dict[str, Ending]:
    """Run a suite to its end, whatever hangs or crashes in it; return how each of its tests ended.

    `notes` is the file for what happens; `only` names the tests to run, all if there are none.
    """
    notes.unlink(missing_ok=True)
    notes.with_suffix(".only").write_text(json.dumps(only), "utf-8")
    while True:
        code = _run_on(suite, notes, in_a_world)
        endings = _read(notes)
        broken = [test for test, ending in endings.items() if ending.outcome == "begun"]
        if not broken:
            return endings
        how = "hung" if code is None else "crashed"
        output = notes.with_suffix(".txt").read_text("utf-8", "replace")[-4000:]
        with notes.open("a", encoding="utf-8") as file:
            for test in broken:
                file.write(json.dumps({"id": test, "outcome": how, "text": f"exit status {code}\n{output}"}) + "\n")


def _read(notes: Path) -> dict[str, Ending]:
    lines = [json.loads(line) for line in notes.read_text("utf-8").splitlines()] if notes.exists() else []
    return {line["id"]: Ending(line["outcome"], line.get("text", "")) for line in lines}


def _run_on(suite: str, notes: Path, in_a_world: bool) -> int | None:
    """Run what is left of a suite; return the exit status, or None if it was killed because it fell silent."""
    environment = os.environ | {
        "CPYTHON_NOTES": str(notes),
        "CPYTHON_WORLD": "1" if in_a_world else "0",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    ini = notes.parent / "pytest.ini"
    ini.write_text("[pytest]\n")
    # Other plugins have fixtures and limits of their own, which are not to be judged here.
    others = ("asyncio", "trio", "anyio", "cacheprovider", "xdist", "rerunfailures", "timeout", "hypothesispytest")
    chosen = "--latency-budget" if in_a_world else "-pno:claude_latency"
    options = ["-q", "-c", str(ini), "--rootdir", str(notes.parent), "-p", "tests.cpython.judging", chosen]
    options += [f"-pno:{name}" for name in others]
    command = [sys.executable, "-X", "faulthandler", "-m", "pytest", *options, "--pyargs", suite]
    with notes.with_suffix(".txt").open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=notes.parent, stdout=output, stderr=output, start_new_session=True
        )
        try:
            return _ended(process, notes)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # it, and what its tests have left behind


def _ended(process: subprocess.Popen[bytes], notes: Path) -> int | None:
    size, since = -1, time.monotonic()
    while True:
        try:
            return process.wait(0.2)
        except subprocess.TimeoutExpired:
            pass
        now = notes.stat().st_size if notes.exists() else 0
        if now != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > SILENCE:
            return None

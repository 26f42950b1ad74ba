"""Runs that are killed, and runs of which a part is: reports are written, and what was lost is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.plugin.suite import Suite

TWO = """
@pytest.mark.parametrize("number", range(2))
def test_one(claude_latency, number):
    ask(str(number))
"""


@pytest.fixture
def shared(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that takes the place of the machine's for temporary files."""
    folder = tmp_path_factory.mktemp("shared")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


REMOVES = """
import pathlib, shutil, tempfile


@pytest.mark.parametrize("number", range(2))
def test_one(claude_latency, number, request):
    ask(str(number))
    if number == 0 and "sample-2" in request.node.name:
        for folder in pathlib.Path(tempfile.gettempdir()).glob("claude-latency-*"):
            shutil.rmtree(folder)
"""


@pytest.mark.parametrize("fails", ["", "    if number == 1: assert 'sample-2' not in request.node.name\n"])
def test_a_staging_folder_that_somebody_removes_costs_its_own_samples(suite: Suite, shared: Path, fails: str) -> None:
    suite.write(REMOVES + fails)

    result = suite.record("--latency-samples=3", "--latency-report=report.html", "--junitxml=junit.xml")

    text = " ".join(result.stdout.str().split())
    assert "where samples wait for the rest of their set, was removed during the run: the recordings of" in text
    assert "test_it.py::test_one[0]" in text.partition("the recordings of ")[2].partition(" are as they were")[0]
    assert len(suite.report["tests"]) == 6
    assert (suite.path / "report.html").exists()
    assert (suite.path / "junit.xml").exists()
    assert len(suite.recordings()) == (0 if fails else 3)


def test_a_staging_folder_that_is_removed_when_all_is_written_costs_nothing(suite: Suite, shared: Path) -> None:
    suite.write(
        f"""{TWO}
def test_last():
    import pathlib, shutil
    for folder in pathlib.Path({str(shared)!r}).iterdir():
        shutil.rmtree(folder)
"""
    )

    result = suite.record("--latency-samples=2")

    result.assert_outcomes(passed=5)
    result.stdout.no_fnmatch_line("*during the run*")
    assert len(suite.recordings()) == 4


def test_a_staging_folder_without_its_notes_is_passed_over(suite: Suite, shared: Path) -> None:
    suite.write(
        TWO
        + f"""
def test_dies_half_way():
    import pathlib
    for folder in pathlib.Path({str(shared)!r}).glob("claude-latency-*"):
        (folder / "half").mkdir()
"""
    )

    result = suite.record("--latency-samples=2")

    result.assert_outcomes(passed=5)
    assert result.ret == 0
    assert list(shared.iterdir()) == []


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_own_test_and_no_report(suite: Suite, shared: Path) -> None:
    suite.write(
        TWO.replace(
            "    ask", "    if number and os.environ.get('PYTEST_XDIST_WORKER'): os.kill(os.getpid(), 9)\n    ask"
        )
        + "import os"
    )

    result = suite.record("--latency-samples=2", "-n", "2", "--latency-report=report.md", "--junitxml=junit.xml")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*worker * crashed while running *test_one?1-sample-?*"])
    assert {test["nodeid"] for test in suite.report["tests"]} >= {"test_it.py::test_one[0]"}
    assert (suite.path / "report.md").exists()
    assert (suite.path / "junit.xml").exists()
    assert list(shared.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process can handle")
@pytest.mark.parametrize("mode", ["record", "replay"])
def test_a_run_that_is_terminated_cleans_up_and_writes_its_reports(suite: Suite, shared: Path, mode: str) -> None:
    suite.write(TWO)
    suite.record("--latency-samples=2")
    suite.write(
        f"import os{TWO}\ndef test_two(claude_latency):\n    try:\n        print('here', flush=True)\n"
        "        os.read(os.pipe()[0], 1)\n"
        "    except Exception:\n        os.read(os.pipe()[0], 1)\n"  # as the SDK, which asks again
    )
    command = [sys.executable, "-m", "pytest", "-s", f"--latency-mode={mode}", "--latency-samples=2"]
    command += ["--latency-report=report.json", "--junitxml=junit.xml", "-p", "no:cacheprovider"]
    environment = os.environ | {"ANTHROPIC_API_KEY": "a-key-for-tests", "ANTHROPIC_BASE_URL": suite.server.url}
    with subprocess.Popen(command, cwd=suite.path, env=environment, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if "here" in line:
                run.send_signal(signal.SIGTERM)

    assert run.returncode == 128 + signal.SIGTERM
    assert list(shared.iterdir()) == []
    assert len(suite.report["tests"]) >= 4
    assert (suite.path / "junit.xml").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process can handle")
def test_a_run_with_workers_that_is_terminated_cleans_up_and_writes_its_reports(suite: Suite, shared: Path) -> None:
    suite.write(TWO)
    suite.record("--latency-samples=2")
    suite.write(
        f"import os, pathlib{TWO}\ndef test_two(claude_latency):\n"
        "    pathlib.Path('here').touch()\n    os.read(os.pipe()[0], 1)\n"
    )
    # a worker in the middle of a test is killed after this time
    (suite.path / "conftest.py").write_text(
        "from xdist.workermanage import NodeManager\nNodeManager.EXIT_TIMEOUT = 1\n"
    )
    command = [sys.executable, "-m", "pytest", "-n", "2", "--latency-mode=record", "--latency-samples=2", "-v"]
    command += ["--latency-report=report.json", "--junitxml=junit.xml", "-p", "no:cacheprovider"]
    environment = os.environ | {"ANTHROPIC_API_KEY": "a-key-for-tests", "ANTHROPIC_BASE_URL": suite.server.url}
    environment["PYTHONUNBUFFERED"] = "yes"
    with subprocess.Popen(command, cwd=suite.path, env=environment, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        # a worker has tests of its own before it: what it had not begun is nobody's
        told = next((line for line in run.stdout if "PASSED" in line), "")
        while not (suite.path / "here").exists() and run.poll() is None:
            time.sleep(0.05)
        run.send_signal(signal.SIGTERM)
        told += run.stdout.read()

    assert run.returncode == 128 + signal.SIGTERM, told
    assert list(shared.iterdir()) == []
    assert suite.report["tests"]
    assert (suite.path / "junit.xml").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forked children here")
def test_a_forked_child_ends_at_once_when_it_is_terminated(suite: Suite) -> None:
    suite.write(
        """
import multiprocessing

fork = multiprocessing.get_context("fork")


def deaf(pipe):
    while True:
        try:
            pipe.send("here")
            pipe.recv()
        except Exception:  # as a worker of a pool takes whatever its job raises
            pass


def test_it(claude_latency):
    ours, its = fork.Pipe()
    child = fork.Process(target=deaf, args=[its])
    child.start()
    ours.recv()
    child.terminate()
    child.join(20)
    save_result(child.exitcode)
    child.kill()
"""
    )

    suite.run()

    assert suite.saved_result == -signal.SIGTERM

"""What a run that records says of each recording: what was written, or why not, and how to replay it."""

from __future__ import annotations

import re

import pytest

from tests.plugin.suite import Suite, whole_lines
from tests.support.claude_answers import silence


def test_each_recording_is_told_with_its_calls_time_and_size_and_the_command_that_replays_it(suite: Suite) -> None:
    suite.write("def test_a(claude_latency):\n    ask()\n\ndef test_b(claude_latency):\n    ask(), stream()\n")

    result = suite.record()

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "*= claude latency: recordings =*",
            "recorded            samples  calls *time *size",
            "test_it.py::test_a        1      1 *s *B",
            "test_it.py::test_b        1      2 *s *B",
            "2 recordings written",
            "replay them: pytest --latency-budget test_it.py",
        ]
    )
    lines = result.stdout.lines  # those of pytest's own head may be longer
    first = next(number for number, line in enumerate(lines) if "claude latency: recordings" in line)
    assert max(map(len, lines[first:])) <= 80
    size = len((suite.path / "cassettes/test_it/test_a.1.jsonl").read_bytes())
    result.stdout.fnmatch_lines([f"test_it.py::test_a * {size / 1000:.1f} kB" if size >= 1000 else f"* {size} B"])


@pytest.mark.parametrize(
    ("body", "outcome", "reason"),
    [
        ("ask(); assert False", "failed", "the test itself failed"),
        ("ask(); pytest.skip()", "skipped", "the test was skipped"),
        ("ask(); pytest.xfail('known')", "xfailed", "the test failed, as expected"),
    ],
)
def test_a_recording_that_is_not_written_is_told_with_its_reason(
    suite: Suite, body: str, outcome: str, reason: str
) -> None:
    suite.write(f"def test_it(claude_latency):\n    {body}\n")

    first = suite.record()
    suite.write("def test_it(claude_latency):\n    ask()\n")
    suite.record().assert_outcomes(passed=1)
    suite.write(f"def test_it(claude_latency):\n    {body}\n")
    second = suite.record()

    first.assert_outcomes(**{outcome: 1})
    whole_lines(first).fnmatch_lines([f"not written: test_it.py::test_it: {reason}", "0 recordings written, 1 not"])
    whole_lines(second).fnmatch_lines([f"not written: test_it.py::test_it: {reason}; the previous recording stays"])
    if outcome == "failed":
        first.stdout.fnmatch_lines(["*- claude latency -*", "not recorded: the test itself failed"])


def test_a_broken_budget_does_not_keep_a_recording_from_being_written(suite: Suite) -> None:
    suite.write('@pytest.mark.latency_budget(ttft="1ms")\ndef test_it():\n    ask()\n')

    result = suite.record("--latency-budget")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["1 recording written"])
    result.stdout.no_fnmatch_line("*not recorded*")


def test_samples_are_one_line_and_only_what_was_written_counts(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    ask()\n\ndef test_silent(claude_latency):\n    pass\n")

    result = suite.record("--latency-samples=3")

    result.stdout.fnmatch_lines(["test_it.py::test_it        3      3 *", "3 recordings written"])
    result.stdout.no_fnmatch_line("*test_silent *s *B")
    suite.replay().stdout.no_fnmatch_line("*claude latency: recordings*")


def test_what_record_missing_replays_is_not_told(suite: Suite) -> None:
    suite.write("def test_a(claude_latency):\n    ask()\n")
    suite.record()
    suite.write("def test_a(claude_latency):\n    ask()\n\ndef test_b(claude_latency):\n    ask()\n")

    result = suite.record(mode="record-missing")

    result.stdout.fnmatch_lines(["test_it.py::test_b * kB", "1 recording written"])
    result.stdout.no_fnmatch_line("test_it.py::test_a * kB")


OF_FIXTURES = """
@pytest.fixture(scope="module")
def asked():
    ask("one")
    yield ask("two")


def test_it(asked, claude_latency):
    pass


def test_again(asked, claude_latency):
    ask()
"""


@pytest.mark.parametrize("workers", [(), pytest.param(("-n", "2"), marks=pytest.mark.slow)], ids=["alone", "workers"])
def test_the_recordings_of_wider_fixtures_are_told_too(suite: Suite, workers: tuple[str, ...]) -> None:
    suite.write(OF_FIXTURES)

    result = suite.record(*workers)

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "recorded                   samples  calls *time *size",
            "test_it.py::test_again           1      1 *s *B",
            "test_it.py::@module.asked        1      2 *s *B",
            "2 recordings written",
            "replay them: pytest --latency-budget test_it.py",
        ]
    )


IMPATIENT = """
import asyncio

async def busy():
    await asyncio.sleep(0.05)
    {hold}

async def main():
    async with anthropic.AsyncAnthropic(max_retries=0) as client:
        try:
            await asyncio.gather(busy(), asyncio.wait_for(aask('hi', client), {limit}))
        except TimeoutError:
            pass

def test_it(claude_latency):
    asyncio.run(main())
"""
COMPUTING = "until = time.perf_counter() + 0.4\n    while time.perf_counter() < until: pass"


def test_a_recording_whose_time_out_hung_on_the_programs_own_computing_says_so_at_once(suite: Suite) -> None:
    suite.write(IMPATIENT.format(hold=COMPUTING, limit=0.2))
    suite.server.answer(silence())

    result = suite.record()

    result.assert_outcomes(passed=1)
    told = " ".join(result.stdout.str().split())
    assert "warning: test_it.py::test_it: its recording may not replay: request 1 was given up after" in told
    assert re.search(r"held the event loop for [\d.]+m?s", told)


@pytest.mark.parametrize(
    ("hold", "limit"), [("pass", 0.2), ("time.sleep(0.4)", 0.2), (COMPUTING, 0.9)], ids=["nothing", "a sleep", "before"]
)
def test_a_recording_whose_time_out_fires_in_a_replay_too_is_not_doubted(suite: Suite, hold: str, limit: float) -> None:
    suite.write(IMPATIENT.format(hold=hold, limit=limit))
    suite.server.answer(silence())

    result = suite.record()

    result.assert_outcomes(passed=1)
    assert "may not replay" not in " ".join(result.stdout.str().split())

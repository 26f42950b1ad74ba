"""The option `--latency-simulate`: tests in worlds whose times are redrawn."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from pytest_claude_latency.cassettes.recording import Recording, save_set
from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.messages_api.exchange import Exchange, canonical
from pytest_claude_latency.run.worlds import simulated_test
from tests.plugin.suite import Suite
from tests.support.written_calls import asked, streamed, usage, whole

BODY = {"model": "claude-haiku-4-5", "max_tokens": 100}


def exchange(first: float, sent: float = 0, prompt: str = "hi", *, gap: float = 20) -> Exchange:
    """A streamed call as `app.stream(prompt)` sends it."""
    pieces = tuple((first + gap * piece, "text", "word ") for piece in range(5))
    made = streamed(asked(prompt, **BODY), pieces, sent=sent, headers=first / 2, used=usage(30, 5))
    body = {"messages": made.request.json["messages"], **BODY, "stream": True}
    return replace(made, request=replace(made.request, content=canonical(json.dumps(body).encode())))


def record(suite: Suite, firsts: Sequence[tuple[float, ...]], test: str = "test_it") -> None:
    """Write a recording for each of these samples: calls one after the other, each with its time to the first token."""
    recordings = []
    for number, times in enumerate(firsts, 1):
        exchanges: list[Exchange] = []
        for first in times:
            sent = exchanges[-1].sent + exchanges[-1].end.at if exchanges and exchanges[-1].end else 0
            exchanges.append(replace(exchange(first), sent=sent))
        recordings.append(
            Recording(
                test=f"test_it.py::{test}",
                sample=number,
                recorded="2026-11-22T11:30:00.000Z",
                client="anthropic 2.12.0",
                exchanges=tuple(exchanges),
            )
        )
    save_set(recordings, suite.path / "test_it.py", "cassettes", test)


def lognormal(count: int, calls: int = 1, *, seed: int = 1) -> list[tuple[float, ...]]:
    random = Random(seed)
    return [tuple(round(400 * random.lognormvariate(0, 0.4)) for _ in range(calls)) for _ in range(count)]


def simulation(suite: Suite) -> dict[str, Any]:
    (found,) = suite.report["simulations"]
    return dict(found)


TWO_CALLS = """
@pytest.mark.latency_budget(elapsed={"p50": "5s"}, ttft="700ms")
def test_it():
    stream()
    stream()
"""


def test_a_test_runs_in_redrawn_worlds_and_all_reports_show_that_marked(suite: Suite) -> None:
    suite.write(TWO_CALLS)
    record(suite, lognormal(8, 2))

    result = suite.replay("--latency-simulate=60", "--latency-report=report.md", "--latency-report=report.html")

    assert simulation(suite)["worlds"] == 60
    assert simulation(suite)["simulated"] is True
    assert simulation(suite)["endings"] == {}
    assert [donor["source"] for donor in simulation(suite)["donors"]] == ["its own samples"] * 2
    assert [donor["count"] for donor in simulation(suite)["donors"]] == [8, 8]
    assert len(suite.report["tests"]) == 8
    result.stdout.fnmatch_lines(["claude latency: 60 simulated worlds of each test, seed 1"])
    result.stdout.fnmatch_lines(["  simulated in 60 worlds (seed 1): ttft p50 *"])
    for name in ("report.md", "report.html"):
        assert "simulated in 60 worlds (seed 1): ttft p50" in (suite.path / name).read_text()


@pytest.mark.parametrize(("is_watched", "every", "told"), [(True, 0, 6), (True, 10 * SECOND, 0), (False, 0, 0)])
def test_a_terminal_that_somebody_watches_is_told_the_progress(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, is_watched: bool, every: int, told: int
) -> None:
    suite.write(TWO_CALLS)
    record(suite, lognormal(8, 2))
    monkeypatch.setattr(simulated_test, "_EVERY", every)
    suite.pytester.makeconftest(
        f"""
        def pytest_sessionstart(session):
            reporter = session.config.pluginmanager.get_plugin("terminalreporter")
            # newer versions of pytest call it
            reporter.isatty = (lambda: {is_watched}) if callable(reporter.isatty) else {is_watched}
        """
    )

    result = suite.replay("--latency-simulate=6")

    lines = re.findall(r"^claude latency: (\d) of 6 worlds of test_it\.py::test_it$", result.stdout.str(), re.MULTILINE)
    assert lines == [str(number) for number in range(1, told + 1)]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_report_to_the_byte_also_under_workers(suite: Suite) -> None:
    suite.write(TWO_CALLS)
    record(suite, lognormal(6, 2))

    reports = []
    for arguments in (["--latency-seed=7"], ["--latency-seed=7"], ["--latency-seed=7", "-n2"], ["--latency-seed=8"]):
        suite.replay("--latency-simulate=8", *arguments)
        reports.append((suite.path / "report.json").read_bytes())

    assert reports[0] == reports[1] == reports[2]
    assert reports[3] != reports[0]


def test_a_percentile_that_recordings_leave_open_is_decided_by_donors_of_the_folder(suite: Suite) -> None:
    suite.write('@pytest.mark.latency_budget(ttft={"p95": "9s"})\ndef test_it():\n    stream()\n')
    record(suite, lognormal(4))
    record(suite, lognormal(60, seed=2), test="test_other")

    result = suite.replay("--latency-simulate=100", "-k", "test_it")

    (verdict,) = suite.report["verdicts"]
    assert (verdict["verdict"], verdict["recorded_verdict"], verdict["simulated"]) == ("kept", "inconclusive", True)
    assert simulation(suite)["donors"][0]["count"] == 64
    result.stdout.fnmatch_lines(["*simulated: ttft p95 *95 % interval * by 64*"])


def test_a_percentile_that_worlds_break_fails_the_run_marked_as_simulated(suite: Suite) -> None:
    suite.write('@pytest.mark.latency_budget(ttft={"p50": "100ms"})\ndef test_it():\n    stream()\n')
    record(suite, lognormal(3))
    record(suite, lognormal(30, seed=2), test="test_other")

    result = suite.replay("--latency-simulate=50", "-k", "test_it")

    assert result.ret == 1
    result.stdout.fnmatch_lines(["*simulated: ttft p50 *: broken"])


def test_few_donors_decide_nothing_however_many_worlds_there_are(suite: Suite) -> None:
    suite.write('@pytest.mark.latency_budget(ttft={"p95": "9s"})\ndef test_it():\n    stream()\n')
    record(suite, lognormal(6))

    result = suite.replay("--latency-simulate=80")

    assert result.ret == 0
    assert suite.report["verdicts"][0]["verdict"] == "inconclusive"


def test_a_profile_is_no_evidence(suite: Suite) -> None:
    suite.write('@pytest.mark.latency_budget(ttft={"p50": "9s"})\ndef test_it():\n    stream()\n')
    record(suite, [(400,)])

    result = suite.replay("--latency-simulate=30")

    assert simulation(suite)["donors"][0]["source"] == "profile"
    assert suite.report["verdicts"][0]["verdict"] == "inconclusive"
    result.stdout.fnmatch_lines(["*the profile of the model*"])


def test_plain_limits_are_judged_on_recordings_and_the_worlds_over_them_are_told_with_the_call(suite: Suite) -> None:
    suite.write('@pytest.mark.latency_budget(elapsed="3s")\ndef test_it():\n    stream()\n    stream()\n')
    record(suite, [(300, 400)] * 5 + [(300, 3000)])  # the tail is the second call's

    result = suite.replay("--latency-simulate=60")

    result.assert_outcomes(passed=5, failed=1)
    (exceeded,) = simulation(suite)["exceeded"]
    assert exceeded["call"] == 2
    assert exceeded["call_worlds"] == exceeded["worlds"] > 3
    result.stdout.fnmatch_lines(["*elapsed<3s is broken in * % of the worlds, by the tail of call"])


def test_function_scoped_fixtures_are_new_in_each_world_and_wider_ones_are_shared(suite: Suite) -> None:
    suite.write(
        """
LOG = []

@pytest.fixture(scope="module")
def wide():
    LOG.append("wide")
    yield
    LOG.append("wide gone")
    save_result(LOG)

@pytest.fixture
def narrow(tmp_path):
    LOG.append("narrow")
    print("printed")
    yield
    LOG.append("narrow gone")

@pytest.mark.latency_budget(ttft="9s")
def test_it(wide, narrow, caplog):
    with caplog.at_level("INFO"):
        stream()
"""
    )
    record(suite, lognormal(5))

    result = suite.replay("--latency-simulate=3", "--latency-samples=1")

    result.assert_outcomes(passed=1)
    assert suite.saved_result == ["wide", *["narrow", "narrow gone"] * 4, "wide gone"]
    assert result.stdout.str().count("printed") == 0


def test_worlds_that_fail_are_counted_and_fail_nothing(suite: Suite) -> None:
    suite.write(
        """
RUNS = []

@pytest.mark.latency_budget(ttft={"p50": "9s"})
def test_it():
    RUNS.append(1)
    stream()
    if len(RUNS) in (2, 3):
        assert False
    if len(RUNS) == 4:
        stream("another")
"""
    )
    record(suite, lognormal(6))

    result = suite.replay("--latency-simulate=10", "--latency-samples=1")

    result.assert_outcomes(passed=1)
    assert simulation(suite)["endings"] == {"failed": 2, "missed": 1}
    # more than a twentieth failed: nothing is concluded
    assert suite.report["verdicts"][0]["verdict"] == "inconclusive"


def test_a_block_is_measured_and_not_judged_in_worlds(suite: Suite) -> None:
    suite.write(
        """
def test_it(claude_latency):
    with claude_latency.budget(ttft="700ms"):
        stream()
"""
    )
    record(suite, [(600,)] + [(900,)] * 9)

    suite.replay("--latency-simulate=20", "--latency-samples=1").assert_outcomes(passed=1)

    # one sample ran, and its one donor of its own is not enough, so the profile lent its times
    assert simulation(suite)["endings"] == {}


def test_async_tests_and_test_cases_are_simulated_too(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.asyncio
@pytest.mark.latency_budget(ttft="9s")
async def test_it():
    assert await astream()

@pytest.mark.latency_budget(ttft="9s")
class TestCase(unittest.TestCase):
    def setUp(self):
        self.ready = True

    def test_case(self):
        assert self.ready and stream()
"""
    )
    record(suite, lognormal(5))
    for number in range(1, 6):
        source = suite.path / f"cassettes/test_it/test_it.{number}.jsonl"
        target = suite.path / f"cassettes/test_it/TestCase.test_case.{number}.jsonl"
        target.write_text(source.read_text().replace("::test_it", "::TestCase::test_case"))

    result = suite.replay("--latency-simulate=4", "--latency-samples=1")

    result.assert_outcomes(passed=2)
    assert [entry["endings"] for entry in suite.report["simulations"]] == [{}, {}]


def test_a_test_that_fails_by_itself_is_not_simulated(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    stream()\n    assert False\n")
    record(suite, lognormal(5))

    result = suite.replay("--latency-simulate=4", "--latency-samples=1")

    assert "simulations" not in suite.report
    result.stdout.fnmatch_lines(["note: *not simulated: it did not run to its end*"])


def test_a_redraw_without_any_donor_is_one_error_before_the_test_runs(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    save_result('ran')\n    stream(model='claude-unknown')\n")
    made = exchange(400)
    body = {**made.request.json, "model": "claude-unknown"}
    made = replace(made, request=replace(made.request, content=canonical(json.dumps(body).encode())))
    recorded = Recording(test="test_it.py::test_it", recorded="2026-11-22T11:30:00.000Z", exchanges=(made,))
    save_set([recorded], suite.path / "test_it.py", "cassettes", "test_it")

    result = suite.replay("--latency-simulate=4")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*call 1 (claude-unknown) has nothing to take its times from*"])
    assert not (suite.path / "result.json").exists()


def test_simulated_times_are_in_no_baseline(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    stream()\n")
    record(suite, lognormal(5))
    suite.replay("--latency-save=plain")
    suite.replay("--latency-save=simulated", "--latency-simulate=9")

    plain, simulated = (
        [line for line in (suite.path / f".latency/{name}.jsonl").read_text().splitlines() if '"saved"' not in line]
        for name in ("plain", "simulated")
    )
    assert plain == simulated


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["--latency-simulate=none"],
            "*--latency-simulate: 'none' is not understood",
        ),
        (["--latency-simulate=0"], "*--latency-simulate: '0' is not understood*"),
        (
            ["--latency-simulate=9", "--latency-seed=soon"],
            "*--latency-seed: 'soon' is not understood",
        ),
        (["--latency-simulate=9", "--latency-mode=live"], "*--latency-simulate needs a replay in virtual time*"),
        (["--latency-simulate=9", "--latency-clock=real"], "*--latency-simulate needs a replay in virtual time*"),
    ],
)
def test_bad_input_is_one_clear_message_before_anything_runs(suite: Suite, arguments: list[str], problem: str) -> None:
    result = suite.replay(*arguments)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([problem])
    assert all(len(line) <= 80 for line in result.errlines)


def test_the_ini_key_is_idle_in_a_live_run(suite: Suite) -> None:
    suite.ini("latency_simulate = 9")
    suite.write("def test_it(claude_latency):\n    stream()\n")

    suite.record().assert_outcomes(passed=1)


def test_calls_that_do_not_stream_are_simulated(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    ask()\n")
    recordings = []
    for number in range(1, 7):
        made = whole(asked("hi", **BODY), at=700 + 50 * number)
        body = {"messages": made.request.json["messages"], **BODY}
        made = replace(made, request=replace(made.request, content=canonical(json.dumps(body).encode())))
        recordings.append(
            Recording(test="test_it.py::test_it", sample=number, recorded="2026-11-22T11:30:00.000Z", exchanges=(made,))
        )
    save_set(recordings, suite.path / "test_it.py", "cassettes", "test_it")

    suite.replay("--latency-simulate=30")

    assert 0.7 < simulation(suite)["metrics"]["total"]["p50"] < 1.05


def test_a_test_without_a_recording_says_that_there_is_nothing_to_simulate(suite: Suite) -> None:
    suite.write('@pytest.mark.latency_answers("Hello")\ndef test_it():\n    stream()\n')

    result = suite.replay("--latency-simulate=4")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["note: *not simulated: it has no recording*"])

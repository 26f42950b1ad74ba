"""`--latency-samples`: a latency test that runs several times, each sample an item of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_claude_latency.run.reporting import cost_estimate
from tests.plugin.suite import Suite, as_shown, whole_lines
from tests.support.claude_messages import text

LABELS = """
def test_one(claude_latency):
    assert ask() == "Hello world"

@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.latency_budget(total="3s")
def test_label(language):
    assert ask(language) == "Hello world"

def test_other():
    pass
"""

ONE = """
def test_one(claude_latency):
    assert ask() == "Hello world"
"""


def files(*tests: str, samples: int) -> list[str]:
    return sorted(f"cassettes/test_it/{test}.{sample}.jsonl" for test in tests for sample in range(1, samples + 1))


def ran(result: pytest.RunResult) -> list[str]:
    """The names of the tests that ran, in their order, as `-v` lists them."""
    words = {"PASSED", "FAILED", "ERROR", "SKIPPED"}
    lines = [line.split() for line in result.outlines if line.startswith("test_it.py::")]
    return [line[0].partition("::")[2] for line in lines if len(line) > 1 and line[1] in words]


# ── items ──


def test_the_sample_is_the_last_parametrization(suite: Suite) -> None:
    suite.write(LABELS)

    result = suite.record("--latency-samples=2", "-v")

    result.assert_outcomes(passed=7)
    assert ran(result) == [
        "test_one[sample-1]",
        "test_one[sample-2]",
        "test_label[en-sample-1]",
        "test_label[en-sample-2]",
        "test_label[de-sample-1]",
        "test_label[de-sample-2]",
        "test_other",
    ]
    assert suite.recordings() == files("test_one", "test_label[en]", "test_label[de]", samples=2)


def test_with_one_sample_test_ids_are_untouched(suite: Suite) -> None:
    suite.write(LABELS)

    result = suite.record("--latency-samples=1", "-v")

    assert ran(result) == ["test_one", "test_label[en]", "test_label[de]", "test_other"]


def test_a_replay_runs_every_recorded_sample(suite: Suite) -> None:
    suite.write(ONE)
    suite.once(suite.record, "--latency-samples=3")

    result = suite.replay("-v")

    assert ran(result) == ["test_one[sample-1]", "test_one[sample-2]", "test_one[sample-3]"]
    assert [(test["nodeid"], test["sample"]) for test in suite.report["tests"]] == [
        ("test_it.py::test_one", sample) for sample in (1, 2, 3)
    ]


def test_each_sample_replays_its_own_recording(suite: Suite) -> None:
    suite.write(ONE)
    suite.server.answer(*(text("Hello wor|ld", ttfb=delay) for delay in ("10ms", "60ms", "30ms")))
    suite.record("--latency-samples=3")
    recorded = [test["calls"][0]["ttfb"] for test in suite.report["tests"]]

    suite.replay()

    assert [test["calls"][0]["ttfb"] for test in suite.report["tests"]] == pytest.approx(recorded, abs=1e-6)
    assert recorded[1] >= 0.06


def test_a_replay_runs_at_most_as_many_samples_as_the_option_says(suite: Suite) -> None:
    suite.write(ONE)
    suite.once(suite.record, "--latency-samples=3")

    fewer = suite.replay("--latency-samples=2", "-v")
    more = suite.replay("--latency-samples=9", "-v")

    assert ran(fewer) == ["test_one[sample-1]", "test_one[sample-2]"]
    assert len(ran(more)) == 3


def test_a_test_without_a_recording_runs_once_and_misses(suite: Suite) -> None:
    suite.write(ONE)

    result = suite.replay("--latency-samples=3", "-v")

    assert ran(result) == ["test_one"]
    result.assert_outcomes(failed=1)


def test_live_runs_take_exactly_the_given_number_of_samples_and_write_nothing(suite: Suite) -> None:
    suite.write(ONE)
    suite.once(suite.record, "--latency-samples=3")
    before = contents(suite)

    result = suite.record("--latency-samples=2", "-v", mode="live")

    assert len(ran(result)) == 2
    assert contents(suite) == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["test_it.py::test_label[en]"], ["test_label[en-sample-1]", "test_label[en-sample-2]"]),
        (["test_it.py::test_label[en-sample-2]"], ["test_label[en-sample-2]"]),
        (["test_it.py::test_one"], ["test_one[sample-1]", "test_one[sample-2]"]),
        (["test_it.py::test_one[sample-1]"], ["test_one[sample-1]"]),
        (["-k", "test_label and de"], ["test_label[de-sample-1]", "test_label[de-sample-2]"]),
        (["-k", "sample-1 and one"], ["test_one[sample-1]"]),
        (["-m", "not latency"], ["test_other"]),
        (
            ["test_it.py::test_label[en]", "test_it.py::test_label[en-sample-2]"],
            ["test_label[en-sample-1]", "test_label[en-sample-2]"],
        ),
    ],
)
def test_samples_are_selected_as_parametrized_tests_are(
    suite: Suite, arguments: list[str], expected: list[str]
) -> None:
    suite.write(LABELS)
    suite.once(suite.record, "--latency-samples=2")

    result = suite.replay("-v", *arguments)

    assert ran(result) == expected
    result.stdout.no_fnmatch_line("*no match in any of*")


def test_pytest_collects_as_many_items_as_it_runs(suite: Suite) -> None:
    suite.write(LABELS)
    suite.once(suite.record, "--latency-samples=2")

    result = suite.replay("test_it.py::test_label[en]")

    result.stdout.fnmatch_lines(["collected 2 items"])


def test_the_command_in_a_message_records_all_samples_of_the_test(suite: Suite) -> None:
    suite.write(LABELS)
    suite.once(suite.record, "--latency-samples=2")
    suite.write(LABELS.replace("ask(language)", "ask(language + '!')"))
    missed = suite.replay("test_it.py::test_label[en]")
    (command,) = {line.split("pytest ")[1] for line in missed.outlines if line.startswith("  record ")}

    assert command == "--latency-mode=record 'test_it.py::test_label[en]'"
    recorded = suite.record("test_it.py::test_label[en]", "--latency-samples=2")
    recorded.assert_outcomes(passed=2)
    suite.replay("test_it.py::test_label[en]").assert_outcomes(passed=2)


def test_failed_samples_are_what_last_failed_reruns(suite: Suite) -> None:
    suite.write(LABELS)
    suite.record("--latency-samples=3")
    file = suite.path / "cassettes/test_it/test_label[en].2.jsonl"
    file.write_text(file.read_text().replace('"en"', '"fr"'))
    suite.pytester.runpytest()

    again = suite.pytester.runpytest("--lf", "-v")

    assert ran(again) == ["test_label[en-sample-2]"]


def test_a_failing_sample_ends_a_run_that_stops_at_the_first_failure(suite: Suite) -> None:
    suite.write(ONE)
    suite.once(suite.record, "--latency-samples=3")
    file = suite.path / "cassettes/test_it/test_one.2.jsonl"
    file.write_text(file.read_text().replace("hi", "ho"))

    result = suite.replay("-x")

    result.assert_outcomes(passed=1, failed=1)


@pytest.mark.slow
def test_workers_collect_and_share_the_samples(suite: Suite) -> None:
    suite.write(LABELS)
    recorded = suite.record("--latency-samples=3", "-n2")
    replayed = suite.replay("-n2")

    recorded.assert_outcomes(passed=10)
    replayed.assert_outcomes(passed=10)
    assert suite.recordings() == files("test_one", "test_label[en]", "test_label[de]", samples=3)
    assert len(suite.report["tests"]) == 9


def test_every_kind_of_test_has_samples(suite: Suite) -> None:
    suite.write("""
pytestmark = pytest.mark.latency_budget(total="3s", calls=1)

class TestPlain:
    seen = []
    def test_method(self):
        TestPlain.seen.append(self)
        assert len(set(map(id, TestPlain.seen))) == len(TestPlain.seen)
        ask()

class TestCase(unittest.TestCase):
    seen = []
    def setUp(self):
        assert not hasattr(self, "asked")
    def test_it(self):
        self.asked = ask()
        TestCase.seen.append(self)
        assert len(set(map(id, TestCase.seen))) == len(TestCase.seen)
        assert self.id().endswith("TestCase.test_it")

class TestAsyncCase(unittest.IsolatedAsyncioTestCase):
    async def test_it(self):
        async with anthropic.AsyncAnthropic() as client:
            assert await aask(client=client) == "Hello world"

@pytest.mark.asyncio
async def test_asyncio(async_claude_client):
    assert await aask(client=async_claude_client) == "Hello world"

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_anyio(anyio_backend, async_claude_client):
    assert await aask(client=async_claude_client) == "Hello world"

@pytest.mark.trio
async def test_trio(async_claude_client):
    assert await aask(client=async_claude_client) == "Hello world"
""")

    recorded = suite.record("--latency-samples=2", "--latency-budget")
    replayed = suite.replay()

    recorded.assert_outcomes(passed=14)
    replayed.assert_outcomes(passed=14)
    assert len(suite.recordings()) == 14


def test_the_body_of_a_test_case_is_measured_without_its_set_up_in_every_sample(suite: Suite) -> None:
    suite.write("""
class TestCase(unittest.TestCase):
    def setUp(self):
        ask("before")

    @pytest.mark.latency_budget(calls=1)
    def test_it(self):
        ask("in")
""")
    suite.record("--latency-samples=2")

    suite.replay().assert_outcomes(passed=2)

    assert [(len(test["setup_calls"]), len(test["calls"])) for test in suite.report["tests"]] == [(1, 1), (1, 1)]


def test_marks_of_parameters_hold_for_their_samples(suite: Suite) -> None:
    suite.write("""
@pytest.mark.parametrize("word", [
    pytest.param("a", marks=pytest.mark.latency_budget(total="1us")),
    pytest.param("b", marks=pytest.mark.skip(reason="not today")),
    "c",
])
@pytest.mark.latency_budget(total="3s")
def test_word(word):
    ask(word)
""")
    suite.record("--latency-samples=2")

    result = suite.replay()

    result.assert_outcomes(passed=2, failed=2, skipped=1)
    whole_lines(result).fnmatch_lines(["*budget    total<0.001ms *@latency_budget on test_it.py::test_word[[]a]"])


def test_higher_scoped_fixtures_are_shared_by_the_samples(suite: Suite) -> None:
    suite.write("""
@pytest.fixture(scope="module")
def handbook():
    return ask("handbook")

def test_one(handbook, claude_latency):
    ask()
""")
    suite.record("--latency-samples=3")

    suite.replay().assert_outcomes(passed=3)

    assert suite.recordings() == ["cassettes/test_it/@module.handbook.jsonl", *files("test_one", samples=3)]


def test_a_test_that_a_plugin_marks_while_collecting_has_samples_too(suite: Suite) -> None:
    suite.write("def test_one():\n    ask()\n")
    suite.pytester.makeconftest("""
import pytest
def pytest_itemcollected(item):
    item.add_marker(pytest.mark.latency_budget(total="3s"))
""")

    result = suite.record("--latency-samples=2", "-v")

    assert ran(result) == ["test_one[sample-1]", "test_one[sample-2]"]


def test_readers_of_a_shared_recording_replay_each_sample_of_it(suite: Suite) -> None:
    suite.write("""
@pytest.mark.latency_cassette(name="lamp", owner=True)
def test_writes(claude_latency):
    ask()

@pytest.mark.latency_cassette(name="lamp")
def test_reads(claude_latency):
    ask()
""")
    recorded = suite.record("--latency-samples=2")

    result = suite.replay("-v")

    recorded.assert_outcomes(passed=4)
    assert ran(result) == [
        "test_writes[sample-1]",
        "test_writes[sample-2]",
        "test_reads[sample-1]",
        "test_reads[sample-2]",
    ]
    assert suite.recordings() == ["cassettes/@shared/lamp.1.jsonl", "cassettes/@shared/lamp.2.jsonl"]


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", ""])
def test_a_number_of_samples_that_is_not_understood_is_a_usage_error(suite: Suite, value: str) -> None:
    suite.write(ONE)

    result = suite.run(f"--latency-samples={value}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    accepted = "a whole number, at least 1, or auto:N with N up to 10000"
    result.stderr.fnmatch_lines(
        as_shown(f"ERROR: --latency-samples: '{value}' is not understood; accepted: {accepted}")
    )


@pytest.mark.parametrize(("arguments", "samples"), [((), 2), (("--latency-samples=3",), 3)])
def test_the_ini_file_may_set_the_number_of_samples(suite: Suite, arguments: tuple[str, ...], samples: int) -> None:
    suite.ini("latency_samples = 2")
    suite.write(ONE)

    suite.record(*arguments).assert_outcomes(passed=samples)

    assert suite.recordings() == files("test_one", samples=samples)


# ── recordings ──


def contents(suite: Suite) -> dict[str, str]:
    return {name: (suite.path / name).read_text() for name in suite.recordings()}


def test_a_recording_says_which_sample_it_is_and_of_which_test(suite: Suite) -> None:
    suite.write(LABELS)
    suite.record("--latency-samples=2", "test_it.py::test_label[en]")

    header = (suite.path / "cassettes/test_it/test_label[en].2.jsonl").read_text().splitlines()[0]

    assert '"test": "test_it.py::test_label[en]", "sample": 2' in header


@pytest.mark.parametrize("fewer", [1, 2])
def test_recording_fewer_samples_removes_the_old_ones(suite: Suite, fewer: int) -> None:
    suite.write(ONE)
    suite.record("--latency-samples=4")

    suite.record(f"--latency-samples={fewer}")

    assert suite.recordings() == files("test_one", samples=fewer)


FLAKY = """
import os
def test_one(claude_latency, request):
    assert ask() == "Hello world"
    assert request.node.name != "test_one[sample-2]" or "FAIL" not in os.environ
"""


@pytest.mark.parametrize("workers", [(), pytest.param(("-n2",), marks=pytest.mark.slow)])
def test_a_set_with_a_failed_sample_leaves_the_old_set_unchanged(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    suite.write(FLAKY)
    suite.record("--latency-samples=3")
    before = contents(suite)
    monkeypatch.setenv("FAIL", "yes")

    result = suite.record("--latency-samples=3", *workers)

    result.assert_outcomes(passed=2, failed=1)
    assert contents(suite) == before
    result.stdout.fnmatch_lines(["warning: test_it.py::test_one: 2 of 3 samples succeeded, so its*"])


@pytest.mark.parametrize(
    "line",
    ["os._exit(3)", "pytest.exit('enough')"],
    ids=["crash", "interrupt"],
)
@pytest.mark.slow
def test_a_killed_run_leaves_the_old_set_unchanged(suite: Suite, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    suite.write(FLAKY + f"    if 'DIE' in os.environ and '-3' in request.node.name:\n        {line}\n")
    suite.record("--latency-samples=3")
    before = contents(suite)
    monkeypatch.setenv("DIE", "yes")

    result = suite.record("--latency-samples=3", *(["-n2"] if "exit" in line else []))

    assert result.ret != 0
    assert contents(suite) == before
    assert {path.name for path in (suite.path / "cassettes/test_it").iterdir()} == {Path(name).name for name in before}


def test_a_part_of_the_samples_replaces_nothing(suite: Suite) -> None:
    suite.write(ONE)
    suite.once(suite.record, "--latency-samples=3")
    before = contents(suite)

    suite.record("--latency-samples=3", "test_it.py::test_one[sample-2]")

    assert contents(suite) == before


@pytest.mark.usefixtures("with_reruns")
def test_a_sample_that_succeeds_in_a_rerun_completes_the_set(suite: Suite) -> None:
    suite.write("""
def test_one(claude_latency, request):
    ask()
    assert request.node.name != "test_one[sample-2]" or request.node.execution_count == 2
""")

    suite.record("--latency-samples=3", "--reruns=1").assert_outcomes(passed=3)

    assert suite.recordings() == files("test_one", samples=3)
    suite.replay("--deselect=test_it.py::test_one[sample-2]").assert_outcomes(passed=2, deselected=1)


def test_a_broken_budget_does_not_stop_the_set(suite: Suite) -> None:
    suite.write("@pytest.mark.latency_budget(total='1us')\ndef test_one():\n    ask()\n")

    suite.record("--latency-samples=2", "--latency-budget").assert_outcomes(failed=2)

    assert suite.recordings() == files("test_one", samples=2)


def test_missing_samples_of_a_set_are_recorded_and_the_others_replayed(suite: Suite) -> None:
    suite.write(ONE)
    suite.record("--latency-samples=2")
    before = contents(suite)
    asked = len(suite.server.requests)

    result = suite.record("--latency-samples=4", mode="record-missing")

    result.assert_outcomes(passed=4)
    posts = [request for request in suite.server.requests[asked:] if request.method == "POST"]
    assert len(posts) == 2
    assert suite.recordings() == files("test_one", samples=4)
    # What stays says how large its set is now, and is otherwise as it was.
    grown = {name: text.replace('"samples": 2', '"samples": 4') for name, text in before.items()}
    assert grown.items() <= contents(suite).items()


def test_a_set_without_calls_removes_the_old_recordings(suite: Suite) -> None:
    suite.write(ONE)
    suite.record("--latency-samples=2")
    suite.write("def test_one(claude_latency):\n    pass\n")

    suite.record("--latency-samples=2").assert_outcomes(passed=2)

    assert suite.recordings() == []


# ── what it costs ──


def test_the_number_of_calls_is_shown_before_the_run(suite: Suite) -> None:
    suite.write("def test_one(claude_latency):\n    ask()\n    ask()\ndef test_two(claude_latency):\n    ask()\n")

    first = suite.record("--latency-samples=3")
    second = suite.record("--latency-samples=4")
    live = suite.record("--latency-samples=5", "-k", "one", mode="live")
    rest = suite.record("--latency-samples=5", mode="record-missing")

    first.stdout.fnmatch_lines(
        [
            "claude latency: mode record, 6 samples of 2 tests: at least 6 calls (2 tests",
            "  without a recording, each counted as one call)",
        ]
    )
    second.stdout.fnmatch_lines(["claude latency: mode record, 8 samples of 2 tests: 12 calls, by the recordings"])
    live.stdout.fnmatch_lines(["claude latency: mode live, 5 samples of 1 test: 10 calls, by the recordings"])
    rest.stdout.fnmatch_lines(["*mode record-missing, 2 samples of 2 tests: 3 calls, by the", "  recordings"])


@pytest.mark.slow
def test_the_number_of_calls_is_shown_before_a_run_with_workers(suite: Suite) -> None:
    suite.write(ONE)

    result = suite.record("--latency-samples=2", "-n2")

    first, second = (line for line in result.outlines if "samples of" in line or "counted as one" in line)
    assert first == "claude latency: mode record, 2 samples of 1 test: at least 2 calls (1 test"
    assert second == "  without a recording, counted as one call)"


def test_a_run_of_one_sample_and_a_replay_announce_nothing(suite: Suite) -> None:
    suite.write(ONE)

    results = [suite.record("--latency-samples=1"), suite.record("--latency-samples=2") and suite.replay()]

    for result in results:
        result.stdout.no_fnmatch_line("*samples of*")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_long_live_run_shows_its_progress_on_a_terminal(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    suite.write(ONE)
    suite.pytester.makeconftest(f"""
def pytest_collection_finish(session):
    session.config.pluginmanager.get_plugin("terminalreporter").isatty = lambda: {terminal}
""")
    monkeypatch.setattr(cost_estimate, "EVERY", 0)

    # with -q pytest writes its dots in another way, and our line must not begin behind them
    result = suite.record("-q", "--latency-samples=2", mode="live")

    lines = [line for line in result.outlines if "so far" in line]
    assert lines == (
        [
            "claude latency: 1 of 2 samples of 1 test, 1 call, 20 tokens so far",
            "claude latency: 2 of 2 samples of 1 test, 2 calls, 40 tokens so far",
        ]
        if terminal
        else []
    )

"""`latency_fault` and `--latency-fault`: a test that is run once more, with something that the API does to it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pytest_claude_latency import Recording
from pytest_claude_latency.baselines import measured_file
from pytest_claude_latency.cli import recordings_in_use
from pytest_claude_latency.diagnosis.rules import VERDICTS
from tests.plugin.suite import Suite, as_shown, whole_lines

FAULTS = "from pytest_claude_latency.faults import *\n"
PATIENT = (
    FAULTS
    + """
@pytest.mark.latency_budget(total="3s")
@pytest.mark.latency_fault(rate_limited(retry_after="40s"), elapsed="50s")
@pytest.mark.latency_fault(dropped(after=1))
def test_it():
    assert stream() == "Hello world"
"""
)
TEST = "test_it.py::test_it"


@pytest.fixture
def patient(suite: Suite) -> Suite:
    """A suite whose test waits a refusal out, and does not survive a broken stream."""
    suite.write(PATIENT)
    suite.once(suite.record).assert_outcomes(passed=2, failed=1)
    return suite


def ran(result: pytest.RunResult) -> dict[str, str]:
    """The items that ran, and how `-v` says they ended."""
    return dict(re.findall(r"^(test_it\.py::\S+) (PASSED|FAILED|ERROR)", result.stdout.str(), re.MULTILINE))


def test_each_fault_is_an_item_in_the_order_of_the_markers(patient: Suite) -> None:
    result = patient.replay("-v")

    assert ran(result) == {TEST: "PASSED", f"{TEST}[rate_limited]": "PASSED", f"{TEST}[dropped]": "FAILED"}
    assert list(ran(result)) == [TEST, f"{TEST}[rate_limited]", f"{TEST}[dropped]"]


def test_the_limits_of_a_fault_are_judged_and_those_of_the_test_are_not(suite: Suite) -> None:
    suite.write(
        FAULTS
        + """
@pytest.mark.latency_budget(elapsed="3s")
@pytest.mark.latency_fault(rate_limited(retry_after="40s"), elapsed="5s")
@pytest.mark.latency_fault(overloaded())
def test_it(claude_latency):
    with claude_latency.budget(ttft="400ms"):
        assert ask() == "Hello world"
"""
    )
    suite.record().assert_outcomes(passed=3)

    suite.run().assert_outcomes(passed=3)
    result = suite.replay()

    result.assert_outcomes(passed=2, failed=1)
    assert re.search(r"elapsed was 40\.\d+s, .* over the budget of 5s", result.stdout.str())
    assert "@latency_fault on test_it.py::test_it" in result.stdout.str()


def test_items_are_selected_by_their_ids_and_by_last_failed(patient: Suite) -> None:
    patient.replay(f"{TEST}[rate_limited]").assert_outcomes(passed=1)
    patient.replay("-k", "dropped").assert_outcomes(failed=1, deselected=2)
    patient.pytester.runpytest().assert_outcomes(passed=2, failed=1)

    assert ran(patient.pytester.runpytest("--lf", "-v")) == {f"{TEST}[dropped]": "FAILED"}


@pytest.mark.slow
def test_workers_run_the_same_items(patient: Suite) -> None:
    result = patient.replay("-n2", "--latency-budget", "--latency-fault=rate_limited(retry_after=40s)")

    result.assert_outcomes(passed=2, failed=1)
    assert "rate_limited(retry_after=40s): a marker declares it in 1 test" in result.outlines
    assert [budget["verdict"] for budget in patient.test("[rate_limited]")["budgets"]] == ["kept"]


def test_junit_names_the_fault(patient: Suite) -> None:
    patient.replay(f"{TEST}[rate_limited]", "--junitxml=junit.xml")

    text = Path("junit.xml").read_text(encoding="utf-8")
    assert 'name="test_it[rate_limited]"' in text
    assert '<property name="latency.fault" value="rate_limited" />' in text
    assert '<property name="latency.elapsed" value="40.' in text


def test_a_report_tells_faults_from_fair_runs_and_comparisons_leave_them_out(patient: Suite) -> None:
    patient.replay()

    tests = patient.report["tests"]
    assert [(test["nodeid"], test.get("fault"), test.get("written"), test.get("injected")) for test in tests] == [
        (TEST, None, None, None),
        (f"{TEST}[dropped]", "dropped", TEST, 1),
        (f"{TEST}[rate_limited]", "rate_limited", TEST, 1),
    ]
    assert list(measured_file.load(patient.path / "report.json").series) == [TEST]


def test_a_finding_says_which_refusals_were_injected(patient: Suite) -> None:
    result = patient.replay(f"{TEST}[rate_limited]", "--latency-explain")

    assert "(429, retry-after 40, injected)" in " ".join(result.stdout.str().split())
    assert "record again" not in result.stdout.str()


def test_two_replays_write_the_same_report(patient: Suite) -> None:
    texts = []
    for name in ("one.json", "two.json"):
        patient.replay(f"--latency-report={name}")
        texts.append(Path(name).read_bytes())

    assert texts[0] == texts[1]


def test_markers_of_function_and_class_add_up_and_parameters_come_before_the_fault(suite: Suite) -> None:
    suite.write(
        FAULTS
        + """
@pytest.mark.latency_fault(overloaded(), elapsed="9s")
class TestIt:
    @pytest.mark.latency_fault(rate_limited(retry_after="1s"))
    @pytest.mark.latency_fault(rate_limited(retry_after="2s"))
    @pytest.mark.parametrize("language", ["en", "de"])
    def test_it(self, language):
        ask(language)


@pytest.mark.latency_fault(overloaded(), id="busy")
class TestCase(unittest.TestCase):
    def test_case(self):
        ask()


@pytest.mark.asyncio
@pytest.mark.latency_fault(refused())
async def test_async():
    await aask()
"""
    )
    suite.record().assert_outcomes(passed=12)
    result = suite.replay("-v")

    result.assert_outcomes(passed=12)
    assert [nodeid.rpartition("::")[2] for nodeid in ran(result)] == [
        "test_it[en]",
        "test_it[en-rate_limited-retry_after=1s]",
        "test_it[en-rate_limited-retry_after=2s]",
        "test_it[en-overloaded]",
        "test_it[de]",
        "test_it[de-rate_limited-retry_after=1s]",
        "test_it[de-rate_limited-retry_after=2s]",
        "test_it[de-overloaded]",
        "test_case",
        "test_case[busy]",
        "test_async",
        "test_async[refused]",
    ]


def test_a_fault_is_met_in_the_first_sample_only(suite: Suite) -> None:
    suite.write(FAULTS + "@pytest.mark.latency_fault(overloaded())\ndef test_it():\n    ask()\n")
    suite.record("--latency-samples=3").assert_outcomes(passed=4)

    suite.replay("--latency-strict").assert_outcomes(passed=4)


@pytest.mark.parametrize("answers", ["", "@pytest.mark.latency_answers('Hello world')\n"], ids=["recorded", "made up"])
def test_a_function_that_returns_no_recording_is_told_as_that(suite: Suite, answers: str) -> None:
    suite.write(f"{answers}@pytest.mark.latency_fault(lambda recording: 3, id='own')\ndef test_it():\n    ask()\n")
    if not answers:
        suite.record()

    result = suite.replay()

    assert "the fault own returned 3\n" in result.stdout.str()
    assert "accepted  a function from a Recording to a Recording" in result.stdout.str()


def test_a_function_of_ones_own_is_a_fault(suite: Suite) -> None:
    suite.write(
        FAULTS
        + """
@pytest.mark.latency_fault(lambda recording: slower(total="+10s")(recording), id="late", elapsed="11s")
def test_it():
    ask()
"""
    )
    suite.record().assert_outcomes(passed=2)

    result = suite.replay("--latency-budget", "-v")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines([f"{TEST}[[]late] PASSED*"])


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("overloaded", "TypeError: overloaded takes its arguments by name: write overloaded(), with parentheses"),
        ("slower(ttft=-1)", "E     accepted  a factor of at least 0, or a duration to add"),
    ],
)
def test_what_is_no_fault_raises_at_import(suite: Suite, marker: str, message: str) -> None:
    suite.write(f"{FAULTS}@pytest.mark.latency_fault({marker})\ndef test_it():\n    ask()\n")

    result = suite.replay()

    result.assert_outcomes(errors=1)
    assert message in result.stdout.str()


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('"overloaded"', "'overloaded' is no fault; did you mean overloaded()?; accepted: a fault and its limits*"),
        ('"overloadd()"', "'overloadd()' is no fault; did you mean overloaded()?; accepted: a fault*"),
        ("overloaded(), dropped(after=1)", "it takes one fault, got 2; accepted: a fault and its limits*"),
        ("overloaded, 1", "it takes one fault, got 2"),
        ("len, elapsed='1s'", "len is a function of your own, so it needs id="),
        ("overloaded(), id='sample-1'", "id='sample-1' is not understood; accepted: letters, digits*"),
        ("overloaded(), id='a b'", "id='a b' is not understood"),
        ("overloaded(), ttft={'p95': '1s'}", "ttft.p95<1s is over several samples, and a fault is met in one run"),
        ("overloaded(), tftt='1s'", "unknown metric 'tftt'; did you mean 'ttft'?"),
    ],
)
def test_a_marker_that_is_not_understood_is_an_error_of_its_test(suite: Suite, marker: str, message: str) -> None:
    suite.write(
        f"{FAULTS}@pytest.mark.latency_fault({marker})\ndef test_it():\n    ask()\ndef test_other():\n    pass\n"
    )

    result = suite.replay()

    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(as_shown(message, f"@latency_fault on {TEST}"))


def test_what_is_no_fault_is_told_with_the_names_of_all(suite: Suite) -> None:
    suite.write('@pytest.mark.latency_fault("overload")\ndef test_it():\n    ask()\n')

    result = suite.replay()

    result.stdout.fnmatch_lines(["  faults    slower, stalled, rate_limited, overloaded, *"])


def test_two_equal_faults_are_an_error(suite: Suite) -> None:
    marker = "@pytest.mark.latency_fault(overloaded())\n"
    suite.write(f"{FAULTS}{marker}{marker}def test_it():\n    ask()\n")

    result = suite.replay()

    result.assert_outcomes(errors=1)
    assert "the fault overloaded is declared twice; give one of them an id=" in result.stdout.str()


def test_a_fault_that_fits_no_call_is_told_before_anything_of_its_test_runs(suite: Suite) -> None:
    marker = "@pytest.mark.latency_fault(dropped(after=1))\n@pytest.mark.latency_fault(overloaded())\n"
    suite.write(f"{FAULTS}{marker}def test_it():\n    ask()\n    print('it ran')\n")
    suite.record().assert_outcomes(passed=2, errors=1)

    result = suite.replay("-s", "-v")

    result.assert_outcomes(errors=2, passed=1)
    told = as_shown("dropped(after=1) fits no call: call 1 does not stream", f"@latency_fault on {TEST}")
    result.stdout.fnmatch_lines(told)
    assert result.stdout.str().count("it ran") == 1


def test_a_run_without_faults_does_not_ask_whether_they_fit(suite: Suite) -> None:
    suite.write(FAULTS + "@pytest.mark.latency_fault(dropped(after=1))\ndef test_it():\n    ask()\n")
    suite.record()

    suite.replay("--latency-save=main").assert_outcomes(passed=1)


def test_a_test_that_is_not_recorded_says_how_to_record_it(suite: Suite) -> None:
    suite.write(FAULTS + "@pytest.mark.latency_fault(overloaded())\ndef test_it():\n    ask()\n")

    result = suite.replay()

    result.assert_outcomes(failed=2)
    assert f"pytest --latency-mode=record {TEST}" in result.stdout.str()
    assert "overloaded]'" not in result.stdout.str()


def test_on_given_a_fault_is_refused(suite: Suite) -> None:
    suite.write(
        FAULTS
        + """
from hypothesis import given, strategies

@pytest.mark.latency_fault(overloaded())
@given(strategies.integers())
def test_it(number):
    pass
"""
    )

    result = suite.replay()

    assert "a @given test cannot have latency_fault:" in result.stdout.str()
    assert "with play(fault(recording)):" in result.stdout.str()
    assert "measured.budget" not in result.stdout.str()
    assert result.parseoutcomes()["errors"] == 2


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--latency-mode=live",), "claude latency: 2 faults did not run: *it needs a replay*"),
        (("--latency-save=main",), "claude latency: 2 faults did not run: *a run without --latency-save"),
    ],
)
def test_live_runs_and_baselines_leave_faults_out(patient: Suite, arguments: tuple[str, ...], line: str) -> None:
    result = patient.run(*arguments, key="a-key-for-tests", base_url=patient.server.url)

    result.assert_outcomes(passed=1)
    whole_lines(result).fnmatch_lines([line])


# ── the option ──


def test_the_option_runs_every_test_that_a_fault_fits(suite: Suite) -> None:
    suite.write(
        FAULTS
        + """
@pytest.mark.latency_budget(total="3s")
def test_it():
    stream()


@pytest.mark.latency_budget(total="3s")
def test_other():
    ask()


def test_no_latency_test():
    pass
"""
    )
    suite.record().assert_outcomes(passed=3)

    result = suite.replay(
        "--latency-fault=rate_limited(retry_after=60s)", "--latency-fault=dropped(after=1)", "--latency-budget"
    )

    result.assert_outcomes(passed=5, failed=1)
    lines = [line for line in result.outlines if "survive" in line or "does not apply" in line]
    assert lines == [
        "rate_limited(retry_after=60s): 2 of 2 tests survived it",
        "dropped(after=1): 0 of 1 test survived it; it does not apply to 1 test",
        f"  did not survive it: {TEST}",
    ]


def test_the_options_fault_runs_where_a_marker_gives_its_name_to_another(suite: Suite) -> None:
    suite.write(f"{FAULTS}@pytest.mark.latency_fault(rate_limited(), id='overloaded')\ndef test_it():\n    ask()\n")
    suite.record()

    result = suite.replay("--latency-fault=overloaded()", "--latency-fault=refused()", "-v")

    assert list(ran(result)) == [TEST, *(f"{TEST}[{name}]" for name in ("overloaded", "overloaded-option", "refused"))]
    assert "overloaded(): 1 of 1 test survived it" in result.outlines


@pytest.mark.parametrize(
    ("selection", "lines"),
    [
        (
            ("-k", "not plain"),
            [
                "rate_limited(retry_after=40s): a marker declares it in 1 test",
                "dropped(after=2): 0 of 1 test survived it",
                f"  did not survive it: {TEST}",
            ],
        ),
        (
            ("test_it.py::test_plain",),
            [
                "rate_limited(retry_after=40s): 1 of 1 test survived it",
                "dropped(after=2): it does not apply to 1 test",
            ],
        ),
        (
            ("-k", "no_such_test"),
            [
                "rate_limited(retry_after=40s): no latency test is selected",
                "dropped(after=2): no latency test is selected",
            ],
        ),
    ],
    ids=["-k", "an id", "none"],
)
def test_the_lines_of_the_option_count_selected_tests_only(
    patient: Suite, selection: tuple[str, ...], lines: list[str]
) -> None:
    patient.write(PATIENT + "\n\ndef test_plain(claude_latency):\n    ask()\n")
    patient.run("--latency-mode=record-missing", "-k", "plain", key="a-key", base_url=patient.server.url)

    result = patient.replay(
        "--latency-fault=rate_limited(retry_after=40s)", "--latency-fault=dropped(after=2)", *selection
    )

    assert [line for line in result.outlines if re.match(r"rate_limited\(|dropped\(|  did not", line)] == lines


def test_the_ini_key_names_faults_and_is_idle_in_a_live_run(patient: Suite) -> None:
    patient.ini("latency_fault = overloaded()\n    rate_limited(retry_after=40s)")

    result = patient.replay("-v")

    assert ran(result)[f"{TEST}[overloaded]"] == "PASSED"
    assert "overloaded(): 1 of 1 test survived it" in result.outlines
    live = patient.run("--latency-mode=live", key="a-key-for-tests", base_url=patient.server.url)
    live.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--latency-fault=rate_limit()",), "--latency-fault: 'rate_limit' is no fault; did you mean 'rate_limited'?"),
        (("--latency-fault=slower(ttft=-2)",), "--latency-fault: slower: ttft=-2 is not understood"),
        (("--latency-fault=overloaded()", "--latency-mode=live"), "--latency-fault needs a recording to be put into"),
    ],
)
def test_an_option_that_is_not_understood_is_a_usage_error(
    suite: Suite, arguments: tuple[str, ...], message: str
) -> None:
    suite.write("def test_it():\n    pass\n")

    result = suite.replay(*arguments)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str()
    assert all(len(line) <= 80 for line in result.errlines)


# ── what only the faulty run asks for ──

FALLBACK = (
    FAULTS
    + """
def answer():
    try:
        with anthropic.Anthropic(max_retries=0) as client:
            return ask(client=client)
    except anthropic.RateLimitError:
        time.sleep(1)
        return ask(model="claude-opus-4-6")


@pytest.mark.latency_budget(elapsed="3s")
@pytest.mark.latency_fault(rate_limited(retry_after="60s", times="always"), elapsed="5s")
def test_it():
    assert answer() == "Hello world"
"""
)


def recorded_models(suite: Suite) -> dict[str, list[str]]:
    """The models that each recording asks for, by the name of its file."""
    return {
        Path(name).name: [exchange.request.json["model"] for exchange in Recording.load(suite.path / name).exchanges]
        for name in suite.recordings()
    }


def test_what_only_the_fault_makes_a_program_ask_is_recorded_beside_the_test(suite: Suite) -> None:
    suite.write(FALLBACK)

    result = suite.record("--latency-budget")

    result.assert_outcomes(passed=2)
    assert f"{TEST}[rate_limited] asks for what is in no recording: it runs again" in whole_lines(result).str()
    assert recorded_models(suite) == {
        "test_it.1.jsonl": ["claude-haiku-4-5"],
        "test_it~rate_limited.1.jsonl": ["claude-opus-4-6"],
    }
    suite.replay().assert_outcomes(passed=2)
    assert suite.test("[rate_limited]")["elapsed"] == pytest.approx(1.2, abs=0.3)


def test_the_table_of_recordings_counts_what_a_recording_of_a_fault_holds(suite: Suite) -> None:
    suite.write(FALLBACK)

    result = suite.record()

    # with the fault it makes two calls; the API answers one of them
    result.stdout.re_match_lines([r"recorded +samples +calls", rf"{TEST} +1 +1 ", rf"{TEST}\[rate_limited\] +1 +1 "])


@pytest.mark.parametrize("samples", [1, 2])
def test_a_fault_is_recorded_behind_its_test_whatever_shuffles_the_tests(suite: Suite, samples: int) -> None:
    suite.write(FALLBACK)
    suite.pytester.makeconftest("def pytest_collection_modifyitems(items):\n    items.reverse()\n")

    result = suite.record(f"--latency-samples={samples}", "-v")

    result.assert_outcomes(passed=samples + 1)
    assert list(ran(result))[-1] == f"{TEST}[rate_limited]"
    assert "test_it~rate_limited.1.jsonl" in recorded_models(suite)


@pytest.mark.slow
def test_with_workers_too_a_fault_runs_behind_its_test_and_is_recorded(suite: Suite) -> None:
    suite.write(FALLBACK + "def test_other(claude_latency):\n    ask()\n")

    # two items go to each worker at first: the third one is the fault
    result = suite.record("-n", "2", "--latency-samples=2")

    result.assert_outcomes(passed=5)
    assert f"{TEST}[rate_limited] asks for what is in no recording: it ran again" in whole_lines(result).str()
    recorded = recorded_models(suite)
    assert recorded.pop("test_it~rate_limited.1.jsonl") == ["claude-opus-4-6"]
    assert len(recorded) == 4
    suite.replay().assert_outcomes(passed=5)


def test_a_run_that_records_tries_the_faults_of_the_option_and_records_what_they_ask(suite: Suite) -> None:
    suite.write(
        FALLBACK.replace("@pytest.mark.latency_fault", "# ")
        + """
def test_whole(claude_latency):
    ask()

def test_failing(claude_latency):
    ask("other")
    assert False
"""
    )

    result = suite.record("--latency-fault=rate_limited(times=always)", "--latency-fault=dropped(after=1)")

    result.assert_outcomes(passed=3, failed=2, skipped=4)
    result.stdout.fnmatch_lines(
        [
            "rate_limited(times=always): 1 of 2 tests survived it; 1 test did not meet it,",
            "  since no recording was written",
            "  did not survive it: test_it.py::test_whole",
            "dropped(after=1): it does not apply to 2 tests; 1 test did not meet it, since",
            "  no recording was written",
        ]
    )
    assert "test_it~rate_limited.1.jsonl" in recorded_models(suite)
    again = suite.replay("--latency-fault=rate_limited(times=always)", "-k", "not failing")
    again.assert_outcomes(passed=3, failed=1)


def test_a_replay_without_that_recording_names_the_command_that_makes_it(suite: Suite) -> None:
    suite.write(FALLBACK)
    suite.record("-k", "not rate_limited").assert_outcomes(passed=1, deselected=1)

    result = suite.replay()

    result.assert_outcomes(passed=1, failed=1)
    assert f"pytest --latency-mode=record '{TEST}[rate_limited]'" in result.stdout.str()
    suite.record(f"{TEST}[rate_limited]").assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=2)


def test_what_is_missing_is_recorded_and_what_is_there_is_replayed(suite: Suite) -> None:
    suite.write(FALLBACK)
    suite.record().assert_outcomes(passed=2)
    asked = len(suite.server.requests)

    result = suite.record(mode="record-missing")

    result.assert_outcomes(passed=2)
    assert len(suite.server.requests) == asked
    assert "runs again" not in result.stdout.str()


def test_a_recording_of_a_fallback_goes_when_the_program_has_none_any_more(suite: Suite) -> None:
    suite.write(FALLBACK)
    suite.record().assert_outcomes(passed=2)
    suite.write(FALLBACK.replace('ask(model="claude-opus-4-6")', '"Hello world"'))

    suite.record().assert_outcomes(passed=2)

    assert list(recorded_models(suite)) == ["test_it.1.jsonl"]


def test_without_a_recording_of_the_test_its_faults_are_skipped(suite: Suite) -> None:
    suite.write(FALLBACK.replace('"Hello world"', '"Bye"'))

    result = suite.record("-rs")

    result.assert_outcomes(failed=1, skipped=1)
    assert "a fault is put into the recording of its test, and none was written" in result.stdout.str()
    assert suite.recordings() == []


@pytest.mark.slow
def test_the_recording_of_a_fallback_is_in_use_while_its_test_exists(suite: Suite) -> None:
    suite.write(FALLBACK)
    suite.record().assert_outcomes(passed=2)

    in_use = recordings_in_use.find_in_use([suite.path / "test_it.py"])

    assert {path.name for path in in_use.used} == {"test_it.1.jsonl", "test_it~rate_limited.1.jsonl"}


# ── among everything else ──


def test_a_fault_may_stand_on_a_parameter_and_on_a_module(suite: Suite) -> None:
    suite.write(
        FAULTS
        + """
pytestmark = pytest.mark.latency_fault(overloaded())


@pytest.mark.parametrize("language", ["en", pytest.param("de", marks=pytest.mark.latency_fault(refused()))])
def test_it(language):
    ask(language)
"""
    )
    suite.record().assert_outcomes(passed=5)

    result = suite.replay("-v")

    assert [nodeid.rpartition("::")[2] for nodeid in ran(result)] == [
        "test_it[en]",
        "test_it[en-overloaded]",
        "test_it[de]",
        "test_it[de-refused]",
        "test_it[de-overloaded]",
    ]


def test_the_readers_of_a_shared_recording_meet_faults_too(suite: Suite) -> None:
    suite.write(
        FAULTS
        + """
@pytest.mark.latency_fault(overloaded())
@pytest.mark.latency_cassette(name="one", owner=True)
def test_owner(claude_latency):
    ask()


@pytest.mark.latency_fault(refused())
@pytest.mark.latency_cassette(name="one")
def test_reader(claude_latency):
    ask()
"""
    )
    suite.record().assert_outcomes(passed=4)

    suite.replay("--latency-strict").assert_outcomes(passed=4)


def test_a_fault_costs_no_time_where_replays_are_to_wait(suite: Suite) -> None:
    suite.write(FAULTS + "@pytest.mark.latency_fault(rate_limited(retry_after='50s'))\ndef test_it():\n    ask()\n")
    suite.record().assert_outcomes(passed=2)

    result = suite.replay("--latency-clock=real")

    result.assert_outcomes(passed=2)
    assert result.duration < 40
    assert suite.test("[rate_limited]")["elapsed"] > 50


def test_an_ending_run_ends_among_faults_too(patient: Suite) -> None:
    patient.replay("-x").assert_outcomes(passed=2, failed=1)
    patient.record("-x").assert_outcomes(passed=2, failed=1)


def test_faults_are_in_no_suggestion_percentile_or_variant(suite: Suite) -> None:
    suite.write(
        FAULTS
        + """
@pytest.mark.latency_budget(ttft={"p50": "1s"})
@pytest.mark.latency_variants(max_tokens=[50])
@pytest.mark.latency_fault(rate_limited(retry_after="40s"))
def test_it():
    stream()
"""
    )
    suite.record("--latency-variants").assert_outcomes(passed=3)

    result = suite.replay("--latency-variants", "--latency-suggest")

    result.assert_outcomes(passed=3)
    assert "rate_limited" not in result.stdout.str().partition("budgets to start from")[2].partition("short test")[0]
    assert [ranking["fastest"] for ranking in suite.report["variants"]] != []
    assert len(suite.report["variants"][0]["tried"]) == 2


def test_a_program_that_never_gives_up_is_told_that_it_hangs(suite: Suite) -> None:
    suite.write(
        FAULTS
        + """
@pytest.mark.latency_fault(unanswered())
def test_it():
    with anthropic.Anthropic(timeout=None) as client:
        ask(client=client)
"""
    )
    suite.record().assert_outcomes(passed=1, failed=1)

    result = suite.replay()

    result.assert_outcomes(passed=1, failed=1)
    assert "the program hangs: it waited for 3600." in result.stdout.str()


def test_the_notes_tell_how_a_program_takes_a_refusal(suite: Suite) -> None:
    suite.write(
        FAULTS
        + """
@pytest.mark.latency_fault(rate_limited(retry_after="60s"))
@pytest.mark.latency_fault(overloaded())
@pytest.mark.latency_fault(failing(status=400))
def test_it():
    with anthropic.Anthropic(max_retries=0) as client:
        try:
            ask(client=client)
        except anthropic.APIStatusError:
            ask(client=client)
"""
    )
    suite.record().assert_outcomes(passed=4)

    result = suite.replay()

    notes = " ".join(result.stdout.str().split())
    assert "after a 429 that asked for 60.000s; wait as long as retry-after says" in notes
    assert "after a 529; wait before each retry" in notes
    assert "after a 400, which no retry mends; give up at once" in notes


def verdicts(suite: Suite, fault: str) -> list[str]:
    """The rules that speak about how the program took a fault."""
    (test,) = (test for test in suite.report["tests"] if test.get("fault") == fault)
    return [finding["rule"] for finding in test["findings"] if finding["rule"] in VERDICTS]


def test_a_report_says_how_the_program_took_each_fault(suite: Suite) -> None:
    suite.write(
        FAULTS
        + """
@pytest.mark.latency_budget(total="3s")
@pytest.mark.latency_fault(truncated(after=1))
@pytest.mark.latency_fault(stalled(after=1, duration="30s"))
@pytest.mark.latency_fault(unanswered())
@pytest.mark.latency_fault(overloaded())
@pytest.mark.latency_fault(dropped(after=1))
def test_careless():
    try:
        stream(client=anthropic.Anthropic(max_retries=0))
    except Exception:
        pass

@pytest.mark.latency_budget(total="3s")
@pytest.mark.latency_fault(truncated(after=1))
@pytest.mark.latency_fault(stalled(after=1, duration="30s"))
@pytest.mark.latency_fault(unanswered())
@pytest.mark.latency_fault(overloaded())
@pytest.mark.latency_fault(dropped(after=1))
def test_careful():
    text = ""
    while text != "Hello world":
        try:
            text = stream(client=anthropic.Anthropic(timeout=5))
        except Exception:
            pass
"""
    )
    suite.record("-k", "not [").assert_outcomes(passed=2, deselected=10)

    result = suite.replay("-k", "careless")

    assert [verdicts(suite, fault) for fault in ("truncated", "stalled", "unanswered", "overloaded", "dropped")] == [
        ["truncated-as-whole"],
        ["no-read-timeout"],
        ["no-read-timeout"],
        ["gave-up"],
        ["gave-up"],
    ]
    said = " ".join(result.stdout.str().split())
    assert "the stream of the call ended after 1 piece of content, with neither an error nor a stop reason, and" in said
    assert re.search(
        r"the call brought nothing for 600\.\d+s, and its program gave up only then; in 2 other answers", said
    )
    assert re.search(r"the call ended with 529 after \d+ms, and the program sent nothing more; try again after a", said)

    result = suite.replay("-k", "careful")

    result.assert_outcomes(passed=6, deselected=6)
    assert not re.search("no-read-timeout|gave-up|truncated-as-whole", json.dumps(suite.report))

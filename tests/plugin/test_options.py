"""Options and their ini twins: what is understood, which one wins, and what a usage error says."""

from __future__ import annotations

import pytest

from pytest_claude_latency.options.values import NOT_UNDERSTOOD
from pytest_claude_latency.report.table import SOME_NOT_JUDGED
from tests.plugin.suite import Suite, as_shown
from tests.support.claude_messages import text

ONE_TEST = """
@pytest.mark.latency_budget(ttft="10ms")
def test_it():
    stream()
"""

SLOW = text("Hello wor|ld", ttfb="40ms", gaps=["2ms", "3ms"])


def not_understood(value: str, accepted: str) -> str:
    """Return what is said of a value of an option or ini key that is not understood."""
    return NOT_UNDERSTOOD.format(value=value, hint="", accepted=accepted)


BAD_OPTIONS = {
    "--latency-mode=recrod": ["*--latency-mode*recrod*'record'?; accepted: replay*record*record-missing*live*"],
    "--latency-clock=fast": ["*--latency-clock*fast*; accepted: virtual*real*"],
    "--latency-cassettes=a/b": ["*--latency-cassettes: " + not_understood("a/b", "the name of a folder*")],
    "--latency-cassettes=": ["*--latency-cassettes: " + not_understood("", "the name of a folder*")],
    "--latency-cassettes=..": ["*--latency-cassettes: '..' is not understood"],
    "--latency-limits=ttfft<1s": [
        "*--latency-limits: unknown metric 'ttfft'; did you mean 'ttft'?",
        "  metrics   ttfb, ttft, *",
    ],
    "--latency-limits=ttft>1s": ["*--latency-limits: 'ttft>1s'*; accepted: ttft<1s"],
    "--latency-limits=ttft": ["*--latency-limits: 'ttft' is not a limit; accepted: metric<limit*"],
    "--latency-limits=ttft<800": ["*--latency-limits: 'ttft<800': '800' is not a duration; accepted: a number and*"],
    "--latency-limits=ttft.p100<1s": ["*--latency-limits: ttft: 'p100' is not a percentile; accepted: p50, p95*"],
    "--latency-limits=ttft<1s ttft<2s": ["*--latency-limits: 'ttft<?s': ttft is limited more than once*"],
    "--latency-report=out.pdf": ["*--latency-report: 'out.pdf' is not a report; accepted: *.json, .html or .md*"],
    "--latency-report=xml:out": ["*--latency-report: 'xml:out' is not a report; accepted: *"],
    "--latency-budget=800ms": ["*--latency-budget: ignored explicit argument '800ms'*"],
}


@pytest.mark.parametrize("option", BAD_OPTIONS)
def test_an_option_that_is_not_understood_is_a_usage_error(suite: Suite, option: str) -> None:
    suite.write("def test_it(claude_latency):\n    raise SystemExit('no test may run')\n")

    result = suite.run(option)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([line for pattern in BAD_OPTIONS[option] for line in as_shown(pattern)])
    result.stdout.no_fnmatch_line("*no test may run*")
    result.stderr.no_fnmatch_line("*Traceback*")


BAD_INI = {
    "latency_mode = recrod": "*ini key latency_mode: 'recrod' is not*'record'?; accepted: replay, record, *",
    "latency_samples = none": "*ini key latency_samples: " + not_understood("none", "a whole number*"),
    "latency_clock = fast": "*ini key latency_clock: " + not_understood("fast", "virtual, real*"),
    "latency_cassettes = a/b": "*ini key latency_cassettes: " + not_understood("a/b", "the name of a folder*"),
    "latency_limits = ttfft<1s": "*ini key latency_limits: unknown metric 'ttfft'; did you mean 'ttft'?*",
    "latency_budget = maybe": "*ini key latency_budget: invalid truth value 'maybe'; accepted: true, false",
    "latency_strict = maybe": "*ini key latency_strict: invalid truth value 'maybe'; accepted: true, false",
    "latency_variants = maybe": "*ini key latency_variants: invalid truth value 'maybe'; accepted: true, false",
    "latency_placeholder_key = maybe": "*latency_placeholder_key: invalid truth value 'maybe'; accepted: true, false",
    "latency_date = today": "*ini key latency_date: " + not_understood("today", "now, recorded*"),
    "latency_redact = (": "*ini key latency_redact: '(' is not a regular expression*",
    "latency_keep_headers = x-api-key": "*ini key latency_keep_headers: 'x-api-key' is never recorded; accepted: *",
}


@pytest.mark.parametrize("line", BAD_INI)
def test_an_ini_key_that_is_not_understood_is_a_usage_error(suite: Suite, line: str) -> None:
    suite.ini(line)
    suite.write("def test_it(claude_latency):\n    raise SystemExit('no test may run')\n")

    result = suite.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(as_shown(BAD_INI[line]))
    result.stderr.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize("how", ["--latency-limits=ttfft<1s", "latency_mode = recrod"])
def test_a_usage_error_is_one_under_xdist_too(suite: Suite, how: str) -> None:
    suite.write("def test_it(claude_latency):\n    raise SystemExit('no test may run')\n")
    option = [how] if how.startswith("--") else []
    if not option:
        suite.ini(how)

    result = suite.pytester.runpytest_subprocess("-n", "2", *option)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["  accepted  *" if "mode" in how else "*did you mean 'ttft'*"])
    result.stdout.no_fnmatch_line("*no test may run*")


def test_a_path_may_follow_the_switch(suite: Suite) -> None:
    suite.write(ONE_TEST)
    suite.server.answer(SLOW)
    suite.record()

    result = suite.run("--latency-budget", "test_it.py")

    result.assert_outcomes(failed=1)


def test_the_command_line_beats_the_ini_file(suite: Suite) -> None:
    suite.ini(
        "latency_budget = true",
        "latency_mode = live",
        "latency_clock = real",
        "latency_cassettes = tapes",
        "latency_limits = total<1ms",
        "latency_strict = true",
    )
    suite.write(ONE_TEST)
    suite.server.answer(SLOW)
    suite.record("--latency-cassettes=records")

    result = suite.run(
        "--no-latency-budget",
        "--latency-mode=replay",
        "--latency-clock=virtual",
        "--latency-cassettes=records",
        "--latency-limits=total<1m",
    )

    result.assert_outcomes(passed=1)
    assert suite.recordings() == ["records/test_it/test_it.1.jsonl"]
    assert (suite.report["mode"], suite.report["clock"]) == ("replay", "virtual")
    result.stdout.fnmatch_lines([SOME_NOT_JUDGED.format(number=2)])


def test_the_ini_file_sets_options_that_are_not_given(suite: Suite) -> None:
    suite.ini("latency_budget = true", "latency_cassettes = tapes", "latency_limits = total<1m", "latency_clock = real")
    suite.write(ONE_TEST)
    suite.server.answer(SLOW)
    suite.record("--no-latency-budget").assert_outcomes(passed=1)

    result = suite.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["claude latency: mode replay, clock real", "*recording tapes/test_it/test_it.1.jsonl"])
    assert {budget["metric"] for budget in suite.test("test_it")["budgets"]} == {"ttft", "total"}


def test_the_last_of_two_switches_counts(suite: Suite) -> None:
    suite.write(ONE_TEST)
    suite.server.answer(SLOW)
    suite.record()

    suite.run("--latency-budget", "--no-latency-budget").assert_outcomes(passed=1)
    suite.run("--no-latency-budget", "--latency-budget").assert_outcomes(failed=1)


def test_the_header_shows_only_an_unusual_mode_or_clock(suite: Suite) -> None:
    suite.write(ONE_TEST)
    suite.record()

    usual = suite.replay()
    unusual = suite.replay("--latency-clock=real")

    usual.stdout.no_fnmatch_line("claude latency: *")
    unusual.stdout.fnmatch_lines(["claude latency: mode replay, clock real"])


def test_a_plugin_that_is_switched_off_declares_no_option(suite: Suite) -> None:
    suite.write("def test_it(pytestconfig):\n    assert 'latency_budget' not in vars(pytestconfig.option)\n")

    suite.pytester.runpytest("-p", "no:claude_latency").assert_outcomes(passed=1)


def test_every_option_is_in_the_help(suite: Suite) -> None:
    result = suite.pytester.runpytest("--help")

    options = ["budget", "mode=MODE", "clock=CLOCK", "cassettes=DIR", "limits=EXPR", "report=FILE", "strict"]
    for option in options:
        result.stdout.fnmatch_lines([f"  --latency-{option}*"])
    keys = ["budget", "mode", "clock", "cassettes", "limits", "strict", "date", "redact", "keep_headers"]
    for key in [*keys, "placeholder_key"]:
        result.stdout.fnmatch_lines([f"  latency_{key} (*"])

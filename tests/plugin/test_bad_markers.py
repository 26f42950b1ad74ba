"""A marker that is not understood is an error of its test's set-up; the other tests run."""

from __future__ import annotations

import pytest

from pytest_claude_latency.budgets import limit
from pytest_claude_latency.collection.markers import ACCEPTED_ARGUMENTS
from pytest_claude_latency.duration import ACCEPTED as ACCEPTED_DURATIONS
from pytest_claude_latency.run.messages import bare_marker
from tests.plugin.suite import Suite, as_shown, whole_lines

DURATIONS = f"accepted: {ACCEPTED_DURATIONS}"
BY_NAME = f"accepted: {limit.BY_NAME}"

BAD_BUDGETS = {
    "ttfft='1s'": "unknown metric 'ttfft'; did you mean 'ttft'?",
    "TTFT='1s'": "unknown metric 'TTFT'; did you mean 'ttft'?",
    "'1s'": f"'1s' has no metric name; {BY_NAME}",
    "{'ttft': 1}": f"{{'ttft': 1}} has no metric name; {BY_NAME}",
    "ttft='1 parsec'": f"ttft: '1 parsec' is not a duration; {DURATIONS}",
    "ttft='800'": f"ttft: '800' is not a duration; {DURATIONS}",
    "ttft='fast'": f"ttft: 'fast' is not a duration; {DURATIONS}",
    "ttft='-1s'": f"ttft: '-1s' is not a duration; {DURATIONS}",
    "ttft=-1": f"ttft: -1 is negative: a duration is at least 0; {DURATIONS}",
    "ttft=float('nan')": f"ttft: nan is not a finite duration; {DURATIONS}",
    "ttft=float('inf')": f"ttft: inf is not a finite duration; {DURATIONS}",
    "ttft=True": f"ttft: True is not a duration; {DURATIONS}",
    "ttft=__import__('datetime').timedelta(-1)": f"ttft: * is negative: a duration is at least 0; {DURATIONS}",
    "calls='two'": "calls: 'two' is not a count; accepted: a whole number, such as 300",
    "calls=1.5": "calls: 1.5 is not whole; accepted: a whole number, such as 300",
    "calls=-1": "calls: -1 is negative or not finite; accepted: a whole number, such as 300",
    "output_tokens='1s'": "output_tokens: '1s' is not a count; accepted: a whole number, such as 300",
    "output_tokens_per_second='40'": "* is not a rate; accepted: a number of tokens per second, such as 40",
    "ttft={'p100': '1s'}": "ttft: 'p100' is not a percentile; accepted: p50, p95, p99.9 and *",
    "ttft={'95': '1s'}": "ttft: '95' is not a percentile; accepted: p50, p95, p99.9 and *",
    "ttft={}": "ttft={} is not a set of percentiles; accepted: *",
    "calls={'p50': 3}": "calls takes no percentile, got 'p50'; accepted: a whole number, such as 300",
}


@pytest.mark.parametrize("marker", BAD_BUDGETS)
def test_a_budget_that_is_not_understood_errors_at_set_up(suite: Suite, marker: str) -> None:
    suite.write(
        f"""
@pytest.mark.latency_budget({marker})
def test_bad():
    raise SystemExit("the body must not run")


@pytest.mark.latency_budget(ttft="3s")
def test_good():
    stream()
"""
    )
    suite.record().assert_outcomes(passed=1, errors=1)

    result = suite.replay()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*ERROR at setup of test_bad*", *as_shown(BAD_BUDGETS[marker], "@latency_budget on test_it.py::test_bad")]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*def *")


def test_a_bad_marker_errors_without_the_switch_too(suite: Suite) -> None:
    suite.write("@pytest.mark.latency_budget(ttfft='1s')\ndef test_bad():\n    pass\n")

    suite.run().assert_outcomes(errors=1)


NO_LIMIT = """
@pytest.mark.latency_budget
def test_bare():
    ask()


@pytest.mark.latency_budget()
def test_empty():
    ask()


@pytest.mark.latency_budget(ttft=None)
def test_lifted():
    ask()
"""


def test_a_marker_without_limits_fails_where_nothing_else_sets_one(suite: Suite) -> None:
    suite.write(NO_LIMIT)
    suite.record().assert_outcomes(passed=3)

    result = suite.replay()

    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(
        [line for name in ("bare", "empty") for line in bare_marker(f"test_it.py::test_{name}").split("\n")]
    )


def test_a_marker_without_limits_is_enough_where_the_run_has_limits(suite: Suite) -> None:
    suite.write(NO_LIMIT)
    suite.record()

    suite.replay("--latency-limits=total<1m").assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("source", "place"),
    [
        (
            "@pytest.mark.parametrize('a', [pytest.param(1, marks=pytest.mark.latency_budget(tfft=1))])\n"
            "def test_bad(a):\n    pass\n",
            "test_it.py::test_bad[[]1[]]",
        ),
        ("@pytest.mark.latency_budget(tfft=1)\nclass TestBad:\n    def test_bad(self):\n        pass\n", "*::TestBad"),
        ("pytestmark = pytest.mark.latency_budget(tfft=1)\ndef test_bad():\n    pass\n", "test_it.py"),
        (
            "@pytest.mark.latency_budget(tfft=1)\nclass Base:\n    pass\n\n"
            "class TestBad(Base):\n    def test_bad(self):\n        pass\n",
            "test_it.py::Base",
        ),
    ],
    ids=["parameter", "class", "module", "base class"],
)
def test_the_message_names_the_place_of_the_marker(suite: Suite, source: str, place: str) -> None:
    suite.write(source)

    result = suite.replay()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(as_shown("unknown metric 'tfft'; did you mean 'ttft'?", f"@latency_budget on {place}"))


BAD_CASSETTES = {
    "'shared'": f"it takes no positional argument; {ACCEPTED_ARGUMENTS}",
    "names='x'": f"unknown argument 'names'; did you mean name=?; {ACCEPTED_ARGUMENTS}",
    "name=3": "name=3 is not understood",
    "name=''": "name='' is not understood",
    "owner='yes'": "owner='yes' is not understood",
    "ignore='metadata.user_id'": """ignore='metadata.user_id' is not understood""",
    "repeat=2": "repeat=2 is not understood",
    "owner=True": "owner=True needs name=*",
}


@pytest.mark.parametrize("marker", BAD_CASSETTES)
def test_a_cassette_marker_that_is_not_understood_errors_at_set_up(suite: Suite, marker: str) -> None:
    suite.write(
        f"""
@pytest.mark.latency_cassette({marker})
def test_bad(claude_latency):
    raise SystemExit("the body must not run")


def test_good(claude_latency):
    stream()
"""
    )

    result = suite.record()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(as_shown(BAD_CASSETTES[marker], "@latency_cassette on test_it.py::test_bad*"))


def test_a_budget_on_a_given_test_points_to_play(suite: Suite) -> None:
    suite.write(
        """
from hypothesis import given, strategies as st


@pytest.mark.latency_budget(ttft="1s")
@given(st.integers())
def test_given(number):
    ask()


@given(st.integers())
def test_other(number):
    pass
"""
    )

    result = suite.replay()

    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["  do        measure each*", "*with play(recording) as measured*"])


def test_a_marker_is_known_under_strict_markers(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_cassette(repeat=True)
@pytest.mark.latency_budget(calls=1)
def test_it():
    ask()
"""
    )
    suite.record("--strict-markers").assert_outcomes(passed=1)

    suite.replay("--strict-markers", "-W", "error").assert_outcomes(passed=1)


@pytest.mark.parametrize("name", ["latency_bugdet", "latency_budgets", "latencybudget"])
def test_a_marker_whose_name_is_misspelt_is_an_error_of_its_test(suite: Suite, name: str) -> None:
    suite.write(
        f"""
@pytest.mark.{name}(ttft="1s")
def test_bad():
    raise SystemExit("the body must not run")


@pytest.mark.latency_bound
@pytest.mark.slow
def test_good():
    pass
"""
    )

    result = suite.replay()

    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            f"@{name}: did you mean @latency_budget?",
            f"ERROR test_it.py::test_bad - @{name}: did you mean @latency_budget?",
        ]
    )
    result.stdout.no_fnmatch_line("*traceback entries are hidden*")  # pytest says it where it finds no frame to show


@pytest.mark.parametrize("fixture", ["claude_latency", "claude_client", "async_claude_client"])
@pytest.mark.parametrize("misspelt", [False, True])
def test_a_fixture_that_is_used_as_a_marker_is_an_error_of_its_test(suite: Suite, fixture: str, misspelt: bool) -> None:
    name = fixture.replace("claude", "claud") if misspelt else fixture
    suite.write(
        f"""
@pytest.mark.{name}
def test_bad():
    raise SystemExit("the body must not run")


@pytest.mark.claude
@pytest.mark.asynchronous
def test_good():
    pass
"""
    )

    result = suite.replay()

    result.assert_outcomes(errors=1, passed=1)
    whole_lines(result).fnmatch_lines(
        [
            f"@{name}: a fixture, not a marker",
            f"  marker    {name} is unknown; {fixture} is a fixture",
            f"  do        make {fixture} an argument of the test, or set limits with @latency_budget",
            f"ERROR test_it.py::test_bad - @{name}: a fixture, not a marker",
        ]
    )


def test_limits_on_the_marker_that_only_selects_are_an_error_of_their_test(suite: Suite) -> None:
    suite.write("@pytest.mark.latency(ttft='1s')\ndef test_bad():\n    pass\n")

    result = suite.replay()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["@latency: did you mean @latency_budget?", "  marker    latency takes no arguments"])


def test_a_marker_of_ones_own_with_that_name_may_have_arguments(suite: Suite) -> None:
    suite.ini("markers = latency(team): tests of our own")
    suite.write("@pytest.mark.latency('search')\ndef test_it():\n    pass\n")

    suite.replay().assert_outcomes(passed=1)


def test_a_marker_of_ones_own_with_a_name_like_that_is_left_alone(suite: Suite) -> None:
    suite.ini("markers = latency_budgets: budgets of our own")
    suite.write("@pytest.mark.latency_budgets\ndef test_it():\n    pass\n")

    suite.replay().assert_outcomes(passed=1)


def test_the_short_summary_says_the_mistake_and_not_the_class_of_an_exception(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_budget(ttft="fast")
def test_marker():
    pass


def test_block(claude_latency):
    with claude_latency.budget(ttft="fast"):
        pass


def test_late(request):
    request.getfixturevalue("claude_latency")
"""
    )

    result = suite.replay()

    result.stdout.fnmatch_lines_random(
        [
            "FAILED test_it.py::test_block - ttft: 'fast' is not a duration",
            "ERROR test_it.py::test_marker - ttft: 'fast' is not a duration",
            "FAILED test_it.py::test_late - claude_latency makes its test a latency test, *",
        ]
    )

"""Budgets over no call: a mistake where the test makes the promise itself, a warning where it inherits it."""

from __future__ import annotations

import pytest

from pytest_claude_latency.budgets.judgement import NO_CALL
from tests.plugin.suite import Suite, whole_lines
from tests.support.claude_messages import text

DIRECT = """
@pytest.mark.latency_budget(ttft="1s", calls=3)
def test_it():
    pass
"""

ON_A_PARAMETER = """
@pytest.mark.parametrize("a", [pytest.param(1, marks=pytest.mark.latency_budget(ttft="1s"))])
def test_it(a):
    pass
"""

FORGOTTEN_AWAIT = """
@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.latency_budget(ttft="1s")
def test_it():
    aask()
"""

MOCKED_AWAY = """
@pytest.mark.latency_budget(ttft="1s")
def test_it(monkeypatch):
    monkeypatch.setattr(anthropic.resources.Messages, "create", lambda self, **asked: None)
    anthropic.Anthropic().messages.create()
"""

ONLY_COUNTED = """
@pytest.mark.latency_budget(ttft="1s")
def test_it():
    anthropic.Anthropic().messages.count_tokens(model="claude-haiku-4-5", messages=messages("hi"))
"""

ONLY_IN_A_FIXTURE = """
@pytest.fixture
def asked():
    return ask()


@pytest.mark.latency_budget(ttft="1s")
def test_it(asked):
    pass
"""

LIFTED = """
pytestmark = pytest.mark.latency_budget(ttft="1s")


@pytest.mark.latency_budget(ttft=None)
def test_it():
    pass
"""

DIRECT_ONES = {
    "on the function": DIRECT,
    "on a parameter": ON_A_PARAMETER,
    "a forgotten await": FORGOTTEN_AWAIT,
    "a client mocked away": MOCKED_AWAY,
    "only another endpoint": ONLY_COUNTED,
    "only in a fixture": ONLY_IN_A_FIXTURE,
    "every limit lifted": LIFTED,
}


@pytest.mark.parametrize("source", DIRECT_ONES.values(), ids=DIRECT_ONES)
def test_a_test_with_its_own_budget_and_no_call_fails_when_judged(suite: Suite, source: str) -> None:
    suite.write(source)
    suite.record().assert_outcomes(passed=1)

    suite.run().assert_outcomes(passed=1)
    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"{NO_CALL}*"])
    result.stdout.no_fnmatch_line("*def test_it*")


INHERITED = """
@pytest.mark.latency_budget(ttft="1s")
class TestIt:
    def test_silent(self):
        pass

    def test_asking(self):
        ask()
"""


def test_an_inherited_budget_without_a_call_is_shown_and_is_a_warning(suite: Suite) -> None:
    suite.write(INHERITED)
    suite.record()

    result = suite.replay()

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*test_silent * no calls"])
    result.stdout.fnmatch_lines(["warning: *test_it.py::TestIt::test_silent*"])
    (budget,) = suite.test("test_silent")["budgets"]
    assert budget["verdict"] == "no calls"


def test_an_inherited_budget_without_a_call_fails_under_strict(suite: Suite) -> None:
    suite.write(INHERITED)
    suite.record()

    result = suite.replay("--latency-strict")

    result.assert_outcomes(passed=1, failed=1)
    whole_lines(result).fnmatch_lines(
        [f"{NO_CALL}: ttft<1s promises nothing (@latency_budget on test_it.py::TestIt; --latency-strict)"]
    )


def test_a_test_may_promise_to_make_no_call(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_budget(calls=0)
def test_silent():
    pass


@pytest.mark.latency_budget(calls=0, ttft="1s", elapsed="1s")
def test_silent_and_quick():
    pass


@pytest.mark.latency_budget(calls=0)
def test_asking():
    ask()


@pytest.mark.latency_budget(calls=0)
class TestSilent:
    def test_by_inheritance(self):
        pass
"""
    )
    suite.record()

    result = suite.replay("--latency-strict")

    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["calls were 1, 1 over the budget of 0"])


def test_limits_of_the_run_do_not_apply_to_a_test_without_a_call(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    pass\n")

    result = suite.replay("--latency-limits=ttft<1s")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["warning: *test_it.py::test_it*"])


OUTCOMES = """
pytestmark = pytest.mark.latency_budget(ttft="10ms")


@pytest.mark.skip
def test_skipped():
    ask()


@pytest.mark.skipif("not __import__('os').environ.get('ANTHROPIC_API_KEY')")
def test_keyless():
    ask()


def test_that_skips_itself():
    pytest.skip("not today")


@pytest.mark.xfail(reason="slow", strict=True)
@pytest.mark.latency_budget(total="1ms")
def test_known_to_be_slow():
    ask()


@pytest.mark.xfail(run=False)
def test_not_run():
    ask()


@pytest.mark.latency_budget(ttft="1s")
def test_that_fails():
    assert False
"""


def test_tests_that_fail_or_are_skipped_are_not_judged(suite: Suite) -> None:
    suite.write(OUTCOMES)
    suite.server.answers(lambda request: text("Hello", ttfb="20ms"))
    suite.record("--latency-budget")

    result = suite.replay()

    result.assert_outcomes(skipped=3, xfailed=2, failed=1)
    result.stdout.no_fnmatch_line(f"*{NO_CALL}*")
    assert suite.test("test_that_fails")["outcome"] == "failed"


def test_the_check_of_a_suite_for_a_key_works_as_without_the_plugin(suite: Suite) -> None:
    suite.write(OUTCOMES)

    recorded = suite.record("-k", "test_keyless")
    replayed = suite.replay("-k", "test_keyless")

    recorded.assert_outcomes(passed=1, deselected=5)
    replayed.assert_outcomes(skipped=1, deselected=5)

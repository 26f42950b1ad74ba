"""Where budgets stand: parameter, function, class, module, the run; the closest wins, metric by metric."""

from __future__ import annotations

from typing import Any

from tests.plugin.suite import Suite
from tests.support.claude_messages import text

LADDER = """
pytestmark = pytest.mark.latency_budget(ttft="5s", total="5s", ttfb="5s", attempts=5)


@pytest.mark.latency_budget(ttft="4s", total="4s", ttfb="4s")
class TestBase:
    def test_in_class(self):
        ask()


@pytest.mark.latency_budget(ttft="3s", total="3s")
class TestDerived(TestBase):
    @pytest.mark.latency_budget(ttft="2s")
    @pytest.mark.parametrize("word", ["plain", pytest.param("marked", marks=pytest.mark.latency_budget(ttft="1s"))])
    def test_everything(self, word):
        ask(word)


@pytest.mark.latency_budget(ttft="9s", total="8s")
@pytest.mark.latency_budget(ttft="500ms")
def test_stacked():
    ask()


def test_in_module():
    ask()
"""


def _limits(test: dict[str, Any]) -> dict[str, float]:
    return {budget["metric"]: budget["limit"] for budget in test["budgets"]}


def _origins(test: dict[str, Any]) -> dict[str, str]:
    return {budget["metric"]: budget["origin"].removeprefix("@latency_budget on ") for budget in test["budgets"]}


def test_for_each_metric_the_closest_marker_decides(suite: Suite) -> None:
    suite.write(LADDER)
    suite.record()

    suite.replay("--latency-limits=ttft<60s calls<7").assert_outcomes(passed=6)

    limits = {test["nodeid"].partition("::")[2]: _limits(test) for test in suite.report["tests"]}
    run = {"attempts": 5, "calls": 7}
    assert limits == {
        "TestBase::test_in_class": {"ttfb": 4.0, "ttft": 4.0, "total": 4.0, **run},
        "TestDerived::test_in_class": {"ttfb": 4.0, "ttft": 3.0, "total": 3.0, **run},
        "TestDerived::test_everything[plain]": {"ttfb": 4.0, "ttft": 2.0, "total": 3.0, **run},
        "TestDerived::test_everything[marked]": {"ttfb": 4.0, "ttft": 1.0, "total": 3.0, **run},
        "test_stacked": {"ttfb": 5.0, "ttft": 0.5, "total": 8.0, **run},
        "test_in_module": {"ttfb": 5.0, "ttft": 5.0, "total": 5.0, **run},
    }


def test_every_limit_shows_where_it_was_set(suite: Suite) -> None:
    suite.write(LADDER)
    suite.record()

    suite.replay("--latency-limits=calls<7")

    assert _origins(suite.test("test_everything[marked]")) == {
        "ttfb": "test_it.py::TestBase",
        "ttft": "test_it.py::TestDerived::test_everything[marked]",
        "total": "test_it.py::TestDerived",
        "attempts": "test_it.py",
        "calls": "--latency-limits",
    }


def test_a_budget_inherited_from_another_module_names_it(suite: Suite) -> None:
    suite.write("@pytest.mark.latency_budget(ttft='2s')\nclass Promised:\n    pass\n", name="promises")
    suite.write("import promises\nclass TestIt(promises.Promised):\n    def test_it(self):\n        ask()\n")
    suite.record()

    suite.replay()

    assert _origins(suite.test("test_it")) == {"ttft": "promises.Promised"}


def test_none_removes_a_limit_of_a_class_or_module(suite: Suite) -> None:
    suite.write(
        """
pytestmark = pytest.mark.latency_budget(ttft="1ms", total="5s")


@pytest.mark.latency_budget(ttft=None)
def test_lifted():
    ask()


@pytest.mark.latency_budget(ttft=None)
class TestLifted:
    def test_by_the_class(self):
        ask()

    @pytest.mark.latency_budget(ttft="6s", total=None)
    def test_set_again(self):
        ask()


@pytest.mark.latency_budget(elapsed=None)
def test_the_run_s():
    ask()
"""
    )
    suite.server.answers(lambda request: text("Hello", ttfb="20ms"))
    suite.record()

    result = suite.replay("--latency-limits=elapsed<1ms")

    result.assert_outcomes(failed=4)
    verdicts = {
        test["nodeid"].partition("::")[2]: {budget["metric"]: budget["verdict"] for budget in test["budgets"]}
        for test in suite.report["tests"]
    }
    assert verdicts == {
        "test_lifted": {"total": "kept", "elapsed": "broken"},
        "TestLifted::test_by_the_class": {"total": "kept", "elapsed": "broken"},
        "TestLifted::test_set_again": {"ttft": "kept", "elapsed": "broken"},
        "test_the_run_s": {"ttft": "broken", "total": "kept"},
    }


def test_limits_of_the_run_apply_only_to_latency_tests(suite: Suite) -> None:
    suite.ini("latency_limits = total<1ms")
    suite.write(
        """
def test_measured(claude_latency):
    ask()


def test_other():
    pass
"""
    )
    suite.record()

    suite.replay().assert_outcomes(failed=1, passed=1)
    assert _origins(suite.test("test_measured")) == {"total": "ini key latency_limits"}

    suite.replay("--latency-limits=total<1m").assert_outcomes(passed=2)


def test_a_module_s_budget_may_be_a_list_of_marks(suite: Suite) -> None:
    suite.write(
        """
pytestmark = [pytest.mark.latency_budget(ttft="2s"), pytest.mark.latency_cassette(repeat=True)]


def test_it():
    ask(), ask()
"""
    )
    suite.record()

    suite.replay().assert_outcomes(passed=1)

    assert _limits(suite.test("test_it")) == {"ttft": 2.0}


def test_a_budget_that_a_conftest_adds_counts_as_the_test_s_own(suite: Suite) -> None:
    suite.write("def test_it():\n    ask()\n")
    suite.pytester.makeconftest(
        """
import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.latency_budget(ttft="1ms"))
"""
    )
    suite.server.answers(lambda request: text("Hello", ttfb="20ms"))
    suite.record("--latency-budget").assert_outcomes(failed=1)

    suite.replay().assert_outcomes(failed=1)


def test_a_latency_test_is_selected_by_its_marker(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_budget(ttft="3s")
def test_by_marker():
    ask()


def test_by_fixture(claude_latency):
    ask()


@pytest.fixture
def asked(claude_client):
    return ask(client=claude_client)


def test_by_a_fixture_s_fixture(asked):
    pass


@pytest.mark.usefixtures("async_claude_client")
def test_by_name():
    pass


def test_other():
    pass
"""
    )
    suite.record()

    suite.replay("-m", "latency").assert_outcomes(passed=4, deselected=1)
    suite.replay("-m", "not latency").assert_outcomes(passed=1, deselected=4)

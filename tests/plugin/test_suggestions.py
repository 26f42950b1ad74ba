from __future__ import annotations

import pytest

from pytest_claude_latency.cli.command import main
from tests.plugin.suite import Suite
from tests.support.claude_messages import text

SOURCE = """
@pytest.mark.latency_budget(ttft="1s")
@pytest.mark.parametrize("language", ["en", "de"])
def test_streamed(language):
    stream(language)

class TestSeveral:
    def test_two(self, claude_latency):
        ask(), ask("again")

def test_wrong(claude_latency):
    ask()
    assert False
"""
PROPOSED = [
    "# Each limit is the worst sample and 25 % more, at least 50ms more, rounded up",
    "#   to two digits.",
    "# An existing limit is never loosened.",
    "# A replay in virtual time measures the same every time: there the margin is",
    "#   room for the next recording.",
    "# test_it.py::TestSeveral::test_two: 1 sample, replayed on the virtual clock",
    '@pytest.mark.latency_budget(elapsed="*", calls=2)',
    "# test_it.py::test_streamed[[]de]: 1 sample, replayed on the virtual clock",
    "#   ttft     measured *, now ttft<1s*",
    'marks=pytest.mark.latency_budget(ttft="*ms", total="*ms")',
    "# test_it.py::test_streamed[[]en]: 1 sample, replayed on the virtual clock",
]


@pytest.fixture
def recorded(suite: Suite) -> Suite:
    suite.server.answers(lambda request: text("Hello wor|ld", ttfb="5ms", gaps=["2ms", "3ms"]))
    suite.write(SOURCE.replace("assert False", "pass"))
    suite.once(suite.record).assert_outcomes(passed=4)
    suite.server.close()
    suite.write(SOURCE)
    return suite


def test_budgets_are_proposed_at_the_end_of_a_run_as_from_its_report(
    recorded: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    without = recorded.run()
    suggested = recorded.run("--latency-suggest")
    recorded.ini("latency_suggest = true")
    by_ini = recorded.replay()
    capsys.readouterr()
    status = main(["suggest", str(recorded.path / "report.json")])

    said = capsys.readouterr().out.splitlines()
    assert status == 0
    without.stdout.no_fnmatch_line("*budgets to start from*")
    for run in (suggested, by_ini):
        run.stdout.fnmatch_lines(["=* claude latency: budgets to start from =*", *PROPOSED])
        run.stdout.fnmatch_lines(["# left out: test_it.py::test_wrong (failed)"])
        assert "\n".join(said) in run.stdout.str()


def test_a_run_keeps_the_budgets_that_were_proposed_for_it(recorded: Suite) -> None:
    lines = recorded.run("--latency-suggest").stdout.lines
    marker = lines[next(place for place, line in enumerate(lines) if "TestSeveral::test_two" in line) + 3]
    (recorded.path / "test_it.py").write_text(
        (recorded.path / "test_it.py").read_text().replace("    def test_two", f"    {marker}\n    def test_two")
    )

    result = recorded.replay("--latency-suggest", "-k", "test_two")

    assert marker.startswith("@pytest.mark.latency_budget(elapsed=")
    result.assert_outcomes(passed=1, deselected=3)
    result.stdout.fnmatch_lines(["1 test, 2 calls, 2 budgets: 2 kept *", "#   nothing to change"])

"""Which runs write a recording: those whose own code went well, whatever became of their budgets."""

from __future__ import annotations

import pytest

from pytest_claude_latency.cassettes.mismatch import NOTHING_FITS
from tests.plugin.suite import Suite
from tests.support.claude_messages import text

BUDGET = '@pytest.mark.latency_budget(ttft="1ms")\n'

ENDINGS = {
    "fails": "def test_it(claude_latency):\n    ask('new')\n    assert False\n",
    "raises": "def test_it(claude_latency):\n    ask('new')\n    raise RuntimeError\n",
    "skips itself": "def test_it(claude_latency):\n    ask('new')\n    pytest.skip()\n",
    "is skipped": "@pytest.mark.skip\ndef test_it(claude_latency):\n    ask('new')\n",
    "is expected to fail": "@pytest.mark.xfail\ndef test_it(claude_latency):\n    ask('new')\n    assert False\n",
    "xfails itself": "def test_it(claude_latency):\n    ask('new')\n    pytest.xfail()\n",
    "was bound to fail": "@pytest.mark.xfail(strict=True)\ndef test_it(claude_latency):\n    ask('new')\n",
    "errors in set-up": """
@pytest.fixture
def broken(claude_latency):
    ask('new')
    raise RuntimeError

def test_it(broken):
    pass
""",
    "errors in teardown": """
@pytest.fixture
def broken(claude_latency):
    yield
    raise RuntimeError

def test_it(broken):
    ask('new')
""",
    "fails and breaks its budget in teardown": """
@pytest.fixture
def broken(claude_latency):
    yield
    with claude_latency.budget(ttft="1ms"):
        ask()

def test_it(broken):
    assert False
""",
    "exits": "def test_it(claude_latency):\n    ask('new')\n    raise SystemExit\n",
    "fails in a group": """
def test_it(claude_latency):
    ask('new')
    raise ExceptionGroup('both', [pytest.importorskip('pytest_claude_latency').BudgetExceeded('x'), ValueError()])
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_test_that_did_not_pass_keeps_its_old_recording(suite: Suite, ending: str) -> None:
    suite.write("def test_it(claude_latency):\n    ask('old')\n")
    suite.record()
    (name,) = suite.recordings()
    before = (suite.path / name).read_bytes()
    suite.write(ENDINGS[ending])

    suite.record("--latency-budget")

    assert suite.recordings() == [name]
    assert (suite.path / name).read_bytes() == before
    assert {path.name for path in (suite.path / name).parent.iterdir()} == {"test_it.1.jsonl"}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_test_that_did_not_pass_is_not_recorded(suite: Suite, ending: str) -> None:
    suite.write(ENDINGS[ending])

    suite.record("--latency-budget")

    assert suite.recordings() == []


BROKEN_BUDGETS = {
    "a marker": BUDGET + "def test_it():\n    ask('new')\n",
    "a block": "def test_it(claude_latency):\n    with claude_latency.budget(ttft='1ms'):\n        ask('new')\n",
    "both": BUDGET + "def test_it(claude_latency):\n    with claude_latency.budget(ttft='1ms'):\n        ask('new')\n",
    "a block in a fixture": """
@pytest.fixture
def judged(claude_latency):
    yield
    with claude_latency.budget(ttft="1ms"):
        ask('new')

def test_it(judged):
    pass
""",
    "an expected marker": "@pytest.mark.xfail\n" + BUDGET + "def test_it():\n    ask('new')\n",
    "a task group": """
async def judged(claude_latency):
    with claude_latency.budget(ttft="1ms"):
        await aask('new')

def test_it(claude_latency):
    async def main():
        async with asyncio.TaskGroup() as group:
            group.create_task(judged(claude_latency))
    asyncio.run(main())
""",
    "a TestCase": """
@pytest.mark.latency_budget(ttft="1ms")
class TestIt(unittest.TestCase):
    def test_it(self):
        ask('new')
""",
    "a subclass of the error": """
from pytest_claude_latency.cassettes.mismatch import NOTHING_FITS
from pytest_claude_latency import BudgetExceeded

def test_it(claude_latency):
    ask('new')
    raise BudgetExceeded('judged by the application itself')
""",
}


@pytest.mark.parametrize("budget", BROKEN_BUDGETS)
def test_a_broken_budget_does_not_prevent_the_recording(suite: Suite, budget: str) -> None:
    suite.write(BROKEN_BUDGETS[budget])
    suite.server.answers(lambda request: text("Hello", ttfb="20ms"))

    result = suite.record("--latency-budget")

    outcomes = result.parseoutcomes()
    assert "passed" not in outcomes or budget == "a block in a fixture"
    (name,) = suite.recordings()
    assert '"new"' in (suite.path / name).read_text(encoding="utf-8")


def test_a_test_that_passes_unexpectedly_is_recorded(suite: Suite) -> None:
    suite.write("@pytest.mark.xfail\ndef test_it(claude_latency):\n    ask()\n")

    suite.record().assert_outcomes(xpassed=1)

    assert len(suite.recordings()) == 1


def test_live_writes_nothing(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    ask()\n    assert claude_latency.calls[0].total > 0\n")

    suite.record(mode="live").assert_outcomes(passed=1)

    assert suite.recordings() == []
    assert len(suite.server.log) == 1


def test_record_missing_replays_existing_recordings_and_records_the_others(suite: Suite) -> None:
    suite.write("def test_one(claude_latency):\n    ask('one')\n")
    suite.record()
    (one,) = suite.recordings()
    before = (suite.path / one).read_bytes()
    suite.write("def test_one(claude_latency):\n    ask('one')\n\n\ndef test_two(claude_latency):\n    ask('two')\n")

    suite.record(mode="record-missing").assert_outcomes(passed=2)

    assert [b"two" in served.request.content for served in suite.server.log] == [False, True]
    assert len(suite.recordings()) == 2
    assert (suite.path / one).read_bytes() == before


def test_record_missing_does_not_replace_a_recording_that_no_longer_fits(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    ask('old')\n")
    suite.record()
    suite.write("def test_it(claude_latency):\n    ask('new')\n")

    result = suite.record(mode="record-missing")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([NOTHING_FITS.format(request="POST /v1/messages"), "*record    pytest *mode=record *"])
    assert len(suite.server.log) == 1


def test_recording_again_replaces_the_recording(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    ask('old')\n")
    suite.record()
    suite.write("def test_it(claude_latency):\n    ask('new')\n")

    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)
    assert len(suite.recordings()) == 1


def test_the_recording_of_a_test_that_no_longer_makes_calls_is_removed(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    ask()\n\n\ndef test_other(claude_latency):\n    ask()\n")
    suite.record()
    suite.write("def test_it(claude_latency):\n    pass\n\n\ndef test_other(claude_latency):\n    ask()\n")

    result = suite.record()

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "warning: test_it.py::test_it: no call was made, so its previous recording was",
            "  removed: cassettes/test_it/test_it.1.jsonl",
        ]
    )
    assert suite.recordings() == ["cassettes/test_it/test_other.1.jsonl"]


def test_a_recording_of_fewer_calls_than_the_one_before_is_told(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    ask(), ask('two'), ask('three')\n")
    suite.record().assert_outcomes(passed=1)
    suite.write("def test_it(claude_latency):\n    ask()\n")

    fewer, same = suite.record(), suite.record()

    fewer.stdout.fnmatch_lines(["warning: test_it.py::test_it: its recording has 1 call now, and had 3 before"])
    same.stdout.no_fnmatch_line("*had * before*")


def test_a_test_that_makes_no_calls_leaves_no_folder(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    pass\n")

    suite.record().assert_outcomes(passed=1)

    assert not (suite.path / "cassettes").exists()


def test_samples_recorded_earlier_are_replaced_with_the_set(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    ask()\n")
    suite.record()
    first = suite.path / suite.recordings()[0]
    for sample in (2, 3):
        more = first.read_text(encoding="utf-8").replace('"sample": 1', f'"sample": {sample}')
        first.with_name(f"test_it.{sample}.jsonl").write_text(more, encoding="utf-8")

    suite.record().assert_outcomes(passed=1)

    assert suite.recordings() == ["cassettes/test_it/test_it.1.jsonl"]

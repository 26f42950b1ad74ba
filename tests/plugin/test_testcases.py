"""`unittest.TestCase` and `IsolatedAsyncioTestCase`: the method is the body, `setUp` and `tearDown` are fixtures."""

from __future__ import annotations

from pytest_claude_latency.budgets.judgement import NO_CALL
from pytest_claude_latency.cassettes.mismatch import NOTHING_RECORDED
from tests.plugin.suite import Suite
from tests.support.claude_messages import text

SYNC = """
@pytest.mark.latency_budget(calls=1, ttft="300ms")
class TestIt(unittest.TestCase):
    def setUp(self):
        ask("slow set-up")
        self.addCleanup(ask, "slow clean-up")

    def tearDown(self):
        ask("slow teardown")

    def test_one(self):
        stream("one")

    def test_two(self):
        stream("two")
"""

ASYNC = """
@pytest.mark.latency_budget(calls=1, ttft="300ms")
class TestIt(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        ask("slow set-up")

    async def asyncSetUp(self):
        self.client = anthropic.AsyncAnthropic()
        await aask("slow async set-up", client=self.client)
        self.addAsyncCleanup(self.client.close)

    async def asyncTearDown(self):
        await aask("slow async teardown", client=self.client)

    async def test_one(self):
        await astream("one", client=self.client)

    async def test_two(self):
        await astream("two", client=self.client)
"""


def _slow_around(suite: Suite) -> None:
    suite.server.answers(lambda request: text("Hello world", ttfb="450ms" if b"slow" in request.content else "1ms"))


def test_only_the_method_is_judged(suite: Suite) -> None:
    suite.write(SYNC)
    _slow_around(suite)
    suite.record().assert_outcomes(passed=2)

    suite.replay("--latency-strict").assert_outcomes(passed=2)

    assert len(suite.test("test_one")["setup_calls"]) == 3
    assert suite.recordings() == [f"cassettes/test_it/TestIt.test_{name}.1.jsonl" for name in ("one", "two")]


def test_only_the_async_method_is_judged(suite: Suite) -> None:
    suite.write(ASYNC)
    _slow_around(suite)
    suite.record().assert_outcomes(passed=2)

    suite.replay("--latency-strict").assert_outcomes(passed=2)

    assert len(suite.test("test_two")["setup_calls"]) == 3


def test_async_methods_wait_in_virtual_time(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_budget(elapsed="30min")
class TestIt(unittest.IsolatedAsyncioTestCase):
    async def test_it(self):
        await aask()
        await asyncio.sleep(PAUSE)
        await aask()
"""
    )
    source = (suite.path / "test_it.py").read_text()
    (suite.path / "test_it.py").write_text(source.replace("PAUSE", "0.01"))
    suite.record().assert_outcomes(passed=1)
    (suite.path / "test_it.py").write_text(source.replace("PAUSE", "3600"))

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["elapsed was 360?.*s, 180?.*s over the budget of 30min"])


OUTCOMES = """
@pytest.mark.latency_budget(ttft="3s")
class TestIt(unittest.TestCase):
    def test_passes(self):
        stream("passes")

    def test_fails(self):
        self.assertEqual(stream("fails"), "something else")

    def test_raises(self):
        raise RuntimeError(stream("raises"))

    def test_skips_itself(self):
        stream("skips")
        self.skipTest("not today")

    @unittest.skip("never")
    def test_is_skipped(self):
        stream("skipped")

    @unittest.expectedFailure
    def test_is_expected_to_fail(self):
        self.fail(stream("expected"))
"""


def test_methods_that_do_not_end_well_are_not_recorded(suite: Suite) -> None:
    suite.write(OUTCOMES)

    suite.record("--latency-budget").assert_outcomes(passed=1, failed=2, skipped=2, xfailed=1)

    assert suite.recordings() == ["cassettes/test_it/TestIt.test_passes.1.jsonl"]
    outcomes = {test["nodeid"].rpartition("::")[2]: test["outcome"] for test in suite.report["tests"]}
    assert outcomes == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_raises": "failed",
        "test_skips_itself": "skipped",
        "test_is_skipped": "skipped",
        "test_is_expected_to_fail": "xfailed",
    }


def test_methods_that_do_not_end_well_leave_their_old_recordings(suite: Suite) -> None:
    suite.write(OUTCOMES.replace('self.assertEqual(stream("fails"), "something else")', 'stream("old")'))
    suite.record()
    old = (suite.path / "cassettes/test_it/TestIt.test_fails.1.jsonl").read_bytes()
    suite.write(OUTCOMES)

    suite.record("--latency-budget")

    assert (suite.path / "cassettes/test_it/TestIt.test_fails.1.jsonl").read_bytes() == old


def test_the_budget_of_a_failing_method_is_not_judged(suite: Suite) -> None:
    suite.write(OUTCOMES.replace('ttft="3s"', 'ttft="1ms"'))
    _slow_around(suite)

    result = suite.record("--latency-budget", "-k", "fails or raises")

    result.assert_outcomes(failed=2, deselected=4)
    result.stdout.no_fnmatch_line("*over the budget*")


def test_a_broken_budget_fails_the_method(suite: Suite) -> None:
    suite.write(SYNC.replace("calls=1", "calls=0"))
    suite.record()

    result = suite.replay()

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["calls were 1, 1 over the budget of 0", "*@latency_budget on test_it.py::TestIt"])
    result.stdout.no_fnmatch_line("*unittest/case.py*")


def test_a_miss_fails_the_method_whatever_it_makes_of_it(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_budget(calls=9)
class TestIt(unittest.TestCase):
    def test_swallowed(self):
        try:
            ask()
        except BaseException:
            pass

    def test_skipped(self):
        try:
            ask()
        except BaseException:
            self.skipTest("no API")

    def test_failed(self):
        with self.assertRaises(ValueError):
            ask()
"""
    )

    result = suite.replay()

    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines([NOTHING_RECORDED.format(request="POST /v1/messages")] * 3)


def test_a_miss_in_set_up_or_tear_down_fails_the_method(suite: Suite) -> None:
    suite.write(SYNC)

    result = suite.replay()

    assert not result.parseoutcomes().get("passed")
    result.stdout.fnmatch_lines([NOTHING_RECORDED.format(request="POST /v1/messages")] * 2)


def test_sub_tests_belong_to_their_method(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_budget(calls=2)
class TestIt(unittest.TestCase):
    def test_it(self):
        for word in ("one", "two", "three"):
            with self.subTest(word):
                ask(word)
"""
    )
    suite.record()

    result = suite.replay()

    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["calls were 3, 1 over the budget of 2"])


def test_a_failing_sub_test_leaves_the_old_recording(suite: Suite) -> None:
    source = """
@pytest.mark.latency_budget(calls=3)
class TestIt(unittest.TestCase):
    def test_it(self):
        for word in ("one", "two"):
            with self.subTest(word):
                self.assertEqual(ask(word), "Hello world" if word != BAD else "")
"""
    suite.write(source.replace("BAD", "None"))
    suite.record().assert_outcomes(passed=1)
    (name,) = suite.recordings()
    old = (suite.path / name).read_bytes()
    suite.write(source.replace("BAD", "'one'"))

    result = suite.record()

    assert result.ret != 0
    assert (suite.path / name).read_bytes() == old


def test_markers_stand_on_methods_and_fixtures_are_autouse(suite: Suite) -> None:
    suite.write(
        """
class TestIt(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def measured(self, claude_latency):
        self.latency = claude_latency

    @pytest.mark.latency_budget(ttft="3s")
    def test_it(self):
        stream()
        self.assertEqual(len(self.latency.calls), 1)
        with self.latency.budget(calls=1):
            stream("again")
"""
    )
    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)


def test_a_method_without_a_call_breaks_its_own_promise(suite: Suite) -> None:
    suite.write(
        """
class TestIt(unittest.TestCase):
    def setUp(self):
        ask()

    @pytest.mark.latency_budget(ttft="3s")
    def test_it(self):
        pass
"""
    )
    suite.record()

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"{NO_CALL}*"])

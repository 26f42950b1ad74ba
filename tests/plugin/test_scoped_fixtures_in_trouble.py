"""Fixtures of wider scope that fail, miss, share workers, run on loops; and xunit hooks, which become fixtures."""

from __future__ import annotations

import pytest

from pytest_claude_latency.cassettes.mismatch import NOTHING_FITS, NOTHING_RECORDED
from pytest_claude_latency.errors import CassetteError, CassetteWriteError
from tests.plugin.suite import Suite

ANSWER = """
@pytest.fixture(scope="module")
def answer():
    yield ask("set-up")
    ask("teardown")


def test_one(claude_latency, answer):
    ask("one")


def test_two(claude_latency, answer):
    ask("two")
"""

NAME = "cassettes/test_it/@module.answer.jsonl"


def test_a_fixture_without_a_recording_names_it_and_the_command(suite: Suite) -> None:
    suite.write(ANSWER)
    suite.record()
    (suite.path / NAME).unlink()

    result = suite.replay()

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            NOTHING_RECORDED.format(request="POST /v1/messages"),
            f"  missing   {NAME}",
            "  tests     2 tests meet this, and one command records them all",
            "  record    pytest --latency-mode=record test_it.py::test_one \\",
            "            test_it.py::test_two",
        ]
    )


def test_the_printed_command_records_the_fixture(suite: Suite) -> None:
    suite.write(ANSWER)

    suite.record("test_it.py").assert_outcomes(passed=2)

    suite.replay().assert_outcomes(passed=2)


def test_a_miss_that_a_fixture_swallows_errors_the_test(suite: Suite) -> None:
    suite.write(
        """
@pytest.fixture(scope="module")
def answer():
    try:
        return ask()
    except BaseException:
        return None


def test_it(claude_latency, answer):
    pass
"""
    )

    result = suite.replay()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ERROR at setup of test_it*", NOTHING_RECORDED.format(request="*")])


def test_a_miss_in_its_teardown_errors_the_last_test(suite: Suite) -> None:
    suite.write(ANSWER)
    suite.record()
    suite.write(ANSWER.replace('ask("teardown")', 'ask("something else")'))

    result = suite.replay()

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_two*", NOTHING_FITS.format(request="*"), f"*{NAME}*"])


@pytest.mark.parametrize("what", ["truncated", "foreign"])
def test_a_bad_recording_of_a_fixture_errors_at_set_up(suite: Suite, what: str) -> None:
    suite.write(ANSWER)
    suite.record()
    data = (suite.path / NAME).read_bytes()
    (suite.path / NAME).write_bytes(data[:300] if what == "truncated" else b"{}\n")

    result = suite.replay()

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines([f"{CassetteError.what}: *", f"  file      {NAME}, line *"])
    result.stdout.no_fnmatch_line("*Traceback*")


FAILURES = {
    "in its set-up": ANSWER.replace('yield ask("set-up")', 'ask("set-up")\n    raise RuntimeError\n    yield'),
    "in its teardown": ANSWER + "\n",
    "by a skip": ANSWER.replace('yield ask("set-up")', 'ask("set-up")\n    pytest.skip()\n    yield'),
}
FAILURES["in its teardown"] = ANSWER.replace('ask("teardown")', 'ask("teardown")\n    raise RuntimeError')


@pytest.mark.parametrize("how", FAILURES)
def test_a_fixture_that_fails_leaves_its_old_recording(suite: Suite, how: str) -> None:
    suite.write(ANSWER)
    suite.record()
    before = (suite.path / NAME).read_bytes()
    suite.write(FAILURES[how])

    suite.record()

    assert (suite.path / NAME).read_bytes() == before


def test_a_fixture_is_recorded_although_its_tests_fail(suite: Suite) -> None:
    suite.write(ANSWER.replace('    ask("one")', "    assert False").replace('    ask("two")', "    assert False"))

    suite.record().assert_outcomes(failed=2)

    assert suite.recordings() == [NAME]


def test_a_recording_of_a_fixture_that_cannot_be_written_is_an_error(suite: Suite) -> None:
    suite.write(ANSWER)
    (suite.path / "cassettes").write_text("not a folder")

    result = suite.record("-k", "one")

    result.assert_outcomes(passed=1, errors=1, deselected=1)
    result.stdout.fnmatch_lines([f"*{CassetteWriteError.what}: Not a directory*", f"*file      {NAME}*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_the_recording_of_a_fixture_that_makes_no_more_calls_is_removed(suite: Suite) -> None:
    suite.write(ANSWER)
    suite.record()
    suite.write(ANSWER.replace('yield ask("set-up")', "yield").replace('ask("teardown")', "pass"))

    suite.record().assert_outcomes(passed=2)

    assert NAME not in suite.recordings()


def test_recorded_calls_that_a_fixture_no_longer_makes_are_a_warning(suite: Suite) -> None:
    suite.write(ANSWER)
    suite.record()
    suite.write(ANSWER.replace('ask("teardown")', "pass"))

    usual = suite.replay()
    strict = suite.replay("--latency-strict")

    usual.assert_outcomes(passed=2)
    usual.stdout.fnmatch_lines(["warning: 1 of 2 recorded exchanges were not used:*", f"*{NAME}*"])  # wrapped
    strict.assert_outcomes(passed=2, errors=1)


XUNIT = {
    "setUpModule": (
        "def setUpModule():\n    ask('set-up')\n\n\ndef tearDownModule():\n    ask('teardown')\n\n\n"
        "def test_it(claude_latency):\n    ask()\n",
        "@module.setUpModule",
    ),
    "setup_module": (
        "def setup_module():\n    ask('set-up')\n\n\ndef teardown_module():\n    ask('teardown')\n\n\n"
        "def test_it(claude_latency):\n    ask()\n",
        "@module.setup_module",
    ),
    "setup_class": (
        "class TestIt:\n    @classmethod\n    def setup_class(cls):\n        ask('set-up')\n\n"
        "    @classmethod\n    def teardown_class(cls):\n        ask('teardown')\n\n"
        "    def test_it(self, claude_latency):\n        ask()\n",
        "@class.TestIt.setup_class",
    ),
    "setUpClass": (
        "@pytest.mark.latency_budget(calls=1)\nclass TestIt(unittest.TestCase):\n    @classmethod\n"
        "    def setUpClass(cls):\n        ask('set-up')\n        cls.addClassCleanup(ask, 'clean-up')\n\n"
        "    @classmethod\n    def tearDownClass(cls):\n        ask('teardown')\n\n"
        "    def test_it(self):\n        ask()\n",
        "@class.TestIt.setUpClass",
    ),
}


@pytest.mark.parametrize("hook", XUNIT)
def test_the_recording_of_an_xunit_hook_is_named_after_the_hook(suite: Suite, hook: str) -> None:
    source, name = XUNIT[hook]
    suite.write(source)
    suite.record().assert_outcomes(passed=1)

    suite.replay("--latency-strict").assert_outcomes(passed=1)

    assert f"cassettes/test_it/{name}.jsonl" in suite.recordings()
    assert len(suite.recordings()) == 2


def test_setup_method_and_setup_function_belong_to_the_test(suite: Suite) -> None:
    suite.write(
        """
def setup_function():
    ask("set-up")


def test_it(claude_latency):
    assert len(claude_latency.setup_calls) == 1


class TestIt:
    def setup_method(self):
        ask("set-up")

    def test_it(self, claude_latency):
        assert len(claude_latency.setup_calls) == 1
"""
    )
    suite.record().assert_outcomes(passed=2)

    suite.replay().assert_outcomes(passed=2)


ON_LOOPS = {
    "pytest-asyncio": """
import pytest_asyncio


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client():
    async with anthropic.AsyncAnthropic() as client:
        await aask("set-up", client=client)
        yield client
        await aask("teardown", client=client)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.latency_budget(calls=1, elapsed="30min")
async def test_one(client):
    await aask("one", client=client)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.latency_budget(calls=1)
async def test_two(client):
    await aask("two", client=client)
""",
    "anyio": """
@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def client(anyio_backend):
    async with anthropic.AsyncAnthropic() as client:
        await aask("set-up", client=client)
        yield client
        await aask("teardown", client=client)


@pytest.mark.anyio
@pytest.mark.latency_budget(calls=1)
async def test_one(client):
    await aask("one", client=client)


@pytest.mark.anyio
@pytest.mark.latency_budget(calls=1)
async def test_two(client):
    await aask("two", client=client)
""",
}


@pytest.mark.parametrize("plugin", ON_LOOPS)
def test_an_async_fixture_on_a_loop_of_higher_scope(suite: Suite, plugin: str) -> None:
    suite.write(ON_LOOPS[plugin])
    suite.record().assert_outcomes(passed=2)

    suite.replay("--latency-strict", "-W", "error").assert_outcomes(passed=2)

    assert len(suite.recordings()) == 3


@pytest.mark.slow
def test_under_xdist_the_first_complete_writer_wins_and_all_replay(suite: Suite) -> None:
    tests = "\n\n".join(f"def test_{number}(claude_latency, answer):\n    ask({number!r})\n" for number in range(6))
    fixture = ANSWER.partition("def test_one")[0].replace('"module"', '"session"')
    suite.write(fixture + tests.replace("ask(", "ask('%s' % "))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_API_KEY", "a-key-for-tests")
        patch.setenv("ANTHROPIC_BASE_URL", suite.server.url)
        recorded = suite.pytester.runpytest_subprocess("-n", "2", "--latency-mode=record")
    replayed = suite.pytester.runpytest_subprocess("-n", "2", "--latency-budget", "--latency-strict")

    recorded.assert_outcomes(passed=6)
    replayed.assert_outcomes(passed=6)
    assert "cassettes/test_it/@session.answer.jsonl" in suite.recordings()
    suite.replay().assert_outcomes(passed=6)


@pytest.mark.slow
def test_a_damaged_recording_of_a_fixture_is_recorded_anew_by_workers(suite: Suite) -> None:
    suite.write(
        """
@pytest.fixture(scope="module")
def wide():
    return ask("wide")

@pytest.mark.latency_budget(total="5s")
def test_it(wide):
    ask("it")
"""
    )
    suite.record()
    damaged = suite.path / "cassettes/test_it/@module.wide.jsonl"
    damaged.write_text("<<<<<<< HEAD\n")

    suite.record("-n", "1").assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)

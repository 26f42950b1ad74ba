"""A request that no recording answers: the test fails at once, even if the application handles the error."""

from __future__ import annotations

import pytest

from pytest_claude_latency.cassettes.mismatch import NOTHING_FITS, NOTHING_RECORDED, SENT_TOO_OFTEN
from tests.plugin.suite import Suite, whole_lines
from tests.support.claude_answers import status
from tests.support.claude_messages import text

SWALLOWED = {
    "nothing": "ask('new')",
    "except Exception": """
    try:
        ask('new')
    except Exception:
        pass
""",
    "except BaseException": """
    try:
        ask('new')
    except BaseException:
        pass
""",
    "a bare retry loop": """
    for attempt in range(3):
        try:
            ask('new')
        except:
            time.sleep(60)
""",
    "tenacity": """
    import tenacity
    tenacity.Retrying(wait=tenacity.wait_fixed(60), stop=tenacity.stop_after_attempt(3))(ask, 'new')
""",
    "a fallback": """
    try:
        ask('new')
    except BaseException:
        assert ask('old') == 'Hello world'
""",
    "gather": """
    async def main():
        await asyncio.gather(aask('old'), aask('new'), return_exceptions=True)
    asyncio.run(main())
""",
    "a task nobody awaits": """
    async def main():
        task = asyncio.ensure_future(aask('new'))
        await asyncio.sleep(1)
    asyncio.run(main())
""",
    "a pool": """
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor() as pool:
        pool.submit(ask, 'new')
""",
    "a thread": """
    import threading
    thread = threading.Thread(target=ask, args=('new',))
    thread.start()
    thread.join()
""",
    "an assertion of its own": """
    try:
        ask('new')
    except BaseException:
        assert False, "the application's own story"
""",
    "a skip": """
    try:
        ask('new')
    except BaseException:
        pytest.skip("no API")
""",
}

MISS = NOTHING_FITS.format(request="POST /v1/messages")


@pytest.mark.parametrize("how", SWALLOWED)
def test_a_miss_fails_the_test_even_if_the_application_handles_it(suite: Suite, how: str) -> None:
    suite.write("def test_it(claude_latency):\n    ask('old')\n")
    suite.once(suite.record)
    body = SWALLOWED[how].strip("\n")
    suite.write(
        '@pytest.mark.filterwarnings("ignore")\n'
        f"def test_it(claude_latency):\n    {body.strip() if how == 'nothing' else body.lstrip()}\n"
    )

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            MISS,
            "  nearest   exchange 1 of cassettes/test_it/test_it.1.jsonl*",
            "            differs in one place:",
            '*messages[[]0[]].content   recorded  "old"',
            '*sent      "new"',
            "  record    pytest --latency-mode=record test_it.py::test_it",
        ]
    )
    assert suite.test("test_it")["outcome"] == "failed"


def test_a_miss_is_no_failure_that_a_marker_expects(suite: Suite) -> None:
    suite.write(
        """
@pytest.fixture
def asked():
    ask('new')

@pytest.fixture
def asked_at_last():
    yield
    ask('new')

@pytest.mark.xfail(reason="known")
def test_body(claude_latency):
    ask('new')

@pytest.mark.xfail
def test_set_up(claude_latency, asked):
    pass

@pytest.mark.xfail
def test_teardown(claude_latency, asked_at_last):
    assert False

@pytest.mark.xfail
def test_without_a_call(claude_latency):
    assert False
"""
    )

    suite.replay().assert_outcomes(failed=1, errors=2, xfailed=2)

    assert suite.test("test_body")["outcome"] == "failed"


def test_a_miss_causes_neither_retries_nor_waiting(suite: Suite) -> None:
    suite.write(
        """
def test_it(claude_latency):
    started = time.monotonic()
    try:
        ask(client=anthropic.Anthropic(max_retries=5))
    except BaseException as error:
        save_result([time.monotonic() - started, len(claude_latency.calls), isinstance(error, Exception)])
"""
    )

    suite.replay().assert_outcomes(failed=1)

    waited, calls, is_ordinary = suite.saved_result
    assert waited < 0.1
    assert calls == 0
    assert not is_ordinary  # neither the SDK nor an application's `except Exception` may take it for a failed call


def test_a_miss_in_a_fixture_errors_the_test(suite: Suite) -> None:
    suite.write(
        """
@pytest.fixture
def asked():
    try:
        ask()
    except BaseException:
        pass


@pytest.fixture
def asked_at_last():
    yield
    try:
        ask()
    except BaseException:
        pass


def test_set_up(claude_latency, asked):
    pass


def test_teardown(claude_latency, asked_at_last):
    pass
"""
    )

    result = suite.replay()

    result.assert_outcomes(errors=2, passed=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_set_up*",
            "nothing is recorded*",
            "*ERROR at teardown of test_teardown*",
            "nothing is*",
        ]
    )


def test_a_missing_recording_is_named_with_the_command(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    ask()\n")

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            NOTHING_RECORDED.format(request="POST /v1/messages"),
            "  missing   cassettes/test_it/test_it.1.jsonl",
            "  record    pytest --latency-mode=record test_it.py::test_it",
        ]
    )


def test_a_test_without_calls_needs_no_recording(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    assert claude_latency.calls == ()\n")

    suite.replay().assert_outcomes(passed=1)


def test_more_requests_than_were_recorded(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    ask(), ask()\n")
    suite.record()
    suite.write("def test_it(claude_latency):\n    ask(), ask(), ask()\n")

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            SENT_TOO_OFTEN.format(request="POST /v1/messages"),
            "  recorded  2 times, as exchanges 1 and 2 of cassettes/test_it/test_it.1.jsonl,",
            "            already used",
        ]
    )


CHANGED = {
    "the model": ("ask(model='claude-opus-4-1')", '*model*recorded  "claude-haiku-4-5"'),
    "max_tokens": ("ask(max_tokens=200)", "*max_tokens*recorded  100"),
    "the stream": ("stream()", "*stream*recorded  (absent)"),
    "the system prompt": ("ask(system='Be brief')", "*system*recorded  (absent)"),
    "the endpoint": (
        "anthropic.Anthropic().messages.count_tokens(model='claude-haiku-4-5', messages=messages('hi'))",
        '*path*recorded  "/v1/messages"',
    ),
}


@pytest.mark.parametrize("what", CHANGED)
def test_a_changed_request_does_not_get_the_answer_of_another(suite: Suite, what: str) -> None:
    call, says = CHANGED[what]
    suite.write("def test_it(claude_latency):\n    ask()\n")
    suite.once(suite.record)
    suite.write(f"def test_it(claude_latency):\n    {call}\n")

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([NOTHING_FITS.format(request="*"), says])


def test_identical_requests_get_their_answers_in_the_recorded_order(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    save_result([ask(), ask(), ask('else'), ask()])\n")
    suite.server.answer(text("one"), text("two"), text("three"), text("four"))
    suite.record()

    suite.replay().assert_outcomes(passed=1)

    assert suite.saved_result == ["one", "two", "three", "four"]


def test_unused_recordings_are_a_warning(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    ask('one')\n    ask('two')\n")
    suite.record()
    suite.write("def test_it(claude_latency):\n    ask('one')\n")

    usual = suite.replay()
    strict = suite.replay("--latency-strict")

    usual.assert_outcomes(passed=1)
    usual.stdout.fnmatch_lines(["warning: test_it.py::test_it: 1 of 2 recorded exchanges were not used*"])
    strict.assert_outcomes(passed=1, errors=1)
    whole_lines(strict).fnmatch_lines(
        [
            "1 of 2 recorded exchanges were not used: *; record them again: pytest * test_it.py::test_it",
            "  why       with --latency-strict this warning fails",
        ]
    )


def test_a_test_that_failed_by_itself_has_no_warning_about_unused_recordings(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    ask('one')\n    ask('two')\n")
    suite.record()
    suite.write("def test_it(claude_latency):\n    ask('one')\n    assert False\n")

    result = suite.replay("--latency-strict")

    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*not used*")


def test_a_portal_goes_on_after_a_miss(suite: Suite) -> None:
    suite.write(
        """
from anyio.from_thread import start_blocking_portal


@pytest.fixture(scope="module")
def portal():
    with start_blocking_portal() as portal:
        yield portal


async def in_a_group():
    async with asyncio.TaskGroup() as group:
        group.create_task(aask())


@pytest.mark.parametrize("function", [aask, in_a_group])
def test_it(function, portal, claude_latency):
    portal.call(function)


def test_ordinary(portal):
    assert portal.call(asyncio.sleep, 0, "on") == "on"
"""
    )

    result = suite.replay()

    result.assert_outcomes(failed=2, passed=1)
    assert result.stdout.str().count("\n" + NOTHING_RECORDED.format(request="POST /v1/messages\n")) == 2
    result.stdout.no_fnmatch_line("*portal is not running*")


# ── several tests, one cause ──

THREE = """
def test_a(claude_latency):
    ask("a")

@pytest.mark.parametrize("text", ["b b", "c"])
def test_b(claude_latency, text):
    ask(text)
"""


def _after_a_change(suite: Suite) -> None:
    """Three recorded tests, and an application that asks another model since."""
    suite.write(THREE)
    suite.record().assert_outcomes(passed=3)
    app = suite.path / "app.py"
    app.write_text(app.read_text().replace("claude-haiku-4-5", "claude-opus-4-8"))


def test_one_change_that_several_tests_meet_is_told_once_with_one_command_for_all(suite: Suite) -> None:
    _after_a_change(suite)

    result = suite.run("--latency-budget", "--junitxml=junit.xml")

    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            NOTHING_FITS.format(request="POST /v1/messages"),
            "  made at   app.py:15 in ask",
            "  changed   model claude-haiku-4-5 → claude-opus-4-8: a bigger one",
            "  nearest   exchange 1 of cassettes/test_it/test_a.1.jsonl",
            "            differs in one place:",
            "  tests     3 tests meet this, and one command records them all",
            "  do        ask claude-haiku-4-5 again",
            "            if this was meant:",
            "            pytest --latency-mode=record test_it.py::test_a *",
            "*'test_it.py::test_b?b b?'*'test_it.py::test_b?c?'",
            "*_ test_b?b b? _*",
            NOTHING_FITS.format(request="POST /v1/messages"),
            "  cause     the same as that of test_it.py::test_a",
        ]
    )
    assert result.stdout.str().count("claude-haiku-4-5 → claude-opus-4-8") == 1
    # readers of single tests get all of it
    assert "the same as that of" not in (suite.path / "junit.xml").read_text()


def test_the_command_for_all_is_the_shortest_that_selects_exactly_these(suite: Suite) -> None:
    _after_a_change(suite)
    result = suite.pytester.runpytest("--latency-budget")
    result.stdout.fnmatch_lines(["  do        ask claude-haiku-4-5 again", "*meant: pytest --latency-mode=record --lf"])

    result = suite.pytester.runpytest("--latency-budget", "test_it.py")
    result.stdout.fnmatch_lines(["*: pytest --latency-mode=record --lf test_it.py"])

    suite.write(THREE + "\n\ndef test_other():\n    assert False\n")
    result = suite.pytester.runpytest("--latency-budget")

    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["            pytest --latency-mode=record test_it.py::test_a *"])


@pytest.mark.slow
def test_workers_tell_a_cause_once_as_well(suite: Suite) -> None:
    _after_a_change(suite)

    result = suite.run("--latency-budget", "-n2")

    result.assert_outcomes(failed=3)
    assert result.stdout.str().count("claude-haiku-4-5 → claude-opus-4-8") == 1
    result.stdout.fnmatch_lines(["  tests     3 tests meet this, and one command records them all"])


def test_a_miss_of_a_fixture_is_told_once_with_the_tests_that_record_it(suite: Suite) -> None:
    suite.write(
        """
@pytest.fixture(scope="module")
def asked():
    return ask()

def test_a(claude_latency, asked):
    pass

def test_b(claude_latency, asked):
    pass

def test_c(claude_latency):
    ask()
"""
    )

    result = suite.replay()

    result.assert_outcomes(errors=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_a*",
            "  tests     3 tests meet this, and one command records them all",
            "  record    pytest --latency-mode=record test_it.py::test_a \\",
            "            test_it.py::test_b test_it.py::test_c",
            "*ERROR at setup of test_b*",
            "  cause     the same as that of test_it.py::test_a",
            "*_ test_c _*",
            "  cause     the same as that of test_it.py::test_a",
        ]
    )


def test_tests_of_two_causes_are_told_apart(suite: Suite) -> None:
    suite.write("def test_a(claude_latency):\n    ask()\n\n\ndef test_b(claude_latency):\n    stream()\n")

    result = suite.replay()

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["  made at   app.py:15 in ask", "  made at   app.py:22 in stream"])
    result.stdout.no_fnmatch_line("  tests *")


def test_a_call_too_many_names_what_held_the_loop_until_a_timer_fired(suite: Suite) -> None:
    suite.write(
        """
import store

async def answer(client):
    try:
        async with asyncio.timeout(60):
            return await aask("hi", client)
    except TimeoutError:
        return await aask("hi", client)


async def note():
    await asyncio.sleep(0.1)
    store.keep()


def test_it(claude_latency):
    async def main():
        async with anthropic.AsyncAnthropic() as client:
            await asyncio.gather(answer(client), note())
    asyncio.run(main())
"""
    )
    suite.pytester.makepyfile(store="import time\n\n\ndef keep():\n    pass\n")
    suite.server.answer(text("Hello", ttfb="300ms"))
    suite.record().assert_outcomes(passed=1)
    suite.pytester.makepyfile(store="import time\n\n\ndef keep():\n    time.sleep(61)\n")

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            SENT_TOO_OFTEN.format(request="POST /v1/messages"),
            "  made at   app.py:30 in aask",
            "  called by test_it.py:13 in answer",
            "  let by    time.sleep at store.py:5 in keep held the event loop for 61.000s;",
            "            the timer of the task *answer at test_it.py:1? in answer was due",
            "  do        mend what holds the event loop at store.py:5 in keep",
        ]
    )


TIMED = """
def test_it(claude_latency):
    ask("hi", anthropic.Anthropic(timeout=5))
"""


def test_a_call_too_many_after_a_shorter_time_out_is_told_as_that(suite: Suite) -> None:
    suite.write(TIMED)
    suite.server.answer(text("Hello", ttfb="300ms"))
    suite.record().assert_outcomes(passed=1)
    suite.write(TIMED.replace("timeout=5", "timeout=0.1"))

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            SENT_TOO_OFTEN.format(request="POST /v1/messages"),
            "  let by    a time-out that fired 1??ms after the request was sent, before the",
            "            recorded answer (3??ms); the program asks again",
            "  do        give the call its time-out again",
        ]
    )


GIVEN_UP = """
async def patient(client):
    try:
        async with asyncio.timeout(60):
            return await aask("hi", client)
    except TimeoutError:
        return await aask("hi", client)


async def hedged(client):
    first = asyncio.ensure_future(aask("hi", client))
    done, _ = await asyncio.wait([first], timeout=60)
    return first.result() if done else await aask("hi", client)


@pytest.mark.parametrize("ask", [patient, hedged])
def test_it(claude_latency, ask):
    async def main():
        async with anthropic.AsyncAnthropic() as client:
            await ask(client)
    asyncio.run(main())
"""


def test_a_call_too_many_tells_that_the_program_no_longer_waits_for_the_answer(suite: Suite) -> None:
    suite.write(GIVEN_UP)
    for _ in range(2):
        suite.server.answer(text("Hello", ttfb="300ms"))
    suite.record().assert_outcomes(passed=2)
    suite.write(GIVEN_UP.replace("60", "0.2"))

    result = suite.replay()

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "  let by    the program gave the same request up 200ms after it was sent,",
            "            before the recorded answer (*), and asks again",
            "  do        wait for the answer as long as before",
            "  let by    the same request, sent 200ms ago, is not answered yet; the program",
            "            asks beside it",
        ]
    )


TIMED_WITH_FALLBACK = """
def test_it(claude_latency):
    try:
        ask("hi", anthropic.Anthropic(timeout=5, max_retries=0))
    except anthropic.APITimeoutError:
        ask("in a word: hi")
"""


def test_a_fallback_after_a_shorter_time_out_is_told_as_that_too(suite: Suite) -> None:
    suite.write(TIMED_WITH_FALLBACK)
    suite.server.answer(text("Hello", ttfb="300ms"))
    suite.record().assert_outcomes(passed=1)
    suite.write(TIMED_WITH_FALLBACK.replace("timeout=5", "timeout=0.1"))

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "this POST /v1/messages is a call that was not recorded",
            "  let by    a time-out that fired 1??ms after the request was sent, before the",
            "  do        give the call its time-out again",
        ]
    )


OTHER_LINES = """
MODEL = "claude-haiku-4-5"


def test_a(claude_latency):
    ask(model=MODEL)


def test_b(claude_latency):
    stream(model=MODEL)
"""


def test_another_model_is_one_cause_for_all_lines_that_ask_it(suite: Suite) -> None:
    suite.write(OTHER_LINES)
    suite.record().assert_outcomes(passed=2)
    suite.write(OTHER_LINES.replace("haiku-4-5", "opus-4-8"))

    result = suite.replay()

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "  made at   app.py:* in ask",
            "  changed   model claude-haiku-4-5 → claude-opus-4-8: a bigger one",
            "  tests     2 tests meet this, and one command records them all",
            "  made at   app.py:* in stream",
            "  cause     the same as that of test_it.py::test_a",
        ]
    )


FALLBACK = """
def test_it(claude_latency):
    try:
        text = ask('hi', anthropic.Anthropic(max_retries=0))
    except anthropic.APIStatusError:
        text = ask('hi', model='claude-sonnet-4-6')
    assert text
"""


def test_a_program_that_gives_up_after_a_failure_is_told_what_followed_while_recording(suite: Suite) -> None:
    suite.write(FALLBACK)
    suite.server.answer(status(529))
    suite.record().assert_outcomes(passed=1)
    suite.write(FALLBACK.replace("text = ask('hi', model='claude-sonnet-4-6')", "raise"))

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- claude latency -*",
            "a request that followed a failure while recording was not sent",
            "*recorded  exchange 1 ended with 529, and the program went on with exchange 2:",
            "            POST /v1/messages, claude-sonnet-4-6",
        ]
    )


def test_a_test_that_fails_before_its_later_calls_is_told_nothing_about_them(suite: Suite) -> None:
    body = "def test_it(claude_latency):\n    ask('one')\n    {then}\n    ask('two')\n"
    suite.write(body.format(then="pass"))
    suite.record().assert_outcomes(passed=1)
    suite.write(body.format(then="assert False"))

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*while recording*")

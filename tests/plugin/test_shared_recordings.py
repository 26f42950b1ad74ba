"""`latency_cassette`: a recording shared by name, what is left out of matching, answers that repeat."""

from __future__ import annotations

import pytest

from tests.plugin.suite import Suite, whole_lines
from tests.support.claude_messages import text

SHARED = """
shared = pytest.mark.latency_cassette(name="greeting")


@pytest.mark.latency_cassette(name="greeting", owner=True)
def test_owner(claude_latency):
    save_result([ask("one"), ask("two")])


@shared
def test_reader(claude_latency):
    save_result([ask("two"), len(claude_latency.calls)])


@shared
@pytest.mark.latency_budget(ttft="5s", calls=2)
def test_other_reader():
    ask("one"), ask("two")
"""


def test_one_test_writes_and_the_others_read(suite: Suite) -> None:
    suite.write(SHARED)
    suite.server.answer(text("ONE"), text("TWO"))

    recorded = suite.record("-k", "owner")
    replayed = suite.replay("--latency-strict")

    recorded.assert_outcomes(passed=1, deselected=2)
    replayed.assert_outcomes(passed=3)
    assert len(suite.server.log) == 2
    (name,) = suite.recordings()
    assert "greeting" in name


def test_readers_replay_while_the_owner_records(suite: Suite) -> None:
    suite.write(SHARED)

    result = suite.record()

    result.assert_outcomes(passed=3)
    assert len(suite.server.log) == 2
    assert len(suite.recordings()) == 1


def test_an_owner_that_comes_after_its_readers_is_recorded_first(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_cassette(name="greeting")
def test_reader(claude_latency):
    ask()


def test_between():
    pass


@pytest.mark.latency_cassette(name="greeting", owner=True)
def test_owner(claude_latency):
    ask()
"""
    )

    recorded = suite.record("-v")
    replayed = suite.replay("-v")

    recorded.assert_outcomes(passed=3)
    recorded.stdout.fnmatch_lines(["*::test_owner PASSED*", "*::test_reader PASSED*", "*::test_between PASSED*"])
    replayed.assert_outcomes(passed=3)
    replayed.stdout.fnmatch_lines(["*::test_reader PASSED*", "*::test_between PASSED*", "*::test_owner PASSED*"])


def test_an_owner_is_recorded_first_whatever_shuffles_the_tests(suite: Suite) -> None:
    suite.write(SHARED)
    suite.pytester.makeconftest("def pytest_collection_modifyitems(items):\n    items.reverse()\n")

    suite.record().assert_outcomes(passed=3)


def test_a_reader_in_another_file_of_the_folder_shares_it(suite: Suite) -> None:
    suite.write(SHARED)
    suite.write(
        '@pytest.mark.latency_cassette(name="greeting")\ndef test_far(claude_latency):\n    ask("two")\n',
        name="test_other",
    )
    suite.record("test_it.py").assert_outcomes(passed=3)

    suite.replay().assert_outcomes(passed=4)
    suite.replay("test_other.py").assert_outcomes(passed=1)


def test_the_same_name_in_another_folder_is_another_recording(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(suite.path)
    for folder in ("one", "two"):
        (suite.path / folder).mkdir()
        suite.write(SHARED, name=f"{folder}/test_{folder}")

    suite.record().assert_outcomes(passed=6)

    assert len(suite.recordings()) == 2
    suite.replay().assert_outcomes(passed=6)


def test_a_reader_that_runs_alone_replays_the_recording(suite: Suite) -> None:
    suite.write(SHARED)
    suite.record()

    suite.replay("test_it.py::test_reader").assert_outcomes(passed=1)
    assert suite.saved_result == ["Hello world", 1]


def test_a_reader_that_runs_alone_in_record_mode_calls_no_server(suite: Suite) -> None:
    suite.write(SHARED)
    suite.record()

    suite.record("test_it.py::test_reader").assert_outcomes(passed=1)

    assert len(suite.server.log) == 2


@pytest.mark.parametrize("mode", ["replay", "record", "record-missing"])
def test_a_reader_of_a_missing_recording_names_the_owner(suite: Suite, mode: str) -> None:
    suite.write(SHARED)

    result = suite.run(f"--latency-mode={mode}", "test_it.py::test_reader", key="key", base_url=suite.server.url)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    whole_lines(result).fnmatch_lines(['@latency_cassette(name="greeting"): no test that was collected owns it*'])
    assert suite.server.log == ()


def test_a_miss_of_a_reader_names_the_command_that_records_the_owner(suite: Suite) -> None:
    suite.write(SHARED)
    suite.record()
    suite.write(SHARED.replace('save_result([ask("two"), ', 'save_result([ask("three"), '))

    result = suite.replay()

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["  record    pytest --latency-mode=record test_it.py::test_owner"])


def test_two_owners_are_an_error(suite: Suite) -> None:
    suite.write(
        SHARED
        + """

@pytest.mark.latency_cassette(name="greeting", owner=True)
def test_second_owner(claude_latency):
    ask("three")
"""
    )

    result = suite.record()

    result.assert_outcomes(errors=4)
    whole_lines(result).fnmatch_lines(
        [
            '@latency_cassette(name="greeting"): 2 tests own it: test_it.py::test_owner, '
            "test_it.py::test_second_owner; expected one test with owner=True*"
        ]
    )
    assert suite.recordings() == []


def test_of_two_owners_the_selected_one_counts(suite: Suite) -> None:
    suite.write(
        SHARED
        + """

@pytest.mark.latency_cassette(name="greeting", owner=True)
def test_second_owner(claude_latency):
    ask("three")
"""
    )

    result = suite.record("-k", "test_owner or test_second_owner")

    result.assert_outcomes(errors=2, deselected=2)


def test_a_class_may_name_the_recording_and_a_method_own_it(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_cassette(name="greeting", repeat=True)
class TestIt:
    @pytest.mark.latency_cassette(owner=True)
    def test_owner(self, claude_latency):
        ask(), ask()

    def test_reader(self, claude_latency):
        ask(), ask(), ask()
"""
    )

    suite.record().assert_outcomes(passed=2)

    suite.replay().assert_outcomes(passed=2)


def test_each_reader_is_judged_by_its_own_budget(suite: Suite) -> None:
    suite.write(SHARED.replace('ttft="5s", calls=2', "calls=1"))
    suite.record()

    result = suite.replay()

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["calls were 2, 1 over the budget of 1", "  recording cassettes/*greeting*.jsonl"])


NAMES = {"with a path": "../../escape", "with spaces": "a b/c", "very long": "x" * 300, "not ASCII": "Grüße"}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_every_name_gives_a_file_beside_the_tests(suite: Suite, name: str) -> None:
    suite.write(SHARED.replace("greeting", name))

    suite.record().assert_outcomes(passed=3)

    (path,) = suite.recordings()
    assert path.startswith("cassettes/")
    suite.replay().assert_outcomes(passed=3)


IGNORING = """
import uuid


@pytest.mark.latency_cassette(ignore=("metadata.user_id", "messages.*.content.*.cache_control"))
def test_it(claude_latency):
    anthropic.Anthropic().messages.create(
        model="claude-haiku-4-5",
        max_tokens=100,
        metadata={"user_id": uuid.uuid4().hex},
        messages=[{"role": "user", "content": [{"type": "text", "text": "hi" CACHED}]}],
    )
"""


def test_ignored_parts_of_a_request_may_differ(suite: Suite) -> None:
    suite.write(IGNORING.replace("CACHED", ', "cache_control": {"type": "ephemeral"}'))
    suite.record().assert_outcomes(passed=1)
    suite.write(IGNORING.replace("CACHED", ""))

    suite.replay().assert_outcomes(passed=1)


def test_other_parts_of_a_request_may_not_differ(suite: Suite) -> None:
    suite.write(IGNORING.replace("CACHED", ""))
    suite.record()
    suite.write(IGNORING.replace("CACHED", "").replace('"hi"', '"ho"'))

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*differs in one place:", '*content[[]0[]].text *recorded  "hi"*'])


def test_a_recorded_answer_may_repeat(suite: Suite) -> None:
    repeating = """
@pytest.mark.latency_cassette(repeat=True)
def test_it(claude_latency):
    save_result([ask() for _ in range(COUNT)])
"""
    suite.write(repeating.replace("COUNT", "2"))
    suite.server.answer(text("one"), text("two"))
    suite.record()
    suite.write(repeating.replace("COUNT", "5"))

    suite.replay("--latency-strict").assert_outcomes(passed=1)

    assert suite.saved_result == ["one", "two", "one", "two", "one"]

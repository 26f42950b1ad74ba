"""The marker `latency_answers`: tests that run with neither a key nor a recording."""

from __future__ import annotations

import json
import re

import pytest

from pytest_claude_latency import Answer, play
from pytest_claude_latency.errors import LimitError
from tests.plugin.suite import Suite, as_shown, whole_lines

ONE = """
@pytest.mark.latency_budget(ttft="500ms", total="3s")
@pytest.mark.latency_answers("You will get a refund.")
def test_one():
    assert "refund" in stream()
"""


def test_a_budget_is_kept_and_one_is_broken_without_a_key(suite: Suite) -> None:
    suite.write(
        ONE
        + """
@pytest.mark.latency_budget(total="1s")
@pytest.mark.latency_answers("word " * 200, ttft="400ms", tokens_per_second=100)
def test_two():
    stream()
"""
    )

    result = suite.replay()

    result.assert_outcomes(passed=1, failed=1)
    assert suite.calls("test_one")[0]["ttft"] == 0.43
    assert suite.calls("test_two")[0]["total"] == 2.89
    assert suite.test("test_one")["simulated"] is suite.test("test_two")["simulated"] is True
    result.stdout.fnmatch_lines(
        ["*total was 2.890s, 1.890s over the budget of 1s*", "*recording none yet: its answers are made up (simulated)"]
    )
    said = " ".join(result.stdout.str().split())
    assert re.search(r"saves about \S+ with half as many tokens \(estimate from 1 call with made-up answers\)", said)
    result.stdout.fnmatch_lines(
        ["*broken, simulated", "*430ms/500ms*kept, simulated", "simulated: its answers are made up, and no API*"],
    )
    assert suite.recordings() == []


def test_answers_come_in_turn_sync_async_and_whole_with_tools(suite: Suite) -> None:
    suite.write(
        """
from pytest_claude_latency import Answer

@pytest.mark.latency_answers("one", Answer("two"), Answer(tool_use={"look_up": {"order": 7}}), "four")
def test_all():
    assert stream() == "one" and ask() == "two"
    with anthropic.Anthropic() as client:
        with client.messages.stream(messages=messages("hi"), model="claude-haiku-4-5", max_tokens=9) as answer:
            block = answer.get_final_message().content[0]
    assert (block.name, block.input) == ("look_up", {"order": 7})
    assert asyncio.run(astream()) == "four"
"""
    )

    suite.replay().assert_outcomes(passed=1)


def test_the_marker_nearest_to_the_function_that_fits_answers(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_answers("from the class")
class TestIt:
    @pytest.mark.latency_answers("whatever else")
    @pytest.mark.latency_answers("a large one", when={"model": "claude-opus-4-*"})
    def test_it(self):
        assert stream(model="claude-opus-4-6") == "a large one"
        assert stream() == "whatever else"
"""
    )

    suite.replay().assert_outcomes(passed=1)


def test_one_call_too_many_names_the_marker(suite: Suite) -> None:
    suite.write(ONE.replace("stream()", "stream() + stream()"))

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*this POST /v1/messages is one more than the 1 answer of its marker",
            "*made at   *in stream",
            "*marker    @latency_answers on test_it.py::test_one",
            "*do        add an answer, or record the test:",
            "            pytest --latency-mode=record test_it.py::test_one",
        ]
    )


def test_a_call_that_no_marker_fits_and_a_request_that_is_no_call_are_misses(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_answers("one", when={"model": "claude-opus-*"})
def test_other():
    stream()

@pytest.mark.latency_answers("one")
def test_count():
    anthropic.Anthropic().messages.count_tokens(model="claude-haiku-4-5", messages=messages("hi"))

@pytest.mark.latency_answers("one")
def test_unknown():
    stream(model="claude-haiku-9")
"""
    )

    result = suite.replay()

    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["*no marker with answers fits this POST /v1/messages", "*when={'model':*"])
    whole_lines(result).fnmatch_lines(["*made-up answers are for prompt calls"])
    whole_lines(result).fnmatch_lines(["*claude-haiku-9 has no profile; give both, ttft= and tokens_per_second="])


def test_an_answer_that_is_left_over_is_a_warning(suite: Suite) -> None:
    suite.write(ONE.replace('refund.")', 'refund.", "Another.")'))

    suite.replay().stdout.fnmatch_lines(["warning: *1 answer of 2 left over: @latency_answers on*"])


def test_a_strict_run_fails_a_budget_on_made_up_answers(suite: Suite) -> None:
    suite.write(ONE)

    result = suite.replay("--latency-strict")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*its budget is judged on made-up answers, which no API gave (--latency-strict)"])


def test_a_recording_takes_precedence_and_says_that_the_marker_can_go(suite: Suite) -> None:
    suite.write(ONE.replace("refund", "Hello"))

    suite.record().assert_outcomes(passed=1)
    result = suite.replay()

    result.assert_outcomes(passed=1)
    assert "simulated" not in suite.test("test_one")
    assert suite.calls("test_one")[0]["ttft"] < 0.4
    result.stdout.fnmatch_lines(["warning: *@latency_answers is not needed any more, since*"])


def test_made_up_times_are_in_no_baseline_and_no_suggestion(suite: Suite) -> None:
    suite.write(ONE)

    result = suite.replay("--latency-save=main", "--latency-suggest")

    result.stdout.fnmatch_lines(["# left out: test_it.py::test_one (its answers are made up)"])
    assert "test_one" not in "".join(path.read_text() for path in suite.path.glob(".latency/*"))


def test_a_percentile_of_made_up_answers_is_not_judged(suite: Suite) -> None:
    suite.write(ONE.replace('total="3s"', 'total={"p95": "3s"}'))

    suite.replay().stdout.fnmatch_lines(["*total p95 was not judged: its answers are made up, and have no percentiles"])


@pytest.mark.slow
def test_workers_write_the_same_report(suite: Suite) -> None:
    suite.write(ONE)
    suite.replay()
    alone = (suite.path / "report.json").read_bytes()

    suite.replay("-n2")

    assert (suite.path / "report.json").read_bytes() == alone


@pytest.mark.parametrize(
    ("marker", "problem"),
    [
        ("", "it has no answer; accepted: texts and Answer(...)*"),
        ("7", "7 is not an answer*"),
        (r"'Yes \ud83d!'", "Answer: its text has '\\ud83d', half of a pair of surrogates*"),
        ('""', "*it is empty*"),
        ('"a", whem={}', "unknown argument 'whem'; did you mean when=?; accepted: when=, ttft=, tokens_per_second="),
        ('"a", when=7', "when=7 is not understood*"),
        ('"a", ttft="soon"', "ttft: 'soon' is not a duration*"),
        ('"a", tokens_per_second=-1', "tokens_per_second=-1 is not understood*"),
    ],
)
def test_a_marker_that_is_not_understood_is_one_clear_error(suite: Suite, marker: str, problem: str) -> None:
    suite.write(f"@pytest.mark.latency_answers({marker})\ndef test_it():\n    stream()\n")

    result = suite.replay()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(as_shown(problem, "@latency_answers on test_it.py::test_it"))


def test_profiles_of_ones_own_give_the_times(suite: Suite) -> None:
    profile = {
        "models": ["claude-haiku-*"],
        "source": "us",
        "ttft": {"median": 77, "p95": 99},
        "tokens_per_second": {"low": 1, "median": 2, "high": 3},
    }
    (suite.path / "own.json").write_text(json.dumps({"dated": "2026-12-01", "profiles": [profile]}))
    suite.ini("latency_profiles = own.json")
    suite.write(ONE.replace("3s", "9s"))

    suite.replay().assert_outcomes(passed=1)
    assert suite.calls("test_one")[0]["ttft"] == 0.077

    (suite.path / "own.json").write_text("{}")
    result = suite.replay()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*ini key latency_profiles: own.json: line 1: it is no file of profiles*"])


def test_without_a_recording_the_message_names_the_ways_out(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    stream()\n")

    suite.replay().stdout.fnmatch_lines(
        [
            "*record    pytest --latency-mode=record test_it.py::test_it",
            "*no key?   @latency_answers makes answers up; see it: claude-latency demo",
        ]
    )


# ── play ──


def test_play_takes_answers_and_texts() -> None:
    import anthropic

    with play(["Hello", Answer("there", ttft="2s", tokens_per_second=1)]) as measured:
        client = anthropic.Anthropic(api_key="a-key-for-tests")
        for _ in range(2):
            client.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=[{"role": "user", "content": "hi"}])

    assert [call.total for call in measured.calls] == [pytest.approx(0.7328), 4.0]


@pytest.mark.parametrize("answers", ["Hello", [7], 7])
def test_play_refuses_what_is_neither(answers: object) -> None:
    with pytest.raises(LimitError, match="accepted: a Recording, or a list of texts and Answers"), play(answers):  # type: ignore[arg-type]
        pass


FAULTY = """
from pytest_claude_latency.faults import *

@pytest.mark.latency_budget(total="9s")
@pytest.mark.latency_answers("You will get a refund.", ttft="400ms", tokens_per_second=50)
"""


def test_a_fault_happens_to_made_up_answers(suite: Suite) -> None:
    suite.write(
        FAULTY
        + """
@pytest.mark.latency_fault(rate_limited(retry_after="60s"), elapsed="5s")
@pytest.mark.latency_fault(rate_limited(retry_after="30s", times=2), elapsed="90s", id="twice")
@pytest.mark.latency_fault(slower(ttft=5))
@pytest.mark.latency_fault(dropped(after=1) & refused(), id="both")
@pytest.mark.latency_fault(unanswered(times="always"))
def test_it():
    assert "refund" in stream()
"""
    )

    result = suite.replay("-v")

    assert re.findall(r"test_it(\[\S+\])? (PASSED|FAILED)", result.stdout.str()) == [
        ("", "PASSED"),
        ("[rate_limited]", "FAILED"),
        ("[twice]", "PASSED"),
        ("[slower]", "PASSED"),
        ("[both]", "FAILED"),
        ("[unanswered]", "FAILED"),
    ]
    by_fault = {test.get("fault"): test for test in suite.report["tests"]}
    limited, twice, slow, both = (by_fault[name] for name in ("rate_limited", "twice", "slower", "both"))
    assert limited["elapsed"] == pytest.approx(60.5, abs=0.2)
    assert (twice["calls"][0]["attempts"], twice["injected"]) == (3, 2)
    assert slow["calls"][0]["ttft"] == 2.0
    assert [call["error"] for call in both["calls"]] == ["RemoteProtocolError"]
    assert limited["simulated"] is True
    result.stdout.fnmatch_lines(
        ["*elapsed was 60.*over the budget of 5s", "*recording none yet: its answers are made up*"]
    )


def test_a_program_that_hangs_on_a_made_up_answer_is_told_so(suite: Suite) -> None:
    suite.write(
        FAULTY
        + """
@pytest.mark.latency_fault(unanswered())
def test_it():
    stream(client=anthropic.Anthropic(timeout=None))
"""
    )

    suite.replay().stdout.fnmatch_lines(["*the program hangs: it waited for 3600*"])


def test_a_fallback_gets_its_own_made_up_answer(suite: Suite) -> None:
    suite.write(
        FAULTY
        + """
@pytest.mark.latency_answers("From a larger model.", when={"model": "claude-opus-*"})
@pytest.mark.latency_fault(overloaded(times="always"), elapsed="5s")
@pytest.mark.latency_fault(overloaded(call=2))
def test_it():
    try:
        assert "refund" in stream(client=anthropic.Anthropic(max_retries=0))
    except anthropic.APIStatusError:
        assert "larger" in stream(model="claude-opus-4-6")
"""
    )

    result = suite.replay()

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*overloaded(call=2) fits no call: the recording has 1 prompt call, and no call 2"])


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("overloaded(call=3)", "*overloaded(call=3) fits no call: the recording has 2 prompt calls, and no*"),
        ("dropped(after=99)", "*dropped(after=99) fits no call: call 1 has 2 pieces of content"),
    ],
)
def test_a_fault_that_can_fit_no_answer_is_told_before_the_body(suite: Suite, fault: str, problem: str) -> None:
    answers = FAULTY.replace('"You will get a refund."', '"Yes.", "You will get a refund."')
    suite.write(f"{answers}@pytest.mark.latency_fault({fault})\ndef test_it():\n    print('the body ran')\n    ask()\n")

    result = suite.replay("-s", "-k", fault.partition("(")[0])

    result.assert_outcomes(errors=1, deselected=1)
    result.stdout.fnmatch_lines([problem])
    assert "the body ran" not in result.stdout.str()


def test_faults_of_the_option_happen_to_made_up_answers(suite: Suite) -> None:
    suite.write(
        FAULTY
        + """
def test_it():
    assert "refund" in stream()

@pytest.mark.latency_answers("ok", ttft="1s", tokens_per_second=10)
def test_whole():
    assert ask()
"""
    )

    result = suite.replay("--latency-fault=dropped(after=1)", "--latency-fault=refused()")

    result.assert_outcomes(passed=4, failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "dropped(after=1): 0 of 1 test survived it; it does not apply to 1 test",
            "  did not survive it: test_it.py::test_it",
            "refused(): 2 of 2 tests survived it",
        ]
    )


def test_an_answer_that_a_fault_keeps_from_its_call_answers_the_fallback(suite: Suite) -> None:
    suite.write(
        FAULTY.replace('"You will get a refund."', '"You will get a refund.", "It comes tomorrow."')
        + """
@pytest.mark.latency_fault(rate_limited(retry_after="60s"), elapsed="5s")
@pytest.mark.latency_fault(overloaded(every=True))
@pytest.mark.latency_fault(truncated(after=1, call=2), id="cut")
def test_it(request):
    client = anthropic.Anthropic(max_retries=0)
    texts = []
    for prompt in ("first", "second"):
        try:
            texts.append(stream(prompt, client))
        except anthropic.APIStatusError:
            texts.append(stream(prompt + " please", client) if "rate" in request.node.name else "")
    cut = "cut" in request.node.name
    if "overloaded" not in request.node.name:
        assert texts == ["You will get a refund.", "It comes tom" if cut else "It comes tomorrow."]
"""
    )

    suite.replay().assert_outcomes(passed=4)

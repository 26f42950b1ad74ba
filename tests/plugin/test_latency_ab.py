"""`--latency-ab`: recorded requests and current ones, sent alternately in one live run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from random import SystemRandom
from typing import Any
from xml.etree import ElementTree

import pytest

import pytest_claude_latency.ab.runner
import pytest_claude_latency.ab.verdicts  # noqa: F401  # loaded before runs save the modules
from pytest_claude_latency.ab.recorded_request import RECORDED_QUOTES
from pytest_claude_latency.errors import CassetteError
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.exchange import Request, header
from pytest_claude_latency.options.reading import AB_NEEDS_LIVE
from pytest_claude_latency.results.verdict import STRICTLY
from tests.plugin.suite import Suite, whole_lines
from tests.support.claude_answers import Answer, status
from tests.support.claude_messages import text

ONE = """
def test_one(claude_latency):
    stream("{prompt}")
"""
COMPARED, FEW = ("ttft", "total"), "too few runs"
TTFT = "test_it.py::test_one::latency[ab ttft]"
TOTAL = "test_it.py::test_one::latency[ab total]"


@pytest.fixture
def quick(suite: Suite) -> Suite:
    """A suite whose one test was recorded with a quick prompt; a slow one takes longer than any machine delays it."""
    suite.server.answers(lambda request: answered(request, "300ms" if b"slow" in request.content else "1ms"))
    ask_now(suite, "a quick one")
    suite.once(suite.record).assert_outcomes(passed=1)
    return suite


def answered(request: Request, ttfb: str = "1ms") -> Answer | None:
    return text("Hello wor|ld", ttfb=ttfb) if is_prompt_call(request) else None


def ask_now(suite: Suite, prompt: str) -> None:
    suite.write(ONE.format(prompt=prompt))


def compare(suite: Suite, *args: str, samples: int = 1) -> pytest.RunResult:
    return suite.record("--latency-ab", f"--latency-samples={samples}", *args, mode="live")


def verdicts(suite: Suite) -> dict[str, str]:
    return {verdict["name"]: verdict["verdict"] for verdict in suite.report["verdicts"]}


def asked(suite: Suite, since: int = 0) -> list[Any]:
    """The prompts that the server was sent, in that order."""
    prompts = [request for request in suite.server.requests[since:] if is_prompt_call(request)]
    return [request.json["messages"][-1]["content"] for request in prompts]


def contents(suite: Suite) -> dict[str, bytes]:
    return {path: (suite.path / path).read_bytes() for path in suite.recordings()}


def toss(monkeypatch: pytest.MonkeyPatch, coins: Iterable[float]) -> None:
    fixed = iter(coins)
    monkeypatch.setattr(SystemRandom, "random", lambda generator: next(fixed))


# ── verdicts ──


def test_a_slower_request_fails_the_run_by_name(quick: Suite) -> None:
    ask_now(quick, "a slow one")

    result = compare(quick, "--junitxml=junit.xml", samples=4)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=4, failed=2)
    whole_lines(result).fnmatch_lines(
        [
            "*_ test_one::latency[[]ab ttft[]] _*",
            "ttft slowed from *ms to 3*ms: ratio *, 4 samples before, 4 now",
            "  changed   another prompt",
            "  compared  the recorded request with the one made now, sent alternately (--latency-ab)",
            "  recording cassettes/test_it/test_one.1.jsonl",
        ]
    )
    ttft, total = quick.report["verdicts"]
    assert (ttft["name"], ttft["kind"], ttft["call"], ttft["verdict"]) == (TTFT, "ab", 1, "regression")
    assert ttft["before"] < 0.3 <= ttft["after"]
    assert (ttft["samples_before"], ttft["samples_after"], ttft["left_out"]) == (4, 4, [])
    assert (total["name"], total["verdict"]) == (TOTAL, "regression")
    cases = ElementTree.parse(quick.path / "junit.xml").getroot().iter("testcase")
    failed = [
        (case.get("name"), case.find("failure") is not None) for case in cases if "::" not in case.get("name", "")
    ]
    assert failed[-2:] == [("latency[ab ttft]", True), ("latency[ab total]", True)]


@pytest.mark.slow
def test_a_quicker_request_passes_and_is_shown(quick: Suite) -> None:
    ask_now(quick, "a slow one")
    quick.record()
    ask_now(quick, "a quick one")

    result = compare(quick, "--latency-budget", "-n1", samples=4)

    result.assert_outcomes(passed=4)
    assert verdicts(quick) == {TTFT: "improvement", TOTAL: "improvement"}
    result.stdout.fnmatch_lines(["  test_one (4 samples) *", "    ab: ttft sped up from 3*ms to *ms: ratio *"])


def test_the_same_request_is_no_regression_and_leaves_no_trace(quick: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    toss(monkeypatch, [0.1, 0.9, 0.9, 0.1])
    before, sent_before = contents(quick), len(quick.server.log)

    result = compare(quick, samples=4)

    result.assert_outcomes(passed=4)
    assert verdicts(quick) == {TTFT: "unchanged", TOTAL: "unchanged"}
    result.stdout.fnmatch_lines(["  test_one (4 samples) *unchanged", "    ab: ttft is unchanged: *, was *"])
    assert asked(quick, sent_before) == ["a quick one"] * 12
    assert [len(test["calls"]) for test in quick.report["tests"]] == [1] * 4
    assert contents(quick) == before
    assert not (quick.path / ".latency").exists()


def test_which_request_goes_first_is_random_and_both_find_the_connection_open(
    quick: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    toss(monkeypatch, [0.1, 0.9, 0.9, 0.1])
    ask_now(quick, "another quick one")
    sent_before = len(quick.server.log)

    compare(quick, samples=4)

    old, new = "a quick one", "another quick one"
    assert asked(quick, sent_before) == [new, old, new, new, new, old, new, new, old, new, old, new]
    served = quick.server.log[sent_before:]
    opened, *pair = [(request.request.method, request.connection) for request in served[2:5]]
    assert (opened[0], pair) == ("GET", [("POST", opened[1])] * 2)
    logins = {
        header(request.request.headers, "authorization") or header(request.request.headers, "x-api-key")
        for request in served
    }
    assert logins - {None} in ({"a-key-for-tests"}, {"Bearer a-key-for-tests"})


def test_too_few_samples_warn_with_the_number_that_is_enough(quick: Suite) -> None:
    ask_now(quick, "a slow one")

    warned, strict = compare(quick, samples=1), compare(quick, "--latency-strict", samples=1)

    warned.assert_outcomes(passed=1)
    warned.stdout.fnmatch_lines(
        [
            "    ab: ttft: too few runs (1 sample before, 1 now; 4 a side are needed)",
            "      changed: another prompt",
            "warning: test_it.py::test_one: ab: ttft: too few runs *",
        ]
    )
    strict.assert_outcomes(passed=1, failed=2)
    too_few = "ttft: too few runs (1 sample before, 1 now; 4 a side are needed)"
    strict.stdout.fnmatch_lines([too_few, STRICTLY.strip("\n")])


def test_a_pair_that_was_refused_is_left_out_and_counted(quick: Suite) -> None:
    ask_now(quick, "another quick one")
    quick.server.answers(lambda request: status(529) if b"a quick" in request.content else answered(request))
    sent_before = len(quick.server.log)

    result = compare(quick, samples=2)

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["warning: test_it.py::test_one: its call is not compared: *"])
    (verdict,) = quick.report["verdicts"]
    assert (verdict["verdict"], verdict["reason"]) == (
        "not compared",
        "the recorded request ended with overloaded_error",
    )
    assert asked(quick, sent_before).count("a quick one") == 2  # none is sent again


# ── which calls ──

MANY = """
def test_calls(claude_latency):
    stream("first"); stream("second"{more})

async def test_async(claude_latency):
    await asyncio.gather(astream("one"), astream("two"))

def test_quotes(claude_latency):
    answer = stream("Say something")
    stream("Shorter: " + answer)

def test_redacted(claude_latency):
    stream("Call 030 901820")

def test_unreadable(claude_latency):
    stream()

@pytest.fixture
def prepared():
    stream("in a fixture")

def test_fixture(claude_latency, prepared):
    stream("in the body")

@pytest.mark.latency_cassette(name="shared", owner=True)
def test_owner(claude_latency):
    stream("shared")
"""
LATER = """
def test_new(claude_latency):
    stream()

def test_silent(claude_latency):
    pass

def test_failing(claude_latency):
    stream("failing")
    assert False
"""


def test_each_call_is_compared_or_named_with_the_reason(suite: Suite) -> None:
    suite.ini("asyncio_mode = auto", "latency_redact = 030 \\d+")
    suite.write(MANY.format(more=""))
    suite.record().assert_outcomes(passed=7)
    (suite.path / "cassettes/test_it/test_unreadable.1.jsonl").write_text("nothing")
    suite.write(MANY.format(more="); stream('third'") + LATER)
    sent_before = len(suite.server.log)

    result = compare(suite)

    result.assert_outcomes(passed=9, failed=1)
    assert {name.removeprefix("test_it.py::test_"): verdict for name, verdict in verdicts(suite).items()} == {
        **dict.fromkeys((f"calls::latency[ab call {call} {metric}]" for call in (1, 2) for metric in COMPARED), FEW),
        "calls::latency[ab call 3]": "not compared",
        **dict.fromkeys((f"async::latency[ab call {call} {metric}]" for call in (1, 2) for metric in COMPARED), FEW),
        **dict.fromkeys((f"quotes::latency[ab call 1 {metric}]" for metric in COMPARED), FEW),
        "quotes::latency[ab call 2]": "not compared",
        "redacted::latency[ab]": "not compared",
        "unreadable::latency[ab]": "not compared",
        **dict.fromkeys((f"fixture::latency[ab {metric}]" for metric in COMPARED), FEW),
        **dict.fromkeys((f"owner::latency[ab {metric}]" for metric in COMPARED), FEW),
        "new::latency[ab]": "not compared",
    }
    named = zip(verdicts(suite), suite.report["verdicts"], strict=True)
    reasons = {name.removeprefix("test_it.py::test_"): each["reason"] for name, each in named if "reason" in each}
    unreadable = reasons.pop("unreadable::latency[ab]")
    assert unreadable.startswith(f"{CassetteError.what} cassettes/test_it/test_unreadable.1.jsonl, line 1: ")
    assert reasons == {
        "calls::latency[ab call 3]": "it corresponds to no recorded call",
        "quotes::latency[ab call 2]": RECORDED_QUOTES.reason,
        "redacted::latency[ab]": "its recorded request holds [redacted]",
        "new::latency[ab]": "there is no recording: cassettes/test_it/test_new.1.jsonl",
    }
    result.stdout.fnmatch_lines(["    call 2 is not compared: its recorded request quotes an earlier answer"])
    prompts = Counter(asked(suite, sent_before))
    assert [prompts[prompt] for prompt in ("second", "third", "two", "in the body", "shared")] == [3, 1, 3, 3, 3]
    assert [prompts[prompt] for prompt in ("in a fixture", "failing", "Call 030 901820")] == [1, 1, 1]


def test_a_call_without_a_recording_fails_a_strict_run(suite: Suite) -> None:
    ask_now(suite, "a new one")

    result = compare(suite, "--latency-strict")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["nothing is compared: there is no recording: *", STRICTLY.strip("\n")])


# ── its surroundings ──


def test_a_users_own_router_does_not_see_the_requests(quick: Suite) -> None:
    quick.write(
        """
import respx

@pytest.fixture(scope="module", autouse=True)
def router():
    with respx.mock(assert_all_called=False) as router:
        yield router
        save_result([str(call.request.url) for call in router.calls])
"""
        + ONE.format(prompt="another quick one")
        + "\ndef test_other():\n    pass  # the router outlives the latency test\n"
    )

    compare(quick).assert_outcomes(passed=2)

    assert quick.saved_result == []
    assert set(verdicts(quick).values()) == {FEW}


def test_the_cost_is_announced_before_the_run(quick: Suite) -> None:
    result = compare(quick, "--collect-only", samples=5)

    result.stdout.fnmatch_lines(
        ["*mode live, 5 samples of 1 test: 15 calls, by the recordings, 10", "  of them for --latency-ab"]
    )


@pytest.mark.parametrize("mode", ["replay", "record", "record-missing"])
def test_it_needs_a_live_run(suite: Suite, mode: str) -> None:
    ask_now(suite, "hi")

    result = suite.record("--latency-ab", mode=mode)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {AB_NEEDS_LIVE}"])


def test_an_ini_file_asks_for_it_in_live_runs(quick: Suite) -> None:
    quick.ini("latency_ab = true")

    replayed = quick.replay()
    quick.record(mode="live")

    replayed.assert_outcomes(passed=1)
    assert set(verdicts(quick).values()) == {FEW}

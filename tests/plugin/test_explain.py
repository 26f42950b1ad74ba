"""Why a budget was broken: breakdown and findings under the failure, in the JSON report, and for every test."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.cli.command import main
from pytest_claude_latency.messages_api.exchange import Exchange
from tests.plugin.suite import Suite
from tests.support.claude_messages import text
from tests.support.findings_corpus import after, steady
from tests.support.some_recording import recording
from tests.support.written_calls import refused, streamed, usage, whole

SLOW = """
@pytest.mark.latency_budget(ttft="800ms", total="3s")
def test_slow():
    with anthropic.Anthropic() as client:
        stream(client=client, max_tokens=1024)
        time.sleep(0.19)
        stream("again", client=client, max_tokens=1024)


@pytest.mark.latency_budget(ttft="5s")
def test_kept():
    ask()
"""
PIECES = [(1200 + 122 * place, "text", f"w{place} ") for place in range(51)]


def keep(suite: Suite, name: str, *exchanges: Exchange, sample: int = 1) -> Path:
    path = suite.path / "cassettes" / "test_it" / f"{name}.{sample}.jsonl"
    replace(recording(*exchanges), test=f"test_it.py::{name}", sample=sample).save(path)
    return path


def asked(stream: bool, prompt: str = "hi", max_tokens: int = 1024) -> Exchange:
    """What the functions of the suite's application send."""
    body = {"max_tokens": max_tokens, "messages": [{"role": "user", "content": prompt}], "model": "claude-haiku-4-5"}
    made = streamed if stream else whole
    return replace(made(), request=replace(made().request, content=_json(body | ({"stream": True} if stream else {}))))


def _json(body: object) -> bytes:
    return json.dumps(body).encode()


@pytest.fixture
def slow(suite: Suite) -> Suite:
    """A test whose first call was refused once, was slow and stalled nowhere; and one that keeps its budget."""
    suite.write(SLOW)
    first, second = asked(True).request, asked(True, "again").request
    answer = streamed(pieces=PIECES, used=usage(output=487), connect=(0, 100))
    keep(
        suite,
        "test_slow",
        replace(refused(at=920, retry_after="1"), request=first),
        replace(answer, request=first, sent=1_920_000_000),
        replace(streamed(), request=second, sent=9_410_000_000),
    )
    keep(suite, "test_kept", replace(asked(False, max_tokens=100), sent=0))
    return suite


def test_a_broken_budget_is_followed_by_where_the_time_went_and_the_worst_findings(slow: Suite) -> None:
    result = slow.replay()

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*total was 9.220s, 6.220s over the budget of 3s",
            "*where the time went",
            "  test      of 10.31s: 6.60s generating 583 tokens, 1.92s in one retry after a",
            "            529, 1.50s to first tokens, 0.19s in the application, 0.10s",
            "            connecting",
            "  call 1    of 9.22s: 6.10s generating 487 tokens, 1.92s in one retry after a",
            "            529, 1.10s to the first token, 0.10s connecting",
            "  finding   6.100s of the 9.220s of call 1 of 2 went into 487 tokens of output",
            "            (80 tokens/s)",
            "            try: ask for a shorter answer, in sentences or paragraphs (guide,",
            "            2: keep prompt and answer short)",
            "            saves about 3.050s with half as many tokens (estimate from 1",
            "            recorded call)",
            "  finding   1.920s of call 1 of 2 went into 1 attempt without an answer (529,",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_the_json_report_has_breakdowns_that_add_up_and_is_the_same_every_time(slow: Suite) -> None:
    slow.replay()
    first = (slow.path / "report.json").read_bytes()
    slow.replay()

    assert (slow.path / "report.json").read_bytes() == first
    for name in ("test_slow", "test_kept"):
        test = slow.test(name)
        assert round(sum(test["breakdown"].values()), 6) == test["elapsed"]
        for call in test["calls"]:
            assert round(sum(call["breakdown"].values()), 6) == call["total"]
    assert slow.test("test_slow")["breakdown"]["application"] == 0.19
    assert [finding["rule"] for finding in slow.test("test_slow")["findings"]] == [
        "much-output",
        "retries",
        "one-after-another",
    ]
    assert slow.test("test_kept")["breakdown"] == {"whole": 0.9}


def test_a_replay_finds_what_its_recording_holds(slow: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    slow.replay()
    path = slow.path / "cassettes" / "test_it" / "test_slow.1.jsonl"
    capsys.readouterr()

    assert main(["explain", str(path)]) == 0
    explained = " ".join(capsys.readouterr().out.split())
    assert all(finding["fact"] in explained for finding in slow.test("test_slow")["findings"])
    assert main(["explain", str(slow.path / "report.json")]) == 0
    assert "of 10.31s: 6.60s generating 583 tokens" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["option", "ini", "without judging"])
def test_every_test_is_explained_where_that_is_asked_for(slow: Suite, how: str) -> None:
    if how == "ini":
        slow.ini("latency_explain = true")
    result = slow.run(
        *(["--latency-budget"] if how != "without judging" else []), *([] if how == "ini" else ["--latency-explain"])
    )

    result.stdout.fnmatch_lines(
        [
            "*- where the time went -*",
            "test_it.py::test_kept",
            "  test      of 900ms: 900ms for 96 tokens not streamed",
            "  finding   not streamed: the first token of the call came with the last, after",
            "            900ms",
            "test_it.py::test_slow",
            "  test      of 10.31s: *",
        ]
    )


def test_without_being_asked_a_kept_budget_is_not_explained(slow: Suite) -> None:
    result = slow.replay("-k", "kept")

    result.assert_outcomes(passed=1, deselected=1)
    result.stdout.no_fnmatch_line("*where the time went*")


def test_a_block_that_breaks_its_budget_is_explained_too(suite: Suite) -> None:
    suite.write(
        """
def test_block(claude_latency):
    with claude_latency.budget(ttft="100ms"):
        ask()
"""
    )
    keep(suite, "test_block", asked(False, max_tokens=100))
    result = suite.replay()

    result.stdout.fnmatch_lines(
        [
            "*where the time went",
            "*  call      of 900ms: 900ms for 96 tokens not streamed",
            "E * finding   not streamed: the first token of the call came with the",
            "E                   last, after 900ms",
        ]
    )


def test_a_recorded_run_is_broken_down_as_its_replay_is(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    stream()\n    ask('two')\n")
    suite.server.answers(lambda request: text("Hello |world", ttfb="30ms", gaps=["5ms", "200ms"]))
    suite.record()
    calls = suite.test("test_it")["calls"]
    recorded = Recording.load(suite.path / "cassettes" / "test_it" / "test_it.1.jsonl")
    assert recorded.exchanges[0].connect is not None
    suite.replay()

    opened = round(suite.calls("test_it")[0]["breakdown"]["connection"], 6)
    assert opened == round((recorded.exchanges[0].connect.at + recorded.exchanges[0].connect.duration) / 1e9, 6)
    recorded_parts, replayed_parts = set(calls[0]["breakdown"]), set(suite.calls("test_it")[0]["breakdown"])
    # both have what the server did; parts of some microseconds are the machine's
    assert {"waiting", "answering"} <= recorded_parts & replayed_parts


def test_a_broken_percentile_is_followed_by_where_the_time_of_its_slowest_sample_went(suite: Suite) -> None:
    suite.write("@pytest.mark.latency_budget(ttft={'p50': '800ms'})\ndef test_many():\n    ask()\n")
    exchange = asked(False, max_tokens=100)
    for sample in range(1, 7):
        later = 2900 if sample == 4 else 900
        answer = replace(whole(at=later, used=usage(output=60)), request=exchange.request)
        keep(suite, "test_many", answer, sample=sample)
    result = suite.replay()

    result.stdout.fnmatch_lines(
        [
            "*where the time of sample 4, with the longest ttft, went",
            "*  call      of 2.90s: 2.90s for 60 tokens not streamed",
            "*  finding   not streamed: *, after",
            "            2.900s",
        ]
    )


def test_a_broken_percentile_is_explained_by_what_lowers_its_metric_in_the_call_that_was_worst(suite: Suite) -> None:
    suite.write(
        "@pytest.mark.latency_budget(ttft={'p50': '300ms'}, call=2)\n"
        "def test_many():\n    with anthropic.Anthropic() as client:\n"
        "        stream('a', client=client, max_tokens=1024)\n        stream('b', client=client, max_tokens=1024)\n"
    )
    for sample in range(1, 7):
        # the first call takes longest in all, and no limit is about it; the first token of the second is late
        slow = replace(steady(9 - sample, 400), request=asked(True, "a").request)
        pieces = [(400 + sample * 10, "text", "so "), (900, "text", "it is")]
        late = replace(streamed(pieces=pieces, used=usage(9000)), request=asked(True, "b").request)
        keep(suite, "test_many", slow, after(late, 30), sample=sample)

    result = suite.replay()

    result.stdout.fnmatch_lines(
        [
            "*where the time of sample 6, with the longest ttft (call=2), went",
            "*  call 2    of 900ms: *",
            "*  finding   the prompt of call 2 of 2 has 9000 tokens*",
        ]
    )
    result.stdout.no_fnmatch_line("*went into 400 tokens of output*")


@pytest.mark.slow
def test_under_xdist_everything_is_explained_as_without(slow: Suite) -> None:
    slow.replay()
    alone = slow.report
    result = slow.replay("-n1", "--latency-explain")

    assert slow.report == alone
    result.stdout.fnmatch_lines(
        ["*where the time went", "  finding   6.100s of the 9.220s *", "*- where the time went -*"]
    )


@pytest.mark.slow
def test_a_kept_budget_loads_nothing_of_it(slow: Suite) -> None:
    (slow.path / "conftest.py").write_text(
        """
import sys


def pytest_unconfigure():
    loaded = [name for name in sys.modules if "latency.diagnosis" in name or "measurement.diagnosis" in name]
    print("loaded:", loaded)
"""
    )
    result = slow.pytester.runpytest_subprocess("-p", "no:cacheprovider", "--latency-budget", "-k", "kept")

    result.assert_outcomes(passed=1, deselected=1)
    result.stdout.fnmatch_lines(["loaded: []"])

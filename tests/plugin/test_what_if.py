"""The option `--latency-what-if`: tests run again with calls that are faster."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from tests.plugin.suite import Suite
from tests.plugin.test_simulate import record

PARALLEL = """
def test_it(claude_latency):
    async def main():
        await asyncio.gather(astream(), astream())
        await astream()
    asyncio.run(main())
"""
SEQUENTIAL = "def test_it(claude_latency):\n    stream()\n    stream()\n    stream()\n"


def what_if(suite: Suite) -> dict[str, Any]:
    (found,) = suite.report["what_if"]
    return dict(found)


def answers(suite: Suite) -> dict[str, Any]:
    return {answer["question"]: answer["elapsed"] for answer in what_if(suite)["answers"]}


def test_each_call_is_made_faster_and_all_reports_show_what_that_saves(suite: Suite) -> None:
    suite.write(SEQUENTIAL)
    record(suite, [(300, 900, 500)])  # and 80 ms each for the rest of the answer

    result = suite.replay("--latency-what-if", "--latency-report=report.md")

    assert what_if(suite)["simulated"] is True
    assert what_if(suite)["as_recorded"] == {"elapsed": 1.94, "first_token": 0.3}
    assert answers(suite)["call 2 (claude-haiku-4-5) 20 % faster"] == 1.744
    assert answers(suite)["call 2 (claude-haiku-4-5) twice as fast"] == 1.45
    assert answers(suite)["call 2 (claude-haiku-4-5) at once"] == 0.96
    assert len(what_if(suite)["answers"]) == 9
    result.stdout.fnmatch_lines(["*what if (simulated)*elapsed  first token*saves", "as recorded*1.940s*300ms"])
    result.stdout.fnmatch_lines(["call 2 (claude-haiku-4-5) at once * 960ms *300ms *50.5 %  ████"])
    assert "| `call 2 (claude-haiku-4-5) at once` | 960ms | 300ms | 50.5 % | `██████████` |" in (
        (suite.path / "report.md").read_text()
    )


def test_a_call_beside_the_critical_path_saves_nothing(suite: Suite) -> None:
    suite.write(PARALLEL)
    record(suite, [(300, 900, 500)])

    suite.replay("--latency-what-if")

    found = answers(suite)
    assert what_if(suite)["as_recorded"]["elapsed"] == 0.98 + 0.58
    assert found["call 1 (claude-haiku-4-5) at once"] == 0.98 + 0.58
    assert found["call 2 (claude-haiku-4-5) at once"] == 0.38 + 0.58


@pytest.mark.slow
@pytest.mark.parametrize("source", [SEQUENTIAL, PARALLEL], ids=["sequential", "parallel"])
def test_the_answers_agree_with_recordings_edited_by_hand(suite: Suite, source: str) -> None:
    suite.write(source)
    record(suite, [(300, 900, 500)])
    suite.replay("--latency-what-if", "--latency-what-if-change=ttft+250ms")
    simulated = [(answer["elapsed"], answer["first_token"]) for answer in what_if(suite)["answers"]]

    path, edited = suite.path / "cassettes/test_it/test_it.1.jsonl", []
    shutil.copy(path, suite.path / "kept")
    questions = [([number], factor, 0) for number in (1, 2, 3) for factor in (0.8, 0.5, 0)] + [([1, 2, 3], 1, 250)]
    for numbers, factor, more in questions:
        lines = []
        for line in (suite.path / "kept").read_text().splitlines():
            fact = json.loads(line)
            number = next((fact[kind] for kind in ("response", "chunk", "end") if kind in fact), 0)
            if number in numbers:
                # All before the first token moves in proportion; the requests themselves stay where they are.
                first = {1: 300, 2: 900, 3: 500}[number]
                late = fact["at"] * (first + more) / first if fact["at"] < first else fact["at"] + more
                fact["at"] = round(late * factor, 3)
            lines.append(json.dumps(fact))
        path.write_text("\n".join([*lines, ""]))
        suite.replay()
        test = suite.test("test_it")
        edited.append(test["elapsed"])

    assert [elapsed for elapsed, _ in simulated] == pytest.approx(edited, abs=2e-6)


def test_one_question_at_a_time_may_be_asked(suite: Suite) -> None:
    suite.write(SEQUENTIAL)
    record(suite, [(300, 900, 500)])

    result = suite.replay(
        "--latency-what-if-change=ttft*2",
        "--latency-what-if-change=model=claude-opus-*: total*0",
        "--latency-what-if-change=output-1s",
    )

    assert answers(suite)["ttft*2"] == 3.64
    assert answers(suite)["output-1s"] == 1.7
    result.stdout.fnmatch_lines(
        ["ttft[*]2*3.640s*600ms*-87.6 %  +++*", "model=claude-opus-[*]: total[*]0*no call fits"]
    )


def test_what_only_other_times_ask_for_is_told_as_missed(suite: Suite) -> None:
    suite.write(
        """
def test_it(claude_latency):
    began = time.monotonic()
    stream()
    if time.monotonic() - began > 1:
        stream("a fallback")
"""
    )
    record(suite, [(300,)])

    result = suite.replay("--latency-what-if-change=ttft+2s")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["ttft+2s*missed"])


@pytest.mark.slow
def test_numbers_of_what_if_are_in_no_baseline_and_workers_write_the_same(suite: Suite) -> None:
    suite.write(SEQUENTIAL)
    record(suite, [(300, 900, 500)])
    suite.replay("--latency-what-if", "--latency-save=main")
    alone = (suite.path / "report.json").read_bytes()

    suite.replay("--latency-what-if", "-n1")

    assert (suite.path / "report.json").read_bytes() == alone
    assert "what" not in (suite.path / ".latency/main.jsonl").read_text()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["--latency-what-if-change=ttft*-1"],
            "*--latency-what-if-change: 'ttft[*]-1': '-1' is not a factor",
        ),
        (["--latency-what-if", "--latency-mode=live"], "*--latency-what-if needs a replay in virtual time*"),
        (["--latency-what-if-change=ttft*2", "--latency-clock=real"], "*--latency-what-if-change needs a replay*"),
    ],
)
def test_bad_input_is_one_clear_message_before_anything_runs(suite: Suite, arguments: list[str], problem: str) -> None:
    result = suite.replay(*arguments)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([problem])

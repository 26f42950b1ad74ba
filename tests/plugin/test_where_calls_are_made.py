"""The line of the program that made each call, wherever calls are shown."""

from __future__ import annotations

import re

import pytest

from pytest_claude_latency.cli.command import main
from tests.plugin.suite import Suite


def test_calls_are_told_apart_by_the_lines_that_made_them(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_budget(ttft="1ms", elapsed="20ms")
def test_it(claude_latency):
    client = anthropic.Anthropic()
    ask("label", client)
    asyncio.run(both(anthropic.AsyncAnthropic()))
    stream("done", client)


async def both(client):
    made = [client.messages.create(messages=messages(text), model="m", max_tokens=9) for text in "ab"]
    await asyncio.gather(*made)
"""
    )
    suite.record().assert_outcomes(passed=1)
    recorded = [call["location"] for call in suite.calls("test_it")]

    result = suite.replay("-v")

    assert recorded == ["app.py:15 in ask", *["test_it.py:16 in both"] * 2, "app.py:22 in stream"]
    assert [call["location"] for call in suite.calls("test_it")] == recorded
    result.stdout.fnmatch_lines(
        [
            "ttft was *",
            "  made at   *.py:* in *",
            "  timeline  sent *",
            "elapsed was *",
            "  timeline  call 1  sent 0ms * claude-haiku-4-5, app.py:15",
            "            call 2  sent * test_it.py:16",
            "*end * · app.py:15 in ask",
        ]
    )


def test_findings_name_the_line_of_the_call_that_they_are_about(suite: Suite) -> None:
    suite.write('@pytest.mark.latency_budget(ttft="1ms", call=2)\ndef test_it():\n    stream()\n    ask()\n')
    suite.record().assert_outcomes(passed=1)

    suite.replay().stdout.fnmatch_lines(
        ["  finding   not streamed: *call 2 of 2*", "            made at app.py:15 in ask"]
    )
    (finding,) = [found for found in suite.test("test_it")["findings"] if found["rule"] == "not-streamed"]
    assert finding["made_at"] == ["app.py:15 in ask"]


def test_comparisons_and_explanations_name_the_line_of_each_call(
    suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    program = "@pytest.mark.latency_budget(calls=2)\ndef test_it():\n    ask('a')\n    {pause}\n    stream('b')\n"
    suite.write(program.format(pause="pass"))
    suite.record().assert_outcomes(passed=1)
    suite.replay("--latency-save=main", "--latency-report=before.json").assert_outcomes(passed=1)
    suite.write(program.format(pause="time.sleep(1)"))

    result = suite.replay("--latency-compare=main", "--latency-report=after.json")

    note = "call 2 (app.py:22 in stream) moved: sent 1.000s after call 1 ended,"
    result.stdout.fnmatch_lines([f"  changed   {note}"])
    capsys.readouterr()
    main(["compare", "before.json", "after.json"])
    assert f"    changed   {note.removesuffix(' ended,')}" in capsys.readouterr().out
    main(["explain", "after.json"])
    shown = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert re.search(r" call 1 of [^()]* \(app\.py:15 in ask\) call 2 of ", shown), shown


def test_the_explanation_of_a_test_with_one_call_names_its_line(
    suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    suite.write('@pytest.mark.latency_budget(total="1s")\ndef test_it():\n    ask()\n')
    suite.record("--latency-explain").assert_outcomes(passed=1)
    capsys.readouterr()

    main(["explain", "report.json"])

    assert "\n    made at   app.py:15 in ask\n" in capsys.readouterr().out

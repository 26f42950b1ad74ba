"""The line of the program that made each call, wherever calls are shown."""

from __future__ import annotations

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

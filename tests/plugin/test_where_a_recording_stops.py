"""Where a recording stops: a program that reads on asks for what is not known, which is a miss."""

from __future__ import annotations

import json

import pytest

from tests.plugin.suite import Suite
from tests.support.claude_answers import silence
from tests.support.claude_messages import text

SLOW = text("one |two |three |four", ttfb="20ms", gaps=["20ms", "60ms", "60ms", "60ms"])

STOPS = """
def read(count):
    client = anthropic.Anthropic(max_retries=0)
    with client.messages.create(
        model="claude-haiku-4-5", max_tokens=100, messages=messages("hi"), stream=True
    ) as answer:
        for number, event in enumerate(answer, 1):
            if number == count:
                break


def test_it(claude_latency):
    read(COUNT)
"""


def test_a_program_that_reads_on_where_the_recorded_one_stopped_misses(suite: Suite) -> None:
    suite.write(STOPS.replace("COUNT", "3"))
    suite.server.answer(SLOW)
    suite.record().assert_outcomes(passed=1)
    suite.write(STOPS.replace("COUNT", "6"))

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "the program waits for more of this POST /v1/messages than was recorded",
            "  made at   test_it.py:* in read",
            "  recorded  the recorded program stopped reading *ms after it was sent*",
            "  recording cassettes/test_it/test_it.1.jsonl",
            "  do        stop reading where the recorded program did",
            "            if this was meant: pytest --latency-mode=record test_it.py::test_it",
        ]
    )


def test_a_program_that_stops_earlier_than_the_recorded_one_is_served(suite: Suite) -> None:
    suite.write(STOPS.replace("COUNT", "6"))
    suite.server.answer(SLOW)
    suite.record().assert_outcomes(passed=1)
    suite.write(STOPS.replace("COUNT", "3"))

    suite.replay().assert_outcomes(passed=1)

    (call,) = suite.calls("test_it")
    assert call["closed"] == "client"


TIMED = """
def test_it(claude_latency):
    async def patient():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(LIMIT):
                await astream(client=anthropic.AsyncAnthropic(max_retries=0))

    started = time.monotonic()
    asyncio.run(patient())
    print("took", round(time.monotonic() - started, 6))
"""


def _recorded_until(suite: Suite, milliseconds: float, *, sent: float = 6) -> None:
    """A recording whose program gave up at its limit of 0.2 s, this long after the request was sent.

    `sent` is when that was, in milliseconds since the start of the test.
    """
    suite.write(TIMED.replace("LIMIT", "0.2"))
    suite.server.answer(silence())
    suite.record().assert_outcomes(passed=1)
    path = suite.path / suite.recordings()[0]
    *lines, last = path.read_text().splitlines()
    # Time-outs count from when the connection is open, which takes a busy machine some milliseconds.
    lines = [line for line in lines if not line.startswith('{"connect"')]
    head, request, *lines = lines
    asked = {**json.loads(request), "at": sent}
    end = {**json.loads(last), "at": milliseconds}
    path.write_text("\n".join([head, json.dumps(asked), *lines, json.dumps(end), ""]))


def test_a_time_out_fires_at_its_limit_although_the_recorded_one_fired_sooner_after_sending(suite: Suite) -> None:
    _recorded_until(suite, 194)  # the rest of the limit went into building the request

    result = suite.replay("-s")

    result.assert_outcomes(passed=1)
    assert suite.calls("test_it")[0]["total"] == 0.2
    result.stdout.fnmatch_lines(["*took 0.2*"])


DID_NOT_FIRE = [
    "the time-out that ended this POST /v1/messages while recording did not fire",
    "  made at   app.py:37 in astream",
    "  recorded  the program gave up after 194ms, when nothing had come",
    "  now       it still waits after ?44ms: its time-out is longer, or gone",
    "  do        give the call its time-out again",
    "            if this was meant: pytest --latency-mode=record test_it.py::test_it",
]


@pytest.mark.parametrize(("limit", "outcome"), [("0.443", "passed"), ("0.445", "failed")])
def test_a_program_may_go_on_for_250_ms_beyond_the_recording(suite: Suite, limit: str, outcome: str) -> None:
    _recorded_until(suite, 194)
    suite.write(TIMED.replace("LIMIT", limit))

    result = suite.replay()

    result.assert_outcomes(**{outcome: 1})
    if outcome == "failed":
        result.stdout.fnmatch_lines(DID_NOT_FIRE)


@pytest.mark.parametrize(("limit", "outcome"), [("0.843", "passed"), ("0.845", "failed")])
def test_the_slack_grows_by_what_the_recorded_program_computed_before_it_sent_the_request(
    suite: Suite, limit: str, outcome: str
) -> None:
    _recorded_until(suite, 194, sent=650)
    suite.write(TIMED.replace("LIMIT", limit))

    result = suite.replay()

    result.assert_outcomes(**{outcome: 1})
    if outcome == "failed":
        result.stdout.fnmatch_lines(DID_NOT_FIRE)


def test_a_time_out_that_began_long_before_the_request_fires_in_the_replay(suite: Suite) -> None:
    suite.write(
        """
def computing(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


@pytest.mark.asyncio
async def test_it(claude_latency):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.2):
            if COMPUTES:
                computing(0.8)
            await astream(client=anthropic.AsyncAnthropic(max_retries=0))
""".replace("COMPUTES", "claude_latency._measurement.replays is False")
    )
    suite.server.answer(silence())
    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)

    assert suite.calls("test_it")[0]["total"] == 1.2

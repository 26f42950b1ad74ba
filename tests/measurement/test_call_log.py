"""The call log: which attempts make up a call, and what the calls of a phase took."""

from __future__ import annotations

import contextvars
import gc
import weakref
from collections.abc import Callable
from dataclasses import replace

import pytest

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.http.library import HTTPLibrary
from pytest_claude_latency.http.recorder import Attempt
from pytest_claude_latency.measurement.call_log import CallLog, Phase
from pytest_claude_latency.messages_api.exchange import Exchange, Headers
from pytest_claude_latency.virtual_time.clock import VirtualClock
from tests.support.some_recording import asking

API = "https://api.anthropic.com/v1/messages"
LIBRARY = HTTPLibrary.of_sdk()


class Program:
    """Sends requests one after the other, and files them in a log."""

    def __init__(self, *, replays: bool = False) -> None:
        self.clock = VirtualClock()
        self.log = CallLog(self.clock.now, replays=replays)

    def send(
        self,
        body: bytes = b"{}",
        url: str = API,
        *,
        retry: int = 0,
        answer: int | None = 200,
        location: str | None = None,
        place: int = 0,
        invocation: str | None = None,
    ) -> Attempt:
        """Send a request that is answered a second later; with `answer` None it is not answered yet."""
        count: Headers = (("x-stainless-retry-count", str(retry)),)
        request = replace(asking(body, url, count), invocation=invocation)
        attempt = Attempt(request, self.clock, 0, LIBRARY.decoded)
        attempt.foretold(Exchange(0, attempt.request), place)
        self.log.file(attempt)
        if answer is not None:
            self.pause(SECOND)
            attempt.answered(answer, () if location is None else (("location", location),))
            attempt.finish()
        return attempt

    def pause(self, duration: int) -> None:
        """Let time pass."""
        self.clock.advance_to(self.clock.now() + duration)

    def attempts(self) -> list[int]:
        """How many attempts each call had."""
        return [len(exchanges) for exchanges in self.log.of(*Phase).attempts]


def in_a_context_of_its_own(function: Callable[[], object]) -> None:
    contextvars.Context().run(function)


def test_a_retry_belongs_to_the_call_that_failed() -> None:
    program = Program()

    program.send(answer=529)
    program.send(retry=1)

    assert program.attempts() == [2]


def test_attempts_that_share_an_invocation_are_one_call_in_any_context() -> None:
    program = Program()

    program.send(answer=503, invocation="a")
    in_a_context_of_its_own(lambda: program.send(answer=503, invocation="b"))
    in_a_context_of_its_own(lambda: program.send(invocation="a"))
    program.send(invocation="b")
    program.send(invocation="c")

    assert program.attempts() == [2, 2, 1]


def test_the_same_request_again_is_another_call() -> None:
    program = Program()

    program.send()
    program.send()

    assert program.attempts() == [1, 1]


def test_a_redirect_is_a_step_of_its_call_and_a_retry_begins_again_at_the_first_url() -> None:
    program = Program()

    program.send(answer=307, location="/elsewhere")
    program.send(url=f"{API}/elsewhere", answer=529)
    program.send(retry=1)

    assert program.attempts() == [3]


def test_of_two_identical_calls_the_context_tells_whose_retry_it_is() -> None:
    program = Program()
    first, second = contextvars.Context(), contextvars.Context()
    first.run(program.send, b"{}", answer=529)
    second.run(program.send, b"{}", answer=529)

    second.run(program.send, b"{}", retry=1)

    assert program.attempts() == [1, 2]


def test_a_retry_in_a_context_of_its_own_goes_to_the_oldest_call_that_waits_for_one() -> None:
    program = Program()
    in_a_context_of_its_own(lambda: program.send(answer=529))
    in_a_context_of_its_own(lambda: program.send(answer=529))

    in_a_context_of_its_own(lambda: program.send(retry=1))

    assert program.attempts() == [2, 1]


def test_a_call_of_another_test_is_not_gone_on_with() -> None:
    earlier, program = Program(), Program()
    earlier.send(answer=529)

    program.send(retry=1)

    assert (earlier.attempts(), program.attempts()) == ([1], [1])


def test_the_context_keeps_no_log_alive() -> None:
    program = Program()
    program.send()
    log = weakref.ref(program.log)

    del program
    gc.collect()

    assert log() is None


def test_calls_are_told_by_the_phase_they_were_sent_in() -> None:
    program = Program()
    program.send(b'{"model": "in the set-up"}')
    program.log.begin(Phase.BODY)
    program.send(b'{"model": "in the body"}')

    assert [call.model for call in program.log.of(Phase.BODY).calls] == ["in the body"]
    assert [call.model for call in program.log.of(*Phase, since=1).calls] == ["in the body"]
    assert program.log.count == 2


def test_what_makes_no_message_is_an_attempt_and_no_call() -> None:
    program = Program()

    program.send(url=f"{API}/count_tokens")

    sent = program.log.of(*Phase)
    assert (len(sent.attempts), sent.calls, program.log.prompts) == (1, (), [])
    assert sent.elapsed == 1


@pytest.mark.parametrize(("answer", "elapsed"), [(200, 3), (None, 3.5)])
def test_elapsed_is_from_the_first_request_to_the_last_answer_or_to_now(answer: int | None, elapsed: float) -> None:
    program = Program()
    assert program.log.of(*Phase).elapsed is None

    program.send()
    program.pause(SECOND)
    program.send(b'{"model": "another"}', answer=answer)
    program.pause(SECOND if answer else 3 * SECOND // 2)

    assert program.log.of(*Phase).elapsed == elapsed


@pytest.mark.parametrize(("replays", "order"), [(True, ["first", "second"]), (False, ["second", "first"])])
def test_in_a_replay_calls_of_one_instant_are_ordered_as_they_were_recorded(replays: bool, order: list[str]) -> None:
    program = Program(replays=replays)

    program.send(b'{"model": "second"}', answer=None, place=2)
    program.send(b'{"model": "first"}', answer=None, place=1)

    assert [call.model for call in program.log.of(*Phase).calls] == order


def test_what_is_under_way_when_the_log_closes_was_closed_by_the_program() -> None:
    program = Program()
    program.send()
    program.send(answer=None)

    program.log.close()

    assert [exchange.end and exchange.end.closed for exchange in program.log.exchanges] == [None, "client"]

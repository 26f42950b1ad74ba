"""Hypothesis strategies for answers of the Messages API: any blocks, any bytes, any timing that you allow.

A duration is `"100ms"`, a number of seconds or a `timedelta`. A span is a duration or a pair (shortest, longest). Each
instant is a whole microsecond, so that a recording is the same after it was saved. Bad arguments are refused when a
strategy is made, not when it is drawn from.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Unpack

from hypothesis import strategies as st

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.duration import MICROSECOND
from pytest_claude_latency.messages_api.exchange import Exchange
from pytest_claude_latency.messages_api.retries import ended
from pytest_claude_latency.simulation import faults as kinds
from pytest_claude_latency.simulation.fault import Fault
from pytest_claude_latency.strategies import attempt, content, timing
from pytest_claude_latency.strategies.envelope import AnswerOptions, Envelope, Number, Range, ToolInputs, number, switch

__all__ = ["answers", "chunkings", "exchanges", "faults", "recordings"]


def recordings(
    *, retries: bool = False, calls: Number = 1, **answer: Unpack[AnswerOptions]
) -> st.SearchStrategy[Recording]:
    """Make recordings for `play`: one or more calls, one after the other, each with its attempts.

    Args:
        retries: calls may fail at first, once or twice, with a status that the SDK retries (408, 409, 429, 500, 529,
            with `retry-after` or without) or without an answer. For clients with the SDK's own `max_retries` of 2.
        calls: how many calls there are.
        answer: what each answer is like, with the arguments of `exchanges`. Times count from when the answering
            attempt is sent, not the first.

    Raises:
        LimitError: an argument is not understood, or two exclude each other.
    """
    envelope = Envelope.of(**answer)
    return _recordings(envelope, switch("retries", retries), number("calls", calls))


def exchanges(**answer: Unpack[AnswerOptions]) -> st.SearchStrategy[Exchange]:
    """Make requests to the Messages API with their answers, as recordings hold them.

    Args:
        answer: what the answer is like:
        ttft: time to the first content of a stream, thinking included; by default 0.1 to 2 s.
        gaps: time from one piece of content to the next; by default at most 0.5 s.
        ttfb: time to the response headers; by default anything that is not later than the first content.
        total: time to the end of an answer that does not stream, which is also when its first token comes; by
            default 0.3 to 10 s.
        streamed: True: always; False: never; None: either. Give what your program asks for: a program that did not
            ask for a stream cannot read one.
        thinking: answers think first (True), never do (False), or either (None). The thinking may be shown, hidden or
            encrypted, so the first token is not always a thought.
        tools: answers end in the use of one or two tools (True), never do (False), or either (None). Answers that do
            may also search the web at the server, and may hold no text.
        tool_inputs: the tools to use, by name, and a strategy for the input of each. By default both are made up.
        deltas: pieces of content in a block, not counting empty ones.
        errors: answers may be errors instead: any status of the API, with `retry-after` or without, marked
            `x-should-retry: false`, or an `error` event in mid-stream.
        drops: streams may break off anywhere.
        model: the model that answers.

    Raises:
        LimitError: an argument is not understood, or two exclude each other.
    """
    envelope = Envelope.of(**answer)
    return attempt.requests(envelope).flatmap(lambda request: attempt.last_attempts(envelope, Exchange(0, request)))


def answers(
    *,
    thinking: bool | None = False,
    tools: bool | None = False,
    tool_inputs: ToolInputs | None = None,
    deltas: Number = (1, 5),
    model: str = "claude-haiku-4-5",
) -> st.SearchStrategy[dict[str, Any]]:
    """Make messages as the JSON of an answer that does not stream. For the arguments see `exchanges`.

    Raises:
        LimitError: an argument is not understood.
    """
    envelope = Envelope.of(thinking=thinking, tools=tools, tool_inputs=tool_inputs, deltas=deltas, model=model)
    return content.messages(envelope).map(lambda message: message.unstreamed())


def chunkings(data: bytes) -> st.SearchStrategy[tuple[bytes, ...]]:
    """Cut bytes into chunks anywhere, also inside a character or an event. Some chunks may be empty."""
    return timing.cuts(data)


def faults(*, streamed: bool = True, pieces: int = 1) -> st.SearchStrategy[Fault]:
    """Make faults that fit the first call of a recording.

    Args:
        streamed: whether that call streams. If it does not, faults of streams are left out.
        pieces: how many pieces of content its answer has at least. A fault of a stream comes behind one of them.

    Raises:
        LimitError: an argument is not understood.
    """
    after, times = st.integers(1, number("pieces", pieces).least), st.integers(1, 3) | st.just("always")
    seconds = st.integers(1, 120).map(lambda seconds: f"{seconds}s")
    retried = {"times": times}
    any_answer: list[st.SearchStrategy[Fault]] = [
        st.builds(kinds.slower, total=st.integers(2, 10)),
        st.builds(kinds.rate_limited, retry_after=st.none() | seconds, **retried),
        st.builds(kinds.failing, status=st.sampled_from([400, 401, 403, 404, 408, 409, 413, 500, 529]), **retried),
        *(st.builds(kind, **retried) for kind in (kinds.overloaded, kinds.refused, kinds.unanswered)),
    ]
    if not switch("streamed", streamed):
        return st.one_of(any_answer)
    cuts = (kinds.overloaded_midstream, kinds.dropped, kinds.truncated, kinds.malformed)
    return st.one_of(
        *any_answer,
        st.builds(kinds.stalled, after=after, duration=seconds, **retried),
        st.builds(kinds.trickled, every=seconds, **retried),
        *(st.builds(kind, after=after, **retried) for kind in cuts),
    )


@st.composite
def _recordings(draw: st.DrawFn, envelope: Envelope, retries: bool, calls: Range) -> Recording:
    exchanges: list[Exchange] = []
    now = 0
    for _ in range(draw(st.integers(*calls))):
        request = draw(attempt.requests(envelope))
        for retried in range(draw(st.integers(0, 2)) if retries else 0):
            failed = draw(attempt.failed_attempts(envelope, Exchange(now, request)))
            exchanges.append(failed)
            # the SDK's own pause: a replay by the SDK must come to the recorded instants again
            now = ended(failed, now) + draw(attempt.back_off(failed, retried))
        exchanges.append(draw(attempt.last_attempts(envelope, Exchange(now, request))))
        now = ended(exchanges[-1], now) + draw(st.integers(0, 1_000_000)) * MICROSECOND
    return Recording(
        test="generated",
        recorded="2026-01-01T00:00:00.000Z",
        client=f"anthropic {version('anthropic')}",
        exchanges=tuple(exchanges),
    )

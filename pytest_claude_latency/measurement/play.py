"""`play`: a recording that is given as a value, served in virtual time.

A latency test replays what was recorded for it. `play` serves any `Recording`: inside `@given`, whose examples must not
share a function-scoped fixture, or wherever a program is to meet an answer that no API gave.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from pytest_claude_latency import virtual_time
from pytest_claude_latency.cassettes.header_dates import on_the_calendar
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.errors import LimitError
from pytest_claude_latency.http.changes.sdk import SDKPatches
from pytest_claude_latency.http.guard.guard import Guard
from pytest_claude_latency.http.interception import Interception
from pytest_claude_latency.measurement import carriers
from pytest_claude_latency.measurement.call_log import Phase
from pytest_claude_latency.measurement.latency import Latency, judge_outputs
from pytest_claude_latency.measurement.made_up_answers import AnswersMarker, MadeUpAnswers
from pytest_claude_latency.measurement.measurement import Measurement, Source
from pytest_claude_latency.measurement.sources import SequentialSource
from pytest_claude_latency.simulation.answers import Answer
from pytest_claude_latency.simulation.profiles import shipped
from pytest_claude_latency.virtual_time.clock import VirtualClock

_NAME: Final = "play(...)"
_INSIDE: Final = f"{_NAME} inside {{outer}}, which has a time of its own: call it outside"


@contextmanager
def play(recording: Recording | Sequence[Answer | str]) -> Iterator[Latency]:
    """Serve `recording` to the Claude calls made in this block, in virtual time, and yield what was measured.

    Its exchanges answer the requests in turn, whatever they ask. Answers and texts in its place are made up as for
    `@latency_answers`. Time stands at 0 when the block begins and moves as in any replay. The network is never
    touched. One request more than there are exchanges fails the test.

    Raises:
        LimitError: there is neither a recording nor a sequence of answers and texts.
        RuntimeError: the block lies inside a latency test or another `play`, which have a time of their own.
    """
    answers: Source | None = None if isinstance(recording, Recording) else _made_up(recording)
    virtual_time.install()
    world = virtual_time.current()
    if world is not None and not world.ended:
        outer = f"another {_NAME}" if world.name == _NAME else f"the latency test {world.name}"
        raise RuntimeError(_INSIDE.format(outer=outer))
    current: list[Measurement] = []
    # Everything is undone in the reverse order, also when a step fails: the SDK and the clients stay as they were.
    with ExitStack() as cleanup:
        interception = Interception(lambda: current[0] if current else None)
        interception.start()
        cleanup.callback(interception.stop)
        sdk = SDKPatches(replaying=lambda: True, keyless=lambda: None)
        sdk.start()
        cleanup.callback(sdk.stop)
        guard = Guard(lambda: current[0] if current else None)
        guard.start()
        cleanup.callback(guard.stop)
        carriers.install()
        interception.prove()  # before there is a responder, so that nothing can go out if it is not live
        source, date = answers, None
        if isinstance(recording, Recording):
            recording, date = on_the_calendar(recording, None)
            source = SequentialSource(recording.exchanges)
        assert source is not None
        measurement = Measurement(_NAME, VirtualClock(), source, date)
        measurement.log.begin(Phase.BODY)
        measurement.enter()
        cleanup.callback(measurement.leave)
        current.append(measurement)
        cleanup.callback(current.clear)
        cleanup.callback(measurement.close)
        latency = Latency(measurement)
        with measurement.misses.failing():
            yield latency
        judge_outputs(latency)


def _made_up(answers: object) -> Source:
    """Return the source that serves answers and texts in turn."""
    is_sequence = isinstance(answers, Sequence) and not isinstance(answers, str)
    if not is_sequence or not all(isinstance(answer, str | Answer) for answer in answers):  # type: ignore[attr-defined]
        raise LimitError(
            f"{_NAME}: {answers!r} is not understood; accepted: a Recording, or a list of texts and Answers"
        )
    values = tuple(Answer(answer) if isinstance(answer, str) else answer for answer in answers)  # type: ignore[attr-defined]
    return MadeUpAnswers([AnswersMarker(values, _NAME)], shipped(), "give play(...) a Recording")

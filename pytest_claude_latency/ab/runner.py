"""The A/B run of one test: after it has ended, its recorded requests and its current ones are sent in pairs.

The two requests of a pair go out in random order over one connection of one client, so that host, moment and
connection are the same for both, and only the requests differ. The test itself does not see them: they are not among
its calls, take none of its time, and are not recorded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from random import SystemRandom
from typing import Any, Final

from pytest_claude_latency.ab.recorded_request import Obstacle, RequestPair, request_pairs
from pytest_claude_latency.cassettes.matching import Rules
from pytest_claude_latency.cassettes.paths import shown
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.errors import CassetteError
from pytest_claude_latency.http.connection_warmup import ConnectionWarmup
from pytest_claude_latency.http.doors.httpx import HTTPXDoor, passage_of, transport_of
from pytest_claude_latency.http.library import HTTPLibrary
from pytest_claude_latency.http.recorder import Attempt
from pytest_claude_latency.measurement.call_log import Phase
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.measurement.sources import LiveSource
from pytest_claude_latency.messages_api.exchange import Request
from pytest_claude_latency.messages_api.recognition import Recognition
from pytest_claude_latency.results.ab_pairs import ABPair, ABSample, MeasuredRequest, NotCompared
from pytest_claude_latency.virtual_time.clock import WallClock

_NO_RECORDING: Final = "there is no recording: {}"


def measure_pairs(
    test: Measurement,
    path: Path,
    rules: Rules,
    *,
    root: Path,
    redact: tuple[re.Pattern[str], ...],
    during: Callable[[Measurement], AbstractContextManager[None]],
) -> ABSample:
    """Compare the calls of `test`, a live measurement that has ended, with the recording in `path`.

    `during` opens a block in which a measurement of its own takes the place of the test's.
    """
    recording_name = shown(path, root)
    calls = len(test.log.of(Phase.BODY).calls)
    if not calls:
        return ABSample(calls=0, recording=recording_name)
    # read now and not at set-up: a test that made no call needs none, and is not to warn about it
    try:
        recording = Recording.load(path)
    except CassetteError as error:
        reason = error.seen_from(root) if path.exists() else _NO_RECORDING.format(recording_name)
        not_compared = (NotCompared(None, reason, mendable=True),)
        return ABSample(calls=calls, recording=recording_name, not_compared=not_compared)
    made = test.log.prompts
    last_attempts = [call.exchanges[-1] for call in made]
    # Calls of fixtures take part in finding the pairs, since a recording does not tell them apart; then they go.
    answers = request_pairs(recording, last_attempts, test.log.exchanges, rules, redact)
    in_body = [answer for answer, call in zip(answers, made, strict=True) if call.phase is Phase.BODY]
    to_send = {number: answer for number, answer in enumerate(in_body, 1) if isinstance(answer, RequestPair)}
    return ABSample(
        calls=calls,
        recording=recording_name,
        pairs=tuple(_measured(to_send, test, during)) if to_send else (),
        not_compared=tuple(
            NotCompared(number, answer.reason, answer.mendable)
            for number, answer in enumerate(in_body, 1)
            if isinstance(answer, Obstacle)
        ),
    )


def _measured(
    pairs: Mapping[int, RequestPair],
    test: Measurement,
    during: Callable[[Measurement], AbstractContextManager[None]],
) -> Iterator[ABPair]:
    """Send the two requests of each pair, and yield both as they were answered."""
    measurement = Measurement(test.name, WallClock(), LiveSource(), warmup=ConnectionWarmup())
    # Not installed: the requests are handed to it.
    door = HTTPXDoor(lambda: measurement, Recognition(), HTTPLibrary.of_sdk())
    # A coin decides for each pair which request goes first, so that neither gains by its place.
    recorded_first = [SystemRandom().random() < 0.5 for _ in pairs]
    # One client, and a connection that is opened ahead: only the requests differ between the two of a pair.
    with during(measurement), door.library.client() as client:
        for pair, in_order in zip(pairs.values(), recorded_first, strict=True):
            for request in (pair.recorded, pair.current) if in_order else (pair.current, pair.recorded):
                send(request, client, measurement, door)
    # before the calls are looked at: closing ends what is still under way
    measurement.close()
    # Each request is one call with one attempt, in the order sent, so two by two they are the pairs again.
    sent = measurement.log.of(*Phase)
    measured = [MeasuredRequest(call, conditions) for call, conditions in zip(sent.calls, sent.conditions, strict=True)]
    # back into the order of a pair, whichever of the two went first
    for number, first, second, in_order in zip(pairs, measured[::2], measured[1::2], recorded_first, strict=True):
        yield ABPair(number, first, second) if in_order else ABPair(number, second, first)


def send(request: Request, client: Any, measurement: Measurement, door: HTTPXDoor) -> Attempt:
    """Send a request once and read its answer to the end, below everything that intercepts requests or repeats them."""
    # The transport is asked directly: the client would follow redirects, and hand the request to what intercepts it.
    raw = client.build_request(request.method, request.url, headers=list(request.headers), content=request.content)
    serving = measurement.answer(request, door)
    transport = transport_of(serving, client._transport_for_url(raw.url), raw.url, door)
    with suppress(Exception), passage_of(raw, serving.attempt):  # the attempt itself notes how it ended
        response = transport.handle_request(raw)
        # to the end, or the connection could not be used again and the next request would pay for a new one
        for _ in response.stream:
            pass
        response.close()
    return serving.attempt

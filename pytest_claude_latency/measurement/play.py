"""`play`: a recording that is given as a value, served in virtual time.

A latency test replays what was recorded for it. `play` serves any `Recording`: inside `@given`, whose examples must not
share a function-scoped fixture, or wherever a program is to meet an answer that no API gave.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from pytest_claude_latency import virtual_time
from pytest_claude_latency.cassettes.header_dates import on_the_calendar
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.http.changes.sdk import SDKPatches
from pytest_claude_latency.http.guard.guard import Guard
from pytest_claude_latency.http.interception import Interception
from pytest_claude_latency.measurement import carriers
from pytest_claude_latency.measurement.call_log import Phase
from pytest_claude_latency.measurement.latency import Latency, judge_outputs
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.measurement.sources import SequentialSource
from pytest_claude_latency.virtual_time.clock import VirtualClock

_NAME: Final = "play(...)"
_INSIDE: Final = f"{_NAME} inside {{outer}}, which has a time of its own: call it outside"


@contextmanager
def play(recording: Recording) -> Iterator[Latency]:
    """Serve `recording` to the Claude calls made in this block, in virtual time, and yield what was measured.

    Its exchanges answer the requests in turn, whatever they ask. Time stands at 0 when the block begins and moves as
    in any replay. The network is never touched. One request more than there are exchanges fails the test.

    Raises:
        RuntimeError: the block lies inside a latency test or another `play`, which have a time of their own.
    """
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
        recording, date = on_the_calendar(recording, None)
        measurement = Measurement(_NAME, VirtualClock(), SequentialSource(recording.exchanges), date)
        measurement.log.begin(Phase.BODY)
        measurement.enter()
        cleanup.callback(measurement.leave)
        current.append(measurement)
        cleanup.callback(current.clear)
        cleanup.callback(measurement.close)
        latency = Latency(measurement)
        with measurement.failing_on_misses():
            yield latency
        judge_outputs(latency)

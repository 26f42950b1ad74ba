"""`play`: a recording given as a value, served in virtual time.

Where a latency test replays what was recorded for it, `play` serves any
`Recording`: inside `@given`, whose examples must not share a function-scoped
fixture, or wherever a program is to meet an answer that no API gave.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from pytest_claude_latency import virtual_time
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.http.interception import Interception
from pytest_claude_latency.http.sdk_patches import SDKPatches
from pytest_claude_latency.measurement.call_log import Phase
from pytest_claude_latency.measurement.latency import Latency
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.measurement.sources import SequentialSource
from pytest_claude_latency.virtual_time.clock import VirtualClock

_NAME = "play(...)"


@contextmanager
def play(recording: Recording) -> Iterator[Latency]:
    """Serve `recording` to the Claude calls made in this block, in virtual time, and yield what was measured.

    Its exchanges answer the requests in turn, whatever they ask. Time stands at 0 when the block begins and moves as
    in any replay; the network is never touched. One request more than there are exchanges fails the test.

    Raises:
        RuntimeError: the block lies inside a latency test or another `play`, which live in a time of their own.
    """
    virtual_time.install()
    _refuse_inside(virtual_time.current())
    measured: list[Measurement] = []
    with ExitStack() as stack:
        interception = Interception(lambda: measured[0] if measured else None)
        interception.start()
        stack.callback(interception.stop)
        sdk = SDKPatches(replaying=lambda: True, keyless=lambda: None)
        sdk.start()
        stack.callback(sdk.stop)
        interception.prove()
        measurement = Measurement(_NAME, VirtualClock(), SequentialSource(recording.exchanges), interception.library)
        measurement.log.begin(Phase.BODY)
        measurement.enter()
        stack.callback(measurement.leave)
        measured.append(measurement)
        stack.callback(measured.clear)
        stack.callback(measurement.close)
        with measurement.failing_on_misses():
            yield Latency(measurement)


def _refuse_inside(world: virtual_time.WorldState | None) -> None:
    if world is None or world.ended:
        return
    outer = f"another {_NAME}" if world.name == _NAME else f"the latency test {world.name}"
    raise RuntimeError(f"{_NAME} inside {outer}, which lives in a time of its own: call it outside")

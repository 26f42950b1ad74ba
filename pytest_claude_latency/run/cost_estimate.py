"""Foresight: what is said before a run that calls the API many times, and while it lasts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import final

from pytest_claude_latency.cassettes.paths import path_of
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.collection.identity import Identity
from pytest_claude_latency.duration import SECOND, Nanoseconds
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.retries import calls_of
from pytest_claude_latency.metrics.timeline import Call
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.settings import Mode, Settings
from pytest_claude_latency.virtual_time.clock import Clock

EVERY: Nanoseconds = 10 * SECOND
"""How often a long run tells its progress."""


def announcement(samples: Sequence[Identity], root: Path, settings: Settings) -> str | None:
    """How many calls the samples will make, by what was recorded of them before; None where none is made."""
    to_make = Counter(each.nodeid for each in samples if not _is_replayed(each, root, settings))
    if not to_make:
        return None
    known = {nodeid: _recorded_calls(nodeid, root, settings) for nodeid in to_make}
    calls = sum(number * (known[nodeid] or 1) for nodeid, number in to_make.items() if known[nodeid] != 0)
    written = {nodeid: number for nodeid, number in to_make.items() if _recorded_as(nodeid) == nodeid}
    beside = _side_by_side(written, root, settings) if settings.ab else 0
    calls += beside
    tests = number_of(len(to_make), "test")
    line = f"claude latency: mode {settings.mode}, {number_of(to_make.total(), 'sample')} of {tests}"
    unknown = sum(recorded is None for recorded in known.values())
    share = f", {beside} of them for --latency-ab" if beside else ""
    if not unknown:
        return f"{line}: {number_of(calls, 'call')}, by the recordings{share}"
    guess = "each counted as one call" if unknown > 1 else "counted as one call"
    unrecorded = number_of(unknown, "test")
    return f"{line}: at least {number_of(calls, 'call')} ({unrecorded} without a recording, {guess}){share}"


def _is_replayed(identity: Identity, root: Path, settings: Settings) -> bool:
    return settings.mode is Mode.RECORD_MISSING and _path(identity.nodeid, identity.sample, root, settings).exists()


def _path(nodeid: str, sample: int, root: Path, settings: Settings) -> Path:
    file, _, test_id = nodeid.partition("::")
    return path_of(root / file, settings.cassettes, _recorded_as(test_id), sample)


def _recorded_as(test_id: str) -> str:
    """What the recordings of a test are called, which a variant has by its looks: a controller sees no items."""
    varied = re.fullmatch(r"(.*)(\[|-)(~[^~\]]+)\]", test_id, re.DOTALL)
    if varied is None:
        return test_id
    return varied[1] + ("]" if varied[2] == "-" else "") + varied[3]


def _recorded_calls(nodeid: str, root: Path, settings: Settings) -> int | None:
    """How many calls a sample of the test made when it was recorded; None if it was not, or cannot be read."""
    try:
        recording = Recording.load(_path(nodeid, 1, root, settings))
    except LatencyError:
        return None
    return sum(is_prompt_call(call[0].request) for call in calls_of(recording.exchanges))


def _side_by_side(samples: Mapping[str, int], root: Path, settings: Settings) -> int:
    """How many calls it takes to measure recorded requests beside those of now: two for each that can be sent."""
    from pytest_claude_latency.ab.recorded_request import sendable

    calls = 0
    for nodeid, number in samples.items():
        with suppress(LatencyError):
            calls += 2 * number * sendable(Recording.load(_path(nodeid, 1, root, settings)))
    return calls


@final
class Progress:
    """The line that a long live run shows now and then: what is done, and what it cost."""

    def __init__(self, clock: Clock, write: Callable[[str], None], every: Nanoseconds) -> None:
        self._clock = clock
        self._write = write
        self._every = every
        self._said = clock.now()

    def note(self, results: Iterable[TestResult]) -> None:
        """A sample is done; `results` are all so far."""
        now = self._clock.now()
        if now - self._said >= self._every:
            self._said = now
            self._write(progress(results))


def progress(results: Iterable[TestResult]) -> str:
    """Samples done, of those the tests seen so far will have, calls made and tokens spent."""
    done = list(results)
    expected = sum({result.nodeid: result.sample_count for result in done}.values())
    calls = [call for result in done for call in _calls(result)]
    tokens = sum((call.prompt_tokens or 0) + (call.output_tokens or 0) for call in calls)
    tests = number_of(len({result.nodeid for result in done}), "test")
    return (
        f"claude latency: {len(done)} of {number_of(expected, 'sample')} of {tests}, "
        f"{number_of(len(calls), 'call')}, {tokens:,} tokens so far"
    )


def _calls(result: TestResult) -> Iterable[Call]:
    beside = () if result.ab_sample is None else result.ab_sample.sent
    return (*result.setup_calls, *result.calls, *beside)

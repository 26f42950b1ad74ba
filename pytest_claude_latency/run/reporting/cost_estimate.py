"""What a run that calls the API many times will cost, said before it begins, and what it has cost, while it lasts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, final

from pytest_claude_latency.cassettes.paths import path_of
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.collection.identity import Identity
from pytest_claude_latency.duration import SECOND, Nanoseconds
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.retries import calls_of
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.settings import Mode, Settings
from pytest_claude_latency.virtual_time.clock import Clock

EVERY: Nanoseconds = 10 * SECOND
"""How often a long run tells its progress."""


def announcement(samples: Sequence[Identity], root: Path, settings: Settings) -> str | None:
    """Return how many calls the samples will make, as far as recordings tell; `None` where they make none."""
    # `record-missing` replays what is recorded, at no cost.
    sample_counts = Counter(
        sample.nodeid
        for sample in samples
        if settings.mode is not Mode.RECORD_MISSING
        or not _recording_path(sample.nodeid, sample.sample, root, settings).exists()
    )
    if not sample_counts:
        return None
    calls = ab_calls = unrecorded = 0
    for nodeid, sample_count in sample_counts.items():
        try:
            recording = Recording.load(_recording_path(nodeid, 1, root, settings))
        except LatencyError:  # there is none, or it cannot be read, which its test will say
            unrecorded += 1
            calls += sample_count
            continue
        # The first sample stands for all of them: they run the same code.
        recorded_calls = calls_of(recording.exchanges)
        calls += sample_count * sum(is_prompt_call(attempts[0].request) for attempts in recorded_calls)
        if settings.ab and _recording_name(nodeid) == nodeid:  # variants have no recorded requests to compare with
            from pytest_claude_latency.ab.recorded_request import sendable

            ab_calls += 2 * sample_count * sendable(recording)
    tests = number_of(len(sample_counts), "test")
    most = "at most " if settings.is_sequential else ""
    line = f"claude latency: mode {settings.mode}, {most}{number_of(sample_counts.total(), 'sample')} of {tests}"
    count = number_of(calls + ab_calls, "call")
    share = f", {ab_calls} of them for --latency-ab" if ab_calls else ""
    if not unrecorded:
        return f"{line}: {most}{count}, by the recordings{share}"
    guess = "each counted as one call" if unrecorded > 1 else "counted as one call"
    return f"{line}: {most or 'at least '}{count} ({number_of(unrecorded, 'test')} without a recording, {guess}){share}"


def _recording_path(nodeid: str, sample: int, root: Path, settings: Settings) -> Path:
    file, _, test_id = nodeid.partition("::")
    return path_of(root / file, settings.cassettes, _recording_name(test_id), sample)


def _recording_name(test_id: str) -> str:
    """Return what the recordings of a test are called.

    A variant is told by the form of its id alone, `test_it[~temperature=0.5]`: the controller of workers sees no items.
    """
    variant = re.fullmatch(r"(.*)(\[|-)(~[^~\]]+)\]", test_id, re.DOTALL)
    if variant is None:
        return test_id
    return variant[1] + ("]" if variant[2] == "-" else "") + variant[3]


def is_watched(terminal: Any) -> bool:
    """Return whether somebody sees pytest's terminal reporter as the run goes on; `None` is no terminal."""
    is_a_terminal = getattr(terminal, "isatty", False)  # a method or not, by pytest's version
    return bool(is_a_terminal() if callable(is_a_terminal) else is_a_terminal)


@final
class Progress:
    """The line that a long live run shows now and then: what is done, and what it cost."""

    def __init__(self, clock: Clock, write: Callable[[str], None], every: Nanoseconds) -> None:
        self._clock = clock
        self._write = write
        self._every = every
        self._written_at = clock.now()

    def note(self, results: Iterable[TestResult]) -> None:
        """Learn that a sample is done. `results` are all so far."""
        now = self._clock.now()
        if now - self._written_at >= self._every:
            self._written_at = now
            self._write(progress(results))


def progress(results: Iterable[TestResult]) -> str:
    """Return how many samples are done, of those that the tests so far have, with their calls and tokens."""
    done = list(results)
    # each sample knows how many there are, so one for each test is enough
    sample_counts = {result.nodeid: result.sample_count for result in done}
    calls = [call for result in done for call in (*result.setup_calls, *result.calls)]
    calls += [call for result in done if result.ab_sample is not None for call in result.ab_sample.sent]
    tokens = sum((call.prompt_tokens or 0) + (call.output_tokens or 0) for call in calls)
    tests = number_of(len(sample_counts), "test")
    if sum(sample_counts.values()) > len(sample_counts):
        tests = f"{len(done)} of {number_of(sum(sample_counts.values()), 'sample')} of {tests}"
    return f"claude latency: {tests}, {number_of(len(calls), 'call')}, {tokens:,} tokens so far"

"""What is line before and during a run that calls the API many times."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pytest_claude_latency.cassettes.paths import path_of
from pytest_claude_latency.collection.identity import Identity
from pytest_claude_latency.collection.sampling import identities
from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.results.ab_pairs import ABPair
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.run.reporting.cost_estimate import Progress, announcement, progress
from pytest_claude_latency.settings import Mode, Settings
from pytest_claude_latency.virtual_time.clock import VirtualClock
from tests.support.some_call import some_call
from tests.support.some_pairs import ab_sample, some_request
from tests.support.some_recording import recording
from tests.support.written_calls import refused, whole


@pytest.mark.parametrize(
    ("nodeid", "meant"),
    [
        ("test_it.py::test_one[sample-3]", Identity("test_it.py::test_one", 3)),
        ("test_it.py::test_one[en-sample-12]", Identity("test_it.py::test_one[en]", 12)),
        (
            "a/test_it.py::TestIt::test_one[a-sample-1-sample-2]",
            Identity("a/test_it.py::TestIt::test_one[a-sample-1]", 2),
        ),
        ("test_it.py::test_one", None),
        ("test_it.py::test_one[en]", None),
        ("test_it.py::test_one[sample-x]", None),
        ("test_it.py::test_one[example-1]", None),
    ],
)
def test_samples_are_recognized_by_their_node_ids(nodeid: str, meant: Identity | None) -> None:
    assert list(identities([nodeid])) == ([] if meant is None else [meant])


def some_results() -> list[TestResult]:
    call = some_call(prompt_tokens=1000, output_tokens=200)
    return [
        TestResult(nodeid="test_it.py::test_a", sample=1, sample_count=20, calls=(call, call)),
        TestResult(nodeid="test_it.py::test_a", sample=2, sample_count=20, calls=(call,), setup_calls=(call,)),
        TestResult(nodeid="test_it.py::test_b", sample=1, sample_count=20, calls=(replace(call, prompt_tokens=None),)),
    ]


def test_the_progress_line_counts_samples_calls_and_tokens() -> None:
    assert progress(some_results()) == ("claude latency: 3 of 40 samples of 2 tests, 5 calls, 5,000 tokens so far")


def test_the_progress_line_counts_what_is_measure_pairs() -> None:
    request = some_request(0.4)
    sample = ab_sample(ABPair(1, request, request), ABPair(2, request, request), calls=2)
    tokens = 4 * ((request.call.prompt_tokens or 0) + (request.call.output_tokens or 0))

    line = progress([TestResult(nodeid="test_it.py::test_a", sample_count=20, ab_sample=sample)])

    assert line == f"claude latency: 1 of 20 samples of 1 test, 4 calls, {tokens} tokens so far"


def test_progress_is_written_every_ten_seconds_and_not_at_once() -> None:
    clock, lines = VirtualClock(), list[str]()
    progress_line = Progress(clock, lines.append, every=10 * SECOND)
    counts = []
    for _ in range(25):
        progress_line.note(some_results())
        counts.append(len(lines))
        clock.advance_to(clock.now() + SECOND)

    assert counts == [0] * 10 + [1] * 10 + [2] * 5


def test_a_call_is_counted_once_however_often_the_sdk_was_told_to_retry_it(tmp_path: Path) -> None:
    settings = cast(Settings, SimpleNamespace(mode=Mode.LIVE, cassettes="cassettes", ab=False, is_sequential=False))
    told_to = refused(status=400, x_should_retry="true")
    told_not_to = refused(status=529, x_should_retry="false", sent=2000)
    recorded = recording(told_to, whole(sent=600), told_not_to, whole(sent=2600))
    recorded.save(path_of(tmp_path / "test_it.py", settings.cassettes, "test_one", 1))

    line = announcement([Identity("test_it.py::test_one", 1)], tmp_path, settings)

    assert line == "claude latency: mode live, 1 sample of 1 test: 3 calls, by the recordings"

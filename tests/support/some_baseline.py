"""Baselines as a test needs them: of a few tests, replayed or measured live."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from pytest_claude_latency.baselines.baseline import Baseline
from pytest_claude_latency.baselines.folder import path_of
from pytest_claude_latency.baselines.reader import Entry
from pytest_claude_latency.metrics.sample import Sample
from pytest_claude_latency.metrics.series import Mode, Series
from pytest_claude_latency.metrics.timeline import Call
from tests.support.some_call import some_call, spans
from tests.support.some_results import node_ids

LABEL = "tests/test_triage.py::test_label"
DRAFT = "tests/test_triage.py::test_draft[en]"
SAVED = "2026-11-22T11:30:00.000Z"
COMMIT = "3f2a9c0e5d1b7a8466f0e2c19d3b5a7788990c1d"
OLD_FORM = (
    '[\n{"format": "claude-latency-baseline", "version": 1, "unit": "s"},\n{"end": "claude-latency-baseline"}\n]\n'
)
"""A baseline without tests as earlier versions wrote it."""


def replayed(nodeid: str = LABEL, *calls: Call, elapsed: float = 3.0) -> Series:
    """One replay in virtual time, of an ordinary call unless others are given."""
    return _series(nodeid, "replay", [_sample(1, calls or (some_call(),), elapsed)])


def live(
    nodeid: str = LABEL, spans: Sequence[float] = (1.0,), first: int = 1, *, ttft: Sequence[float] | None = None
) -> Series:
    """A sample for each span in seconds, which its one call takes in every way, except for `ttft` where it is given."""
    tokens = spans if ttft is None else ttft
    samples = [
        _sample(number, (some_call(ttft=token, ttfa=token, total=span),), span)
        for number, (span, token) in enumerate(zip(spans, tokens, strict=True), start=first)
    ]
    return _series(nodeid, "live", samples)


def never(nodeid: str = LABEL) -> Series:
    """Two live samples, and in the second no token came."""
    return _series(nodeid, "live", [_sample(1, (some_call(),), 3.0), _sample(2, (some_call(ttft=None),), 3.0)])


def baseline(*series: Series, saved: str = SAVED, commit: str | None = COMMIT) -> Baseline:
    """A baseline of these tests."""
    return Baseline({test.nodeid: Entry(test, saved, commit) for test in series})


def save(root: Path, name: str, *series: Series, **facts: Any) -> Path:
    """The file of such a baseline, in a project."""
    path = path_of(root, name)
    baseline(*series, **facts).save(path)
    return path


def baselines() -> st.SearchStrategy[Baseline]:
    """Any baseline of a few tests with a few samples, some of whose moments never came."""
    call = st.builds(some_call, sent=spans(), ttft=st.none() | spans(), total=spans())
    sample = st.tuples(st.none() | spans(), st.lists(call, max_size=3))
    mode: st.SearchStrategy[Mode] = st.sampled_from(("replay", "live"))
    tests = st.dictionaries(node_ids(), st.tuples(mode, st.lists(sample, min_size=1)), max_size=3)
    return tests.map(_baseline)


def _baseline(tests: dict[str, tuple[Mode, list[tuple[float | None, list[Call]]]]]) -> Baseline:
    return baseline(
        *(
            _series(
                nodeid, mode, [_sample(number, calls, elapsed) for number, (elapsed, calls) in enumerate(samples, 1)]
            )
            for nodeid, (mode, samples) in tests.items()
        )
    )


def _series(nodeid: str, mode: Mode, samples: Sequence[Sample]) -> Series:
    return Series(nodeid=nodeid, mode=mode, clock="virtual" if mode == "replay" else "real", samples=tuple(samples))


def _sample(number: int, calls: Sequence[Call], elapsed: float | None) -> Sample:
    span = None if elapsed is None else round(elapsed * 10**9)
    return Sample(number=number, elapsed=span, calls=tuple(calls)).comparable()

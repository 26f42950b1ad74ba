"""Series of samples as comparisons meet them."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_claude_latency.comparison.comparison import Comparison
from pytest_claude_latency.metrics.sample import Sample
from pytest_claude_latency.metrics.series import Pace, Series
from pytest_claude_latency.metrics.timeline import Call
from tests.support.some_call import some_call

MS = 1_000_000
TEST = "tests/test_triage.py::test_label"


def replayed(*samples: Sample, nodeid: str = TEST, clock: Pace = "virtual") -> dict[str, Series]:
    return {nodeid: Series(nodeid=nodeid, mode="replay", clock=clock, samples=samples)}


def one(*calls: Call, elapsed: float | None = 3.0, number: int = 1) -> Sample:
    span = None if elapsed is None else round(elapsed * 1000) * MS
    return Sample(number=number, elapsed=span, calls=calls)


def live(spans: Sequence[int], nodeid: str = TEST) -> dict[str, Series]:
    """A sample for each span in milliseconds, which its one call takes in every way."""
    samples = []
    for number, span in enumerate(spans, 1):
        seconds = span / 1000
        call = some_call(ttft=seconds, ttfa=seconds, total=seconds)
        samples.append(one(call, elapsed=seconds, number=number))
    return {nodeid: Series(nodeid=nodeid, mode="live", clock="real", samples=tuple(samples))}


def verdicts(found: Sequence[Comparison]) -> dict[str, str]:
    return {comparison.metric: comparison.verdict for comparison in found}


def changed(found: Sequence[Comparison]) -> dict[str, str]:
    return {metric: verdict for metric, verdict in verdicts(found).items() if verdict != "unchanged"}


def of(metric: str, found: Sequence[Comparison]) -> Comparison:
    return next(comparison for comparison in found if comparison.metric == metric)


def steady(middle: int, number: int) -> list[int]:
    """Milliseconds around `middle`, no two equal, at most 5 % away."""
    return [middle + (place - number // 2) * middle // (20 * number) for place in range(number)]

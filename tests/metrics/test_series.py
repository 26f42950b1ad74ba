from __future__ import annotations

from pytest_claude_latency.metrics.series import by_test, sample_of
from pytest_claude_latency.results.result import TestResult
from tests.support.some_call import some_call


def test_results_are_grouped_by_test_in_the_order_of_ids_and_samples() -> None:
    results = [TestResult(nodeid=nodeid, sample=sample) for nodeid, sample in (("b", 1), ("a", 2), ("a", 1))]

    tests = by_test(results)

    assert list(tests) == ["a", "b"]
    assert [[result.sample for result in samples] for samples in tests.values()] == [[1, 2], [1]]


def test_a_sample_of_a_result_has_its_times_in_nanoseconds() -> None:
    sample = sample_of(TestResult(nodeid="a", sample=3, elapsed=1.5, calls=(some_call(),)))

    assert (sample.number, sample.elapsed, sample.calls) == (3, 1_500_000_000, (some_call(),))

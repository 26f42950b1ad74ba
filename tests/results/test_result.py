from __future__ import annotations

import json
from dataclasses import replace

import execnet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.budgets.judgement import Judgement
from pytest_claude_latency.budgets.limit import Limit
from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.results.result import TestResult
from tests.support.some_call import calls, some_call, spans
from tests.support.some_pairs import ab_samples

LIMIT = Limit("ttft", None, 800_000_000, "@latency_budget on tests/test_a.py::test_a")


def judgements() -> st.SearchStrategy[Judgement]:
    number = st.none() | st.integers(0, 10**15) | st.floats(0, 1e6)
    limits = st.builds(
        Limit, st.sampled_from(list(METRICS)), st.none() | st.just("p95"), st.integers(0, 10**15), st.text()
    )
    verdicts = st.sampled_from(["kept", "broken", "no calls", "not measured", "not judged"])
    count = st.integers(0, 99)
    return st.builds(Judgement, limits, number, st.none() | count, count, verdicts, st.none() | st.text())


def results() -> st.SearchStrategy[TestResult]:
    many_calls, texts = st.lists(calls(), max_size=3).map(tuple), st.lists(st.text(), max_size=3).map(tuple)
    return st.builds(
        TestResult,
        nodeid=st.text(),
        sample=st.integers(1, 99),
        variant=st.text(),
        original_nodeid=st.text(),
        outcome=st.sampled_from(["passed", "failed", "skipped"]),
        elapsed=st.none() | spans(),
        calls=many_calls,
        setup_calls=many_calls,
        judgements=st.lists(judgements(), max_size=3).map(tuple),
        judged=st.booleans(),
        recording=st.none() | st.text(),
        ab_sample=st.none() | ab_samples(),
        warnings=texts,
        notes=texts,
    )


@given(results())
def test_any_result_survives_json(result: TestResult) -> None:
    assert TestResult.from_dict(json.loads(json.dumps(result.as_dict(), allow_nan=False))) == result


@given(results())
def test_any_result_survives_the_channel_of_an_xdist_worker(result: TestResult) -> None:
    assert TestResult.from_dict(execnet.loads(execnet.dumps(result.as_dict()))) == result


def test_a_result_read_back_is_made_of_the_same_values() -> None:
    judgement = Judgement(LIMIT, 412_000_000, 1, 1, "kept")
    result = TestResult(nodeid="tests/test_a.py::test_a", calls=(some_call(),), judgements=(judgement,))

    restored = TestResult.from_dict(result.as_dict())

    assert restored.calls[0].ttft == 0.412
    assert restored.judgements[0].limit.text() == "ttft<800ms"


@pytest.mark.parametrize(("judged", "broken"), [(True, 1), (False, 0)])
def test_only_a_judged_result_has_broken_limits(judged: bool, broken: int) -> None:
    kept, missed = Judgement(LIMIT, 1, 1, 1, "kept"), Judgement(LIMIT, 10**9, 1, 1, "broken")
    result = TestResult(nodeid="tests/test_a.py::test_a", judgements=(kept, missed))

    assert len(replace(result, judged=judged).broken) == broken

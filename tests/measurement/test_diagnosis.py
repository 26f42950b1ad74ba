"""The end of a failing message: where the time went, and whose time that was."""

from __future__ import annotations

import pytest

from pytest_claude_latency.budgets.limit import parse_expression
from pytest_claude_latency.measurement.diagnosis import of_recording
from tests.support.findings_corpus import one
from tests.support.written_calls import ns, streamed


@pytest.mark.parametrize(
    ("ended", "line"),
    [(950, "call      of 950ms: "), (2500, "test      of 2.50s: ")],
    ids=["with the call", "long after the answer was complete"],
)
def test_a_breakdown_is_that_of_the_call_where_the_test_takes_no_longer(ended: float, line: str) -> None:
    (limit,) = parse_expression("elapsed.p50<10ms", "the option")

    told = of_recording(one(streamed(ended=ended)).trace, (), "where the time went", limit, ns(ended))

    assert line in told

from __future__ import annotations

import pytest

from pytest_claude_latency.baselines.collected_tests import missing_tests
from tests.support.some_baseline import DRAFT, LABEL


@pytest.mark.parametrize(
    ("asked", "missing"),
    [
        ([""], [DRAFT]),
        (["."], [DRAFT]),
        (["tests"], [DRAFT]),
        (["tests/"], [DRAFT]),
        (["tests/test_triage.py"], [DRAFT]),
        (["tests/test_triage.py::test_draft"], [DRAFT]),
        ([DRAFT], [DRAFT]),
        ([LABEL], []),
        (["tests/test_tri"], []),
        (["tests/test_other.py", "docs"], []),
        ([], []),
    ],
)
def test_a_test_is_missing_if_it_was_asked_for_and_not_collected(asked: list[str], missing: list[str]) -> None:
    assert missing_tests([LABEL, DRAFT], collected=[LABEL], places=asked) == missing

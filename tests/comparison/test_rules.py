from __future__ import annotations

import math
import re
from typing import Any

import pytest

from pytest_claude_latency.comparison.rules import NOT_IN_RANGE, Rules
from pytest_claude_latency.errors import LimitError
from tests.support.some_series import MS


@pytest.mark.parametrize(
    ("field", "name", "least", "value"),
    [
        ("tolerance", "tolerance", 0, -0.1),
        ("tolerance", "tolerance", 0, math.nan),
        ("min_ratio", "min-ratio", 1, 0.9),
        ("min_ratio", "min-ratio", 1, math.nan),
        ("min_ratio", "min-ratio", 1, math.inf),
        ("min_shift", "min-shift", 0, -1),
    ],
)
def test_rules_that_make_no_sense_are_refused(field: str, name: str, least: int, value: float) -> None:
    facts: dict[str, Any] = {field: value}

    with pytest.raises(LimitError, match=re.escape(NOT_IN_RANGE.format(name=name, least=least, value=value))):
        Rules(**facts)


def test_by_default_a_tenth_and_25_ms_count() -> None:
    assert Rules() == Rules(tolerance=0, min_ratio=1.1, min_shift=25 * MS)


def test_a_value_of_an_option_replaces_one_rule() -> None:
    rules = Rules().with_text("min_shift", "50ms").with_text("min_ratio", "1.2")

    assert rules == Rules(min_ratio=1.2, min_shift=50 * MS)


def test_a_value_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(LimitError, match="'much' is not a number"):
        Rules().with_text("tolerance", "much")

"""Which tests are latency tests.

Every test of every run is asked, also in suites that have none, so this module imports nothing else of the package.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_claude_latency.collection.fault_counts import FaultCounts

BUDGET = "latency_budget"
CASSETTE = "latency_cassette"
VARIANTS = "latency_variants"
ANSWERS = "latency_answers"
FAULT = "latency_fault"
SELECTED = "latency"
FIXTURES = frozenset({"claude_latency", "claude_client", "async_claude_client"})

FAULT_COUNTS: pytest.StashKey[FaultCounts] = pytest.StashKey()
"""Which faults do not run, in the stash of the config. It is there if the run has latency tests."""


def is_latency_test(item: pytest.Item) -> bool:
    """Return whether the test carries a budget, variants, answers or a fault, or uses one of the fixtures."""
    if any(item.get_closest_marker(name) is not None for name in (BUDGET, VARIANTS, ANSWERS, FAULT)):
        return True
    # Items of other collectors, such as those of a YAML file, know no fixtures.
    return not FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))


def mark(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Give every latency test the marker by which `-m` selects it, and return these tests."""
    latency_tests = [item for item in items if is_latency_test(item)]
    # A marker, since pytest evaluates `-m` after this and plugins may look for it.
    for item in latency_tests:
        item.add_marker(SELECTED)
    return latency_tests


def is_marked(item: pytest.Item) -> bool:
    """Return whether the test has the marker that `mark` gives to latency tests."""
    return item.get_closest_marker(SELECTED) is not None

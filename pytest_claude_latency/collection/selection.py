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
MARKERS = (BUDGET, VARIANTS, ANSWERS, FAULT)
"""Each makes a latency test."""
SELECTED = "latency"
FIXTURES = frozenset({"claude_latency", "claude_client", "async_claude_client"})

MISSPELT: pytest.StashKey[str] = pytest.StashKey()
"""Why a test cannot run: one of its markers is nearly one of this plugin's. It is there only for such a test."""
FAULT_COUNTS: pytest.StashKey[FaultCounts] = pytest.StashKey()
"""Which faults do not run, in the stash of the config. It is there if the run has latency tests."""


def is_latency_test(item: pytest.Item) -> bool:
    """Return whether the test carries a budget, variants, answers or a fault, or uses one of the fixtures."""
    if any(item.get_closest_marker(name) is not None for name in MARKERS):
        return True
    # Items of other collectors, such as those of a YAML file, know no fixtures.
    return not FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))


def what_marks(item: pytest.Item) -> list[str]:
    """Return the markers and fixtures that make a latency test of an item."""
    markers = [name for name in MARKERS if item.get_closest_marker(name) is not None]
    return markers + sorted(FIXTURES.intersection(getattr(item, "fixturenames", ())))


def mark(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Give every latency test the marker by which `-m` selects it, and return these tests."""
    latency_tests = [item for item in items if is_latency_test(item)]
    # A marker, since pytest evaluates `-m` after this and plugins may look for it.
    for item in latency_tests:
        item.add_marker(SELECTED)
    return latency_tests


def note_misspelt(items: Iterable[pytest.Item], registered: Iterable[str]) -> None:
    """Note which tests carry a marker that is nearly one of this plugin's, and that nobody registered.

    pytest only warns of it: a promise that is misspelt would be kept for ever. `registered` are the lines of pytest's
    ini key `markers`.
    """
    known = {line.partition(":")[0].partition("(")[0].strip() for line in registered}
    for item in items:
        for mark in item.iter_markers():
            # Most names are told apart by their first letter: comparing them costs more.
            if mark.name in known or not mark.name.startswith("l"):
                continue
            import difflib  # hardly any run needs it

            if near := difflib.get_close_matches(mark.name, (BUDGET, CASSETTE, VARIANTS, ANSWERS, FAULT), 1, 0.85):
                item.stash[MISSPELT] = (
                    f"@{mark.name}: did you mean @{near[0]}?\n"
                    f"  marker    {mark.name} is unknown\n"
                    "  do        correct it, or register a marker of your own with the ini key markers"
                )


def lacks_key(item: pytest.Item, error: BaseException) -> bool:
    """Return whether a test that is no latency test failed since Anthropic's SDK has no key for it."""
    # In these words each version of the SDK says so.
    lacks_credential = isinstance(error, TypeError) and "Could not resolve authentication method" in str(error)
    return lacks_credential and not is_marked(item)


def is_marked(item: pytest.Item) -> bool:
    """Return whether the test has the marker that `mark` gives to latency tests."""
    return item.get_closest_marker(SELECTED) is not None

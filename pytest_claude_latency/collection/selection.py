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
_NAMES = (BUDGET, CASSETTE, VARIANTS, ANSWERS, FAULT, *sorted(FIXTURES))
_FIRST_LETTERS = frozenset(name[0] for name in _NAMES)
_MISSPELT = """\
@{name}: did you mean @{meant}?
  marker    {name} {why}
  do        correct it, or register a marker of your own with the ini key markers"""
_FIXTURE = """\
@{name}: a fixture, not a marker
  marker    {name} {why}; {meant} is a fixture
  do        make {meant} an argument of the test, or set limits with @latency_budget"""
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
    """Note which tests carry a marker that promises nothing, but nearly has a name of this plugin's.

    pytest only warns of it, or not even that: a promise that is misspelt would be kept for ever. `registered` are the
    lines of pytest's ini key `markers`: what a user registers there is the user's own.
    """
    names = [line.partition(":")[0].partition("(")[0].strip() for line in registered]
    own = set(names) - {SELECTED}
    if names.count(SELECTED) > 1:  # the user has one too
        own.add(SELECTED)
    for item in items:
        # Most names are told apart by their first letter: comparing them costs more.
        marks = [mark for mark in item.iter_markers() if mark.name not in own and mark.name[:1] in _FIRST_LETTERS]
        for text in filter(None, map(_misspelt, marks)):
            item.stash[MISSPELT] = text


def _misspelt(mark: pytest.Mark) -> str | None:
    """Return why a marker promises nothing; None if its name is like none of this plugin's."""
    if mark.name == SELECTED:
        has_arguments = mark.args or mark.kwargs
        return _MISSPELT.format(name=SELECTED, meant=BUDGET, why="takes no arguments") if has_arguments else None
    from pytest_claude_latency.near_names import nearest  # hardly any run needs it

    near = nearest(mark.name, _NAMES, likeness=0.85)
    text = _FIXTURE if near in FIXTURES else _MISSPELT
    return None if near is None else text.format(name=mark.name, meant=near, why="is unknown")


def lacks_key(item: pytest.Item, error: BaseException) -> bool:
    """Return whether a test that is no latency test failed since Anthropic's SDK has no key for it."""
    # In these words each version of the SDK says so.
    lacks_credential = isinstance(error, TypeError) and "Could not resolve authentication method" in str(error)
    return lacks_credential and not is_marked(item)


def is_marked(item: pytest.Item) -> bool:
    """Return whether the test has the marker that `mark` gives to latency tests."""
    return item.get_closest_marker(SELECTED) is not None

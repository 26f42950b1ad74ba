"""Faults of a test: each is one more item, which replays the test's first sample with the fault in it.

They come from the markers of function, class and module, which add up, and from `--latency-fault`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from typing import Final

import pytest

from pytest_claude_latency.budgets.budget import Budget, combine
from pytest_claude_latency.budgets.limit import parse_marker
from pytest_claude_latency.cassettes.paths import samples
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.collection.fault_counts import FaultCounts
from pytest_claude_latency.collection.identity import FaultOfTest, Identity, give, identity_of
from pytest_claude_latency.collection.item_clone import clone
from pytest_claude_latency.collection.markers import marks_of, place_of
from pytest_claude_latency.collection.selection import ANSWERS, FAULT
from pytest_claude_latency.errors import FaultError, LatencyError
from pytest_claude_latency.near_names import did_you_mean
from pytest_claude_latency.settings import Settings
from pytest_claude_latency.simulation.fault import Fault
from pytest_claude_latency.simulation.faults import FAULTS

ACCEPTED: Final = (
    'accepted: a fault and its limits, latency_fault(rate_limited(retry_after="60s"), elapsed="5s"), or a function '
    "from a recording to a recording with id="
)
NO_PARENTHESES: Final = "{name} is a kind of fault; write {name}() to make one"
NEEDS_ID: Final = "{name} is a function of your own, so it needs id="
BAD_ID: Final = "id={id!r} is not understood; accepted: letters, digits, _, . and -, and not sample-1"
PERCENTILE: Final = "{limit} is over several samples, and a fault is met in one run; accepted: a plain limit"
TWICE: Final = "the fault {id} is declared twice; give one of them an id="
_ID: Final = re.compile(r"[A-Za-z0-9_.-]+")
_SAMPLE: Final = re.compile(r"sample-\d+")


def faults_of(item: pytest.Item) -> tuple[FaultOfTest, ...]:
    """Return the faults that the test's markers declare, in the order in which they are written.

    Raises:
        LatencyError: a marker is not understood, or two have one id; names its place and what is accepted.
    """
    declared: list[FaultOfTest] = []
    # decorators are applied from the bottom, so the marks of one place stand in the reverse order
    for place, marks in groupby(marks_of(item, FAULT), key=lambda marked: marked[1]):
        origin = f"@{FAULT} on {place}"
        declared += [_declared(mark, origin) for mark, _ in reversed(list(marks))]
    return _named(declared, f"@{FAULT} on {item.nodeid}")


def _declared(mark: pytest.Mark, origin: str) -> FaultOfTest:
    """Return the fault of one marker, under its own id or its name."""
    if len(mark.args) != 1:
        raise FaultError(f"it takes one fault, got {len(mark.args)}; {ACCEPTED}", origin)
    fault, given_id = mark.args[0], mark.kwargs.get("id")
    if isinstance(fault, type) and issubclass(fault, Fault):
        raise FaultError(f"{NO_PARENTHESES.format(name=fault.__name__)}; {ACCEPTED}", origin)
    if not callable(fault):
        hint = did_you_mean(fault.partition("(")[0], FAULTS, form="{}()") if isinstance(fault, str) else ""
        raise FaultError(f"{fault!r} is no fault{hint}; {ACCEPTED}\n  faults    {', '.join(FAULTS)}", origin)
    if given_id is None and not isinstance(fault, Fault):
        raise FaultError(f"{NEEDS_ID.format(name=getattr(fault, '__name__', repr(fault)))}; {ACCEPTED}", origin)
    is_id = given_id is None or (isinstance(given_id, str) and _ID.fullmatch(given_id) is not None)
    if not is_id or (given_id is not None and _SAMPLE.fullmatch(given_id)):
        raise FaultError(BAD_ID.format(id=given_id), origin)
    limits = {name: value for name, value in mark.kwargs.items() if name != "id"}
    budget = combine([parse_marker(limits, origin)]) if limits else Budget()
    for limit in budget.percentiles:
        raise FaultError(PERCENTILE.format(limit=limit.text()), origin)
    name = given_id if given_id is not None else fault.name
    return FaultOfTest(name, fault, budget, has_own_id=given_id is not None, origin=origin)


def _named(faults: Sequence[FaultOfTest], origin: str) -> tuple[FaultOfTest, ...]:
    """Return the faults of `origin` under ids of their own: where two have one name, with their arguments."""
    names = [fault.id for fault in faults]
    named = [
        replace(fault, id=fault.fault.id) if names.count(fault.id) > 1 and not fault.has_own_id else fault
        for fault in faults
    ]
    # a marker may give another fault the name of the option's, which has no arguments to tell it by
    ids = [fault.id for fault in named]
    named = [
        replace(fault, id=f"{fault.id}-option") if fault.option and ids.count(fault.id) > 1 else fault
        for fault in named
    ]
    ids = [fault.id for fault in named]
    for fault in named:
        if ids.count(fault.id) > 1:
            raise FaultError(TWICE.format(id=fault.id), origin)
    return tuple(named)


def fault_items(item: pytest.Function, settings: Settings, counts: FaultCounts) -> list[pytest.Function]:
    """Return the items that run a test with its faults. What does not run is counted."""
    identity = identity_of(item)
    if identity.variant is not None or identity.fault is not None:
        return []
    faults: tuple[FaultOfTest, ...] = ()
    try:
        faults = faults_of(item)
        # Named once more: a fault of the option may be of a kind that is declared too, with other arguments.
        faults = _named([*faults, *_of_option(item, settings, faults, counts)], item.nodeid)
    except LatencyError:  # a marker that is not understood is reported when the test is set up
        for given in settings.faults:
            counts.not_applying.setdefault(given.text(), set()).add(item.nodeid)
    if not settings.runs_faults:
        for fault in faults:
            counts.left_out.setdefault(fault.id, set()).add(item.nodeid)
        return []
    clones = []
    for fault in faults:
        clones.append(clone(item, fault.id))
        give(clones[-1], Identity(clones[-1].nodeid, fault=fault, original_nodeid=item.nodeid))
    return clones


def _of_option(
    item: pytest.Item, settings: Settings, declared: Sequence[FaultOfTest], counts: FaultCounts
) -> list[FaultOfTest]:
    """Return the faults of the option that may fit the recording of a test, and that it does not declare itself.

    Only a replay looks at what is recorded. A run that records changes it meanwhile, and the run of an answer that is
    made up shows what it is: there the item shows whether the fault fits.
    """
    found: list[FaultOfTest] = []
    others = []
    for fault in settings.faults:
        if any(fault == known.fault for known in declared):
            counts.declared.setdefault(fault.text(), set()).add(item.nodeid)
        # A test under `@given` has no one recording: its examples would share one set of calls.
        elif getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            counts.not_applying.setdefault(fault.text(), set()).add(item.nodeid)
        else:
            others.append(fault)
    if settings.mode.records or not others:
        return [FaultOfTest(fault.name, fault, Budget(), option=fault.text()) for fault in others]
    recording: Recording | None = None
    with suppress(LatencyError):  # of a recording that cannot be read, its own test says so
        file, test_id = place_of(item, item.nodeid)
        paths = samples(file, settings.cassettes, test_id)
        recording = Recording.load(paths[0]) if paths else None
    for fault in others:
        if recording is None and item.get_closest_marker(ANSWERS) is not None:
            found.append(FaultOfTest(fault.name, fault, Budget(), option=fault.text()))  # its run shows whether it fits
            continue
        try:
            if recording is None:
                raise FaultError("nothing is recorded")
            fault(recording)  # only to see whether it fits: its item makes the recording anew when it is set up
        except FaultError:
            counts.not_applying.setdefault(fault.text(), set()).add(item.nodeid)
        else:
            found.append(FaultOfTest(fault.name, fault, Budget(), option=fault.text()))
    return found

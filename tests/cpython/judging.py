"""A pytest plugin for one run of CPython's tests: notes how each ends, and may put each into a world of virtual time.

A test that hangs or crashes takes the run with it. So what happens is written to a file at once, and a second run can
leave out what the first has done.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

# Set by `suites.run`: the file that this run appends to, and whether tests live in a world.
NOTES = Path(os.environ["CPYTHON_NOTES"])
IN_A_WORLD = os.environ["CPYTHON_WORLD"] == "1"
ONLY: list[str] = json.loads(NOTES.with_suffix(".only").read_text("utf-8"))  # the tests to run; none means all

_outcomes: dict[str, str] = {}
_texts: dict[str, list[str]] = {}


def note(**facts: str) -> None:
    """Append one line, which is on the disk when this returns."""
    with NOTES.open("a", encoding="utf-8") as file:
        file.write(json.dumps(facts) + "\n")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what an earlier run has begun."""
    lines = NOTES.read_text("utf-8").splitlines() if NOTES.exists() else []
    begun = {json.loads(line)["id"] for line in lines}
    items[:] = [item for item in items if item.nodeid not in begun and (not ONLY or item.nodeid in ONLY)]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give each test a world, if this run is to."""
    if IN_A_WORLD:
        item.add_marker(pytest.mark.latency_budget(calls=0))


def pytest_runtest_logstart(nodeid: str) -> None:
    """Note that a test begins: if nothing follows, it hung or crashed."""
    note(id=nodeid, outcome="begun")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect what the phases and subtests of a test say: one that is not right makes the test so."""
    worst = _outcomes.get(report.nodeid, "passed")
    _outcomes[report.nodeid] = report.outcome if worst == "passed" or report.outcome == "failed" else worst
    if report.failed:
        _texts.setdefault(report.nodeid, []).append(f"{report.when}: {report.longrepr}")


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Note how the test ended."""
    note(id=nodeid, outcome=_outcomes.pop(nodeid, "passed"), text="\n".join(_texts.pop(nodeid, ())))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note what could not be collected."""
    if report.failed:
        note(id=f"{report.nodeid}::collection", outcome="failed", text=str(report.longrepr))

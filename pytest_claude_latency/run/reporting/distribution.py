"""Which worker of xdist runs which items in a run that records.

An item with a fault replays what its test has just recorded, so both have to run on one worker, the test first. The
controller distributes them, and it sees node ids and no items.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, final

from xdist.scheduler import LoadGroupScheduling

_SAMPLE: Final = re.compile(r"(\[|-)sample-\d+\]$")
OF_SINGLE_ITEMS: Final = frozenset({"load", "worksteal", "loadgroup"})
"""The values of `--dist` that may part a test from its faults. The others keep a class, a file or all on one worker."""


@final
class FaultsBehindTheirTests(LoadGroupScheduling):  # type: ignore[misc]  # xdist has no types
    """Distributes single items and groups, as `--dist=loadgroup` does. A test with its samples and faults is one."""

    def __init__(self, config: Any, log: Any) -> None:
        super().__init__(config, log)
        # Larger groups first is the default: then a test could run before the one that writes their shared recording.
        config.option.loadscopereorder = False
        self._groups: Mapping[str, str] | None = None

    def _split_scope(self, nodeid: str) -> str:
        if self._groups is None and self.collection is not None:
            self._groups = groups_of(self.collection)
        scope: str = super()._split_scope(nodeid)
        return (self._groups or {}).get(nodeid, scope) if scope == nodeid else scope

    def remove_node(self, node: Any) -> str | None:
        """Take out a worker that has ended or died; return the item during which it died.

        That item has failed. xdist would give it to the next worker, which would die of it too.
        """
        units = self.assigned_work.pop(node)
        pending = [
            (unit, nodeid) for unit in units.values() for nodeid, is_completed in unit.items() if not is_completed
        ]
        if not pending:
            return None
        unit, nodeid = pending[0]
        died_in: str = nodeid
        unit[died_in] = True
        self.workqueue.update({scope: unit for scope, unit in units.items() if not all(unit.values())})
        for other in self.nodes:
            self._reschedule(other)
        return died_in

    def _reschedule(self, node: Any) -> None:
        # A worker in place of one that died has its turn once it has collected; xdist gives it work before, and fails.
        if node in self.registered_collections:
            super()._reschedule(node)


def groups_of(nodeids: Iterable[str]) -> dict[str, str]:
    """Return for each item of a test that has faults the test: these items have to run on one worker.

    `test_it[en-overloaded]` is taken for the test `test_it[en]` with a fault, which is known by its id alone. A test
    with such parameters is kept with the other for nothing.
    """
    tests = {nodeid: _SAMPLE.sub(lambda found: "" if found[1] == "[" else "]", nodeid) for nodeid in nodeids}
    known = set(tests.values())
    with_fault = {nodeid: parent for nodeid, test in tests.items() if (parent := _test_of(test, known))}
    faulty = set(with_fault.values())
    return with_fault | {nodeid: test for nodeid, test in tests.items() if test in faulty}


def _test_of(nodeid: str, known: set[str]) -> str | None:
    """Return the test among `known` whose last parameter more this is; None if there is none."""
    test, bracket, parameters = nodeid.removesuffix("]").partition("[")
    if not bracket:
        return None
    while "-" in parameters:
        parameters = parameters.rpartition("-")[0]
        if f"{test}[{parameters}]" in known:
            return f"{test}[{parameters}]"
    return test if test in known else None

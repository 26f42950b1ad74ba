"""Fault items of a run that records: what a test asks only with its fault is asked of the API, and recorded.

A fallback to another model is in no recording of the fair run. So an item with a fault is replayed first, in virtual
time. Only if it asks for what no recording fits does it run once more, with the API and on the real clock.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from pytest_claude_latency import duration
from pytest_claude_latency.collection.identity import identity_of
from pytest_claude_latency.report import columns
from pytest_claude_latency.run.session import RAN_AGAIN
from pytest_claude_latency.run.stash_keys import CALLS_API, LACKS_ANSWERS

RUNS_AGAIN: Final = (
    "claude latency: {nodeid} asks for what is in no recording: it runs again, with the API and on the real clock; the "
    "waits until then take {waited}"
)
RAN_AGAIN_ON_WORKER: Final = (
    "claude latency: {nodeid} asks for what is in no recording: it ran again, with the API and on the real clock; the "
    "waits until then took {waited}"
)


def run(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run an item with a fault, and again with the API where it has to be. None for any other item."""
    if identity_of(item).fault is None:
        return None
    from _pytest.runner import runtestprotocol

    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    item.stash.setdefault(LACKS_ANSWERS, 0)
    del item.stash[LACKS_ANSWERS]
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    waited = item.stash.get(LACKS_ANSWERS, None)
    if waited is not None:
        terminal: Any = item.config.pluginmanager.get_plugin("terminalreporter")
        facts = {"nodeid": item.nodeid, "waited": duration.show(waited)}
        if terminal is not None:  # `-p no:terminal` takes it away, and a worker has none
            columns.write_between_tests(terminal, RUNS_AGAIN.format(**facts))
        item.stash[CALLS_API] = True
        try:
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
            if hasattr(item.config, "workerinput"):  # a worker can say it only with what it reports
                setattr(reports[0], RAN_AGAIN, RAN_AGAIN_ON_WORKER.format(**facts))
        finally:
            del item.stash[CALLS_API]
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True

"""The failures of a run as pytest counts them: those that no result of a latency test tells stand in reports too."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from signal import SIGTERM
from typing import Any, Final

import pytest

from pytest_claude_latency.results.also_failed import AlsoFailed
from pytest_claude_latency.run import messages
from pytest_claude_latency.run.reporting.verdict_reports import key_of

_ENDS: Final = {
    pytest.ExitCode.INTERRUPTED: messages.INTERRUPTED,
    pytest.ExitCode.INTERNAL_ERROR: "the run ended in an internal error",
    128 + SIGTERM: "the run was ended by SIGTERM",
}


def besides(
    told: Collection[Any], failed: Iterable[pytest.TestReport | pytest.CollectReport], status: int
) -> tuple[AlsoFailed, ...]:
    """Return what failed besides the items and verdicts that are `told`, in a run that ends with this exit status."""
    # a plugin may forgive what failed, and a run without tests has not failed
    if status in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return ()
    files, tests = set[str](), set[str]()
    for report in failed:
        if isinstance(report, pytest.CollectReport):
            files.add(report.nodeid)  # each worker tells of it
        # as pytest counts; several phases of a test may fail, and it is one failure
        elif not hasattr(report, "wasxfail") and key_of(report) not in told and report.nodeid not in told:
            tests.add(report.nodeid)
    # those of several workers come in any order
    found = [AlsoFailed("file", name) for name in sorted(files)]
    found += [AlsoFailed("other test", name) for name in sorted(tests)]
    # what could not be collected has interrupted the run already
    if status in _ENDS and not files:
        found.append(AlsoFailed("run", _ENDS[status]))
    elif status not in _ENDS and not found and not told:
        found.append(AlsoFailed("run", f"the run ended with status {status}"))
    return tuple(found)

"""The failures of a run as pytest counts them: those that no result of a latency test tells stand in reports too."""

from __future__ import annotations

from collections.abc import Collection
from signal import SIGTERM
from typing import TYPE_CHECKING, Any, Final, final

import pytest

from pytest_claude_latency.run import messages

if TYPE_CHECKING:
    from pytest_claude_latency.results.also_failed import AlsoFailed

_ENDS: Final = {
    pytest.ExitCode.INTERRUPTED: messages.INTERRUPTED,
    pytest.ExitCode.INTERNAL_ERROR: "the run ended in an internal error",
    128 + SIGTERM: "the run was ended by SIGTERM",
}


@final
class OtherFailures:
    """What failed in a run, by what pytest knows it by."""

    def __init__(self) -> None:
        self._tests: dict[Any, str] = {}
        self._files: dict[str, None] = {}

    def note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Note a report, if pytest counts it as a failure."""
        if not report.failed or hasattr(report, "wasxfail"):
            return
        if isinstance(report, pytest.CollectReport):
            self._files[report.nodeid] = None  # each worker tells of it
            return
        from pytest_claude_latency.run.reporting.verdict_reports import key_of

        self._tests[key_of(report)] = report.nodeid

    def besides(self, told: Collection[Any], status: int) -> tuple[AlsoFailed, ...]:
        """Return what failed besides items and verdicts that are `told`, in a run that ends with this exit status."""
        from pytest_claude_latency.results.also_failed import AlsoFailed

        # a plugin may forgive what failed, and a run without tests has not failed
        if status in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            return ()
        # several phases of a test may fail, and it is one failure; those of several workers come in any order
        names = sorted({name for key, name in self._tests.items() if key not in told and name not in told})
        found = [AlsoFailed("file", name) for name in sorted(self._files)]
        found += [AlsoFailed("other test", name) for name in names]
        # what could not be collected has interrupted the run already
        if status in _ENDS and not self._files:
            found.append(AlsoFailed("run", _ENDS[status]))
        elif status not in _ENDS and not found and not told:
            found.append(AlsoFailed("run", f"the run ended with status {status}"))
        return tuple(found)

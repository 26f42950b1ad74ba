"""Written files: the reports and the baseline that a run leaves behind, what it sends, and what went wrong with them.

They are written before the terminal summary, so a failure is kept until there is a place to show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from pytest_claude_latency.errors import FileError, LatencyError
from pytest_claude_latency.run.reporting.end_of_run import EndOfRun
from pytest_claude_latency.run.session import Session


@dataclass(frozen=True, slots=True)
class WrittenFiles:
    """What a run left behind."""

    saved: str | None = None
    """What to say of the baseline; `None` where none was saved."""
    sent: str | None = None
    """What to say of the telemetry; `None` where none was to be sent."""
    unwritten: tuple[str, ...] = ()
    """A line for each file that could not be written."""
    exit_status: int = pytest.ExitCode.OK
    """What the run ends with if all else is well."""


def write_files(session: Session, end: EndOfRun, exit_status: int) -> WrittenFiles:
    """Write what the run was asked to leave behind: reports, and a baseline. `exit_status` is that of its tests."""
    unwritten: list[str] = []
    report: dict[str, Any] = {}
    settings, sent = session.settings, None
    status = pytest.ExitCode.OK
    # Before the reports, which say that the run failed where it could not be saved.
    saved = None
    try:
        saved = end.keep_baseline()
    except FileError as error:
        unwritten.append(f"--latency-save: {error.seen_from(session.config.rootpath)}")
        status = pytest.ExitCode.INTERNAL_ERROR
    except LatencyError as error:
        unwritten.append(f"--latency-save: {error}")
        status = pytest.ExitCode.TESTS_FAILED
    if settings.reports or settings.otel:
        from pytest_claude_latency.report import data, formats
        from pytest_claude_latency.report.environment import environment_of

        # All faces show the same data, so it is made once.
        date = datetime.now(UTC).isoformat(timespec="seconds") if settings.mode.measures_live else None
        report = data.build(
            end.summary(exit_status or status),
            environment_of(session.config.rootpath),
            date=date,
            content=settings.report_content,
        )
        for form, path in settings.reports:
            try:
                formats.write(report, form, path)
            except OSError as error:
                unwritten.append(f"--latency-report: cannot write {path}: {error.strerror or error}")
                # as bad as a crash: a job that reads it would see the one before
                status = pytest.ExitCode.INTERNAL_ERROR
    if settings.otel and end.results:
        from pytest_claude_latency.report.faces import otel

        sent = otel.send(report, end.ended_at)
    return WrittenFiles(saved, sent, tuple(unwritten), status)

"""The end of a run: what is concluded from all of it becomes failures with names of their own.

They are test reports like any other, so the exit status, JUnit, `--maxfail`, the
counts in the terminal and everything else that reads reports is right about them.
What `--lf` reruns are the items of the test they are about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from pytest_claude_latency.results.verdict import RunVerdict
from pytest_claude_latency.run import messages


@dataclass(frozen=True, slots=True)
class Ran:
    """Where the samples of one test ran."""

    location: tuple[str, int | None, str]
    """The file, the line and the name, as pytest tells where a test stands."""
    items: dict[Any, None]
    """What pytest knows its samples by (`key_of`), in the order they ended."""


def key_of(report: pytest.TestReport) -> Any:
    """By what pytest knows the item of a report: its node id, since 9.2 as a value of its own."""
    return getattr(report, "id", report.nodeid)


def fail(run_verdicts: Iterable[RunVerdict], session: pytest.Session, ran: Mapping[str, Ran]) -> Iterator[RunVerdict]:
    """Report the failures among `run_verdicts`, until the run has as many as `--maxfail` allows.

    Yields each verdict as it stands in the end: those that come after the run stopped are not judged.
    """
    for run_verdict in run_verdicts:
        if session.shouldfail or session.shouldstop:
            yield run_verdict.not_judged(messages.INTERRUPTED)
            continue
        if run_verdict.fails:
            _report(run_verdict, session, ran[run_verdict.nodeid])
        yield run_verdict


def _report(run_verdict: RunVerdict, session: pytest.Session, ran: Ran) -> None:
    config = session.config
    file, line, name = ran.location
    location = (file, line, f"{_without_sample(name, run_verdict)}::latency[{run_verdict.about}]")
    session.testscollected += 1  # or the terminal would show more than 100 %
    for when in ("call", "teardown"):
        report = pytest.TestReport(
            nodeid=run_verdict.name,
            location=location,
            keywords={},
            outcome="failed" if when == "call" else "passed",
            longrepr=_shown(run_verdict, location) if when == "call" else None,
            when=when,
            user_properties=list(_properties(run_verdict)),
        )
        config.hook.pytest_runtest_logreport(report=report)
        _mind_last_failed(config, report, ran)


def _without_sample(name: str, run_verdict: RunVerdict) -> str:
    """The test's name as pytest's headlines show it: class and function joined by a dot."""
    return ".".join(run_verdict.nodeid.split("::")[1:]) or name


def _shown(run_verdict: RunVerdict, location: tuple[str, int | None, str]) -> Any:
    """A failure that shows its message and no traceback, and lies where the test does."""
    try:
        raise pytest.fail.Exception(run_verdict.message, pytrace=False)
    except pytest.fail.Exception:
        shown: Any = pytest.ExceptionInfo.from_current().getrepr(style="value")
    if shown.reprcrash is not None:
        shown.reprcrash.path, shown.reprcrash.lineno = location[0], (location[1] or 0) + 1
    return shown


def _properties(run_verdict: RunVerdict) -> Iterator[tuple[str, object]]:
    """Scalars for JUnit."""
    if run_verdict.value is not None:
        yield f"latency.{run_verdict.about.replace(' ', '.')}", run_verdict.value
    yield "latency.verdict", run_verdict.verdict


def _mind_last_failed(config: pytest.Config, report: pytest.TestReport, ran: Ran) -> None:
    """`--lf` reruns items; a run verdict is none, so the samples it rests on stand for it."""
    last_failed = getattr(config.pluginmanager.get_plugin("lfplugin"), "lastfailed", None)
    if isinstance(last_failed, dict):
        last_failed.pop(key_of(report), None)
        last_failed.update(dict.fromkeys(ran.items, True))

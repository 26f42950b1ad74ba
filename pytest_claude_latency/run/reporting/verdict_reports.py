"""Reports of run verdicts: what all samples of a test together fail becomes a failure with a name of its own.

They are test reports like any other, so the exit status, JUnit, `--maxfail`, the
counts in the terminal and every other reader of reports get them right.
`--lf` reruns the items of the test that a verdict is about.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_claude_latency.budgets.percentile_judgement import reading_of
from pytest_claude_latency.report.failures import failure_of
from pytest_claude_latency.results.verdict import RunVerdict, measured_by
from pytest_claude_latency.run import messages

if TYPE_CHECKING:
    from pytest_claude_latency.results.result import TestResult
    from pytest_claude_latency.run.session import Session


@dataclass(frozen=True, slots=True)
class Ran:
    """Where the samples of one test ran."""

    location: tuple[str, int | None, str]
    """The file, the line and the name, as pytest says where a test stands."""
    items: dict[Any, None]
    """The keys by which pytest knows the samples (`key_of`), in the order they ended."""


def key_of(report: pytest.TestReport) -> Any:
    """Return what pytest knows the item of a report by: its node id, since 9.2 a value of its own."""
    return getattr(report, "id", report.nodeid)


def command_that_records(session: Session, reports: Collection[pytest.TestReport], tests: Mapping[str, str]) -> str:
    """Return the command that records these tests and no other; `--lf` where it selects exactly these.

    With each test comes the one that it is a variant of, or nothing.
    """
    has_variants = any(tests.values())
    last_failed = getattr(session.config.pluginmanager.get_plugin("lfplugin"), "lastfailed", None)
    is_exact = {report.nodeid for report in reports} == set(tests)
    if is_exact and last_failed and set(last_failed) == set(map(key_of, reports)):
        # Without the arguments of this run pytest would collect other files, perhaps without any of these tests.
        is_chosen = session.config.args_source is pytest.Config.ArgsSource.ARGS
        options = ["--latency-mode=record", *(["--latency-variants"] if has_variants else ()), "--lf"]
        return shlex.join(["pytest", *options, *(session.config.args if is_chosen else ())])
    # the name of a test selects its variants as well
    chosen = [nodeid for nodeid, original in tests.items() if original not in tests]
    return session.record_command(*chosen, variants=has_variants)


def fail(run_verdicts: Iterable[RunVerdict], session: pytest.Session, ran: Mapping[str, Ran]) -> Iterator[RunVerdict]:
    """Report the failures among `run_verdicts`, until the run has as many as `--maxfail` allows.

    Yields each verdict as it stands in the end: those that come after the run stopped are not judged.
    """
    for run_verdict in run_verdicts:
        # Reporting a failure may set these: pytest counts it against `--maxfail`, or `-x`.
        if session.shouldfail or session.shouldstop:
            yield run_verdict.not_judged(messages.INTERRUPTED)
            continue
        if run_verdict.fails:
            _report(run_verdict, session, ran[run_verdict.nodeid])
        yield run_verdict


def _report(run_verdict: RunVerdict, session: pytest.Session, ran: Ran) -> None:
    """Report one failure: a call phase that failed, and a teardown, without which some readers see no test."""
    file, line, name = ran.location
    # The test without its sample, as pytest's headlines show it: class and function joined by a dot.
    headline = ".".join(run_verdict.nodeid.split("::")[1:]) or name
    location = (file, line, f"{headline}::latency[{run_verdict.about}]")
    # JUnit shows the properties of a failure next to its message
    properties: list[tuple[str, object]] = [("latency.verdict", run_verdict.verdict)]
    if run_verdict.value is not None:
        properties.insert(0, (f"latency.{run_verdict.about.replace(' ', '.')}", run_verdict.value))
    # A failure as pytest shows it: the message, no traceback, and the place of the test.
    failure = failure_of(run_verdict.message)
    if failure.reprcrash is not None:
        failure.reprcrash.path, failure.reprcrash.lineno = file, (line or 0) + 1
    session.testscollected += 1  # or the terminal would show more than 100 %
    last_failed = getattr(session.config.pluginmanager.get_plugin("lfplugin"), "lastfailed", None)
    for when in ("call", "teardown"):
        report = pytest.TestReport(
            nodeid=run_verdict.name,
            location=location,
            keywords={},
            outcome="failed" if when == "call" else "passed",
            longrepr=failure if when == "call" else None,
            when=when,
            user_properties=properties,
        )
        session.config.hook.pytest_runtest_logreport(report=report)
        if isinstance(last_failed, dict):
            # `--lf` reruns items, and this report is of none: the samples that the verdict rests on stand for it.
            last_failed.pop(key_of(report), None)
            last_failed.update(dict.fromkeys(ran.items, True))


def explained(run_verdict: RunVerdict, results: Iterable[TestResult], session: Session) -> RunVerdict:
    """Return the verdict with where the time of its worst sample went, if it fails for being slow."""
    limit = run_verdict.limit
    if not run_verdict.fails or run_verdict.verdict != "broken" or limit is None:
        return run_verdict
    from pytest_claude_latency.measurement import diagnosis

    samples = [result for result in results if result.nodeid == run_verdict.nodeid and result.recording]
    if not samples:  # nothing was recorded, as in a live run
        return run_verdict
    readings = [reading_of(limit, sample) or 0 for sample in measured_by(limit, samples)]
    reading, worst = max(zip(readings, samples, strict=True), key=lambda measured: (measured[0], -measured[1].sample))
    path = session.config.rootpath / str(worst.recording)
    title = f"where the time of sample {worst.sample}, with the longest {limit.name}, went"
    traces = session.recorded_traces
    explanation = diagnosis.of_recording(traces.at(path), traces.others_in_folder(path), title, limit, reading)
    return replace(run_verdict, message=run_verdict.message + explanation)

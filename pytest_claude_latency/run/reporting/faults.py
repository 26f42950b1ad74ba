"""Faults in the terminal: which faults of the option tests did not survive, and what did not run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from pytest_claude_latency.collection.fault_counts import FaultCounts
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import printable
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.settings import Settings

LEFT_OUT: Final = "{items} did not run: a fault is put into a recording, so it needs {needs}"
NEEDS_REPLAY: Final = "a replay, or a run that records without -n"
WITH_WORKERS: Final = (
    "{items} did not run: with -n no worker knows whether another one has recorded the test of a fault; to record what "
    "they ask for, run pytest --latency-mode=record-missing without -n"
)
NEEDS_NO_BASELINE: Final = "a run without --latency-save"
SURVIVED: Final = "{survived} of {tests} survived it"
NOT_APPLYING: Final = "it does not apply to {count}"
DID_NOT_SURVIVE: Final = "  did not survive it: {nodeid}"

_FAILED: Final = frozenset({"failed", "error"})


def of_run(settings: Settings, counts: FaultCounts, results: Collection[TestResult]) -> list[str]:
    """Return what to say of the faults of the option at the end of a run."""
    # Only a replay tries them: a run that records changes the recordings that they are put into.
    is_asked = settings.runs_faults and not settings.mode.records
    given = [fault.text() for fault in settings.faults] if is_asked else []
    told = lines(given, results, counts.not_applying)
    if counts.left_out:
        told.append(left_out(len(counts.left_out), is_saved=settings.save is not None, records=settings.mode.records))
    return told


def lines(
    faults: Iterable[str], results: Iterable[TestResult], not_applying: Mapping[str, Collection[str]]
) -> list[str]:
    """Return for each of these `faults` of the option how many tests survived it, and which did not."""
    by_fault: dict[str, list[TestResult]] = {fault: [] for fault in faults}
    for result in results:
        if result.fault_option:
            by_fault[result.fault_option].append(result)
    texts: list[str] = []
    for fault, found in by_fault.items():
        # what a made-up answer has no place for is known only when it is asked for
        skipped = {result.written for result in found if result.outcome == "skipped"}
        tried = [result for result in found if result.outcome != "skipped"]
        failed = sorted(result.written for result in tried if result.outcome in _FAILED)
        survived = SURVIVED.format(survived=len(tried) - len(failed), tests=number_of(len(tried), "test"))
        facts = [survived] if tried else []
        if others := skipped.union(not_applying.get(fault, ())):
            facts.append(NOT_APPLYING.format(count=number_of(len(others), "test")))
        texts += [
            f"{fault}: {'; '.join(facts) or 'there is no latency test'}",
            *(DID_NOT_SURVIVE.format(nodeid=nodeid) for nodeid in failed),
        ]
    return list(map(printable, texts))


def left_out(count: int, *, is_saved: bool, records: bool) -> str:
    """Return the line about fault items that such a run does not have. `records` says that it writes recordings."""
    if records and not is_saved:
        return WITH_WORKERS.format(items=f"claude latency: {number_of(count, 'fault')}")
    needs = NEEDS_NO_BASELINE if is_saved else NEEDS_REPLAY
    return LEFT_OUT.format(items=f"claude latency: {number_of(count, 'fault')}", needs=needs)

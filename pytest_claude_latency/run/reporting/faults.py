"""Faults in the terminal: which faults of the option tests did not survive, and what did not run."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from pytest_claude_latency.collection.fault_counts import FaultCounts
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import printable
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.settings import Settings

LEFT_OUT: Final = "{items} did not run: a fault is put into a recording, so it needs {needs}"
NEEDS_REPLAY: Final = "a replay, or a run that records"
NEEDS_NO_BASELINE: Final = "a run without --latency-save"
SURVIVED: Final = "{survived} of {tests} survived it"
NOT_APPLYING: Final = "it does not apply to {count}"
DECLARED: Final = "a marker declares it in {count}"
NONE_SELECTED: Final = "no latency test is selected"
NOT_RECORDED: Final = "{count} did not meet it, since no recording was written"
DID_NOT_SURVIVE: Final = "  did not survive it: {nodeid}"

_FAILED: Final = frozenset({"failed", "error"})


def of_run(settings: Settings, counts: FaultCounts, results: Collection[TestResult]) -> list[str]:
    """Return what to say of the faults of the option at the end of a run."""
    given = [fault.text() for fault in settings.faults] if settings.runs_faults else []
    shown = lines(given, results, counts)
    if left_out := sum(map(len, counts.left_out.values())):
        needs = NEEDS_NO_BASELINE if settings.save is not None else NEEDS_REPLAY
        items = f"claude latency: {number_of(left_out, 'fault')}"
        shown.append(LEFT_OUT.format(items=items, needs=needs))
    return shown


def lines(faults: Iterable[str], results: Collection[TestResult], counts: FaultCounts) -> list[str]:
    """Return for each of these `faults` of the option how many tests survived it, and which did not."""
    by_fault: dict[str, list[TestResult]] = {fault: [] for fault in faults}
    for result in results:
        if result.fault_option:
            by_fault[result.fault_option].append(result)
    texts: list[str] = []
    unrecorded = {result.nodeid for result in results if result.not_recorded}
    for fault, found in by_fault.items():
        # what a made-up answer has no place for is known only when it is asked for, and so of what is recorded first
        skipped = {result.original_nodeid for result in found if result.outcome == "skipped"}
        tried = [result for result in found if result.outcome != "skipped"]
        failed = sorted(result.original_nodeid for result in tried if result.outcome in _FAILED)
        survived = SURVIVED.format(survived=len(tried) - len(failed), tests=number_of(len(tried), "test"))
        facts = [survived] if tried else []
        if others := (skipped - unrecorded).union(counts.not_applying.get(fault, ())):
            facts.append(NOT_APPLYING.format(count=number_of(len(others), "test")))
        if declared := counts.declared.get(fault):
            facts.append(DECLARED.format(count=number_of(len(declared), "test")))
        if untried := skipped & unrecorded:
            facts.append(NOT_RECORDED.format(count=number_of(len(untried), "test")))
        texts += [
            f"{fault}: {'; '.join(facts) or NONE_SELECTED}",
            *(DID_NOT_SURVIVE.format(nodeid=nodeid) for nodeid in failed),
        ]
    return list(map(printable, texts))

"""Explanations: where the time of a test's slowest sample went, and what was found about all of them, as lines."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_claude_latency.diagnosis.rules import Finding, listing
from pytest_claude_latency.results.result import TestResult


def explanation(samples: Sequence[TestResult]) -> list[str]:
    """The breakdown of the slowest sample, then of each rule its costliest finding.

    Empty where nothing was broken down. A rule that holds for many samples is said once.
    """
    known = [sample for sample in samples if sample.breakdown is not None and sample.breakdown["text"]]
    if not known:
        return []
    slowest = max(known, key=lambda sample: sample.elapsed or 0.0)
    which = f" (sample {slowest.sample} of {len(samples)}, the slowest)" if len(samples) > 1 else ""
    assert slowest.breakdown is not None  # as in `known`
    found: dict[str, Finding] = {}
    for sample in known:
        for finding in map(Finding.from_json, sample.findings):
            found[finding.rule] = max(found.get(finding.rule, finding), finding, key=lambda each: each.cost)
    worst_first = sorted(found.values(), key=lambda each: -each.cost)
    return [f"{'test':<10}{slowest.breakdown['text']}{which}", *(listing(worst_first) or ["no findings"])]

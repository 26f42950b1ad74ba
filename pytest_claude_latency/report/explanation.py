"""Explanations: where the time of a test's slowest sample went, and what was found about all samples, as lines."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_claude_latency.diagnosis.rules import Finding, listing
from pytest_claude_latency.results.result import TestResult


def explanation(samples: Sequence[TestResult]) -> list[str]:
    """Return the breakdown of the slowest sample, then the costliest finding of each rule.

    Empty if no sample has a breakdown. A rule that holds for many samples is shown once.
    """
    texts = {
        position: sample.breakdown["text"]
        for position, sample in enumerate(samples)
        if sample.breakdown is not None and sample.breakdown["text"]
    }
    if not texts:
        return []
    slowest = max(texts, key=lambda position: samples[position].elapsed or 0.0)
    which = f" (sample {samples[slowest].sample} of {len(samples)}, the slowest)" if len(samples) > 1 else ""
    costliest: dict[str, Finding] = {}
    for position in texts:
        for finding in map(Finding.from_json, samples[position].findings):
            if finding.rule not in costliest or finding.cost > costliest[finding.rule].cost:
                costliest[finding.rule] = finding
    findings = sorted(costliest.values(), key=lambda finding: -finding.cost)
    return [f"{'test':<10}{texts[slowest]}{which}", *(listing(findings) or ["no findings"])]

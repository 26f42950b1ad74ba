"""Findings: why a test is slow, and what would make it faster.

Each rule is a function that looks at an `Trace` and says one `Finding`, or nothing. To add a rule,
write the function and add it to `RULES`; hold it against calls where it must speak, and against more
where it must be silent, in `tests/support/findings_corpus.py`. A finding that does not apply is worse than none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from pytest_claude_latency.diagnosis.finding import Finding, Saving, listing
from pytest_claude_latency.diagnosis.rules.model_choice import long_thinking, slower_model
from pytest_claude_latency.diagnosis.rules.output_length import cut_off, high_temperature, limit_far_above, much_output
from pytest_claude_latency.diagnosis.rules.parallelism import (
    application,
    new_connections,
    one_after_another,
    retries,
    stall,
)
from pytest_claude_latency.diagnosis.rules.prompt_cache import cache_lost, cache_written_anew, uncached_prompt
from pytest_claude_latency.diagnosis.rules.streaming import not_streamed
from pytest_claude_latency.diagnosis.rules.word_counts import counted_words
from pytest_claude_latency.diagnosis.trace import Trace

__all__ = ["RULES", "Finding", "Rule", "Saving", "Trace", "find", "listing"]

Rule: TypeAlias = Callable[[Trace], Finding | None]

RULES: Final[tuple[Rule, ...]] = (
    not_streamed,
    much_output,
    cut_off,
    limit_far_above,
    counted_words,
    uncached_prompt,
    cache_written_anew,
    cache_lost,
    high_temperature,
    slower_model,
    long_thinking,
    one_after_another,
    retries,
    new_connections,
    stall,
    application,
)


def find(trace: Trace) -> tuple[Finding, ...]:
    """What the rules find, the costliest first. Calls side by side cost no more than the test took."""
    found = [finding for rule in RULES if (finding := rule(trace)) is not None]
    capped = [replace(each, cost=min(each.cost, trace.breakdown.total)) for each in found]
    return tuple(sorted(capped, key=lambda each: -each.cost))

"""Rules: each finds one reason why a test is slow, and what would make it faster.

A rule is a function that looks at a `Trace` and returns one `Finding`, or None. To add a rule, write the function and
add it to `RULES`. Then add calls where it must speak, and more calls where it must be silent, to
`tests/support/findings_corpus.py`. A finding that does not apply is worse than none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from pytest_claude_latency.diagnosis.finding import Finding, Saving, listing
from pytest_claude_latency.diagnosis.rules.application import application
from pytest_claude_latency.diagnosis.rules.asking_again import (
    no_back_off,
    retried_in_vain,
    retry_after_ignored,
    retry_storm,
)
from pytest_claude_latency.diagnosis.rules.broken_answers import gave_up, no_read_timeout, truncated_as_whole
from pytest_claude_latency.diagnosis.rules.conversation import (
    cache_expired,
    cache_look_back,
    growing_conversation,
    tool_round_trips,
)
from pytest_claude_latency.diagnosis.rules.holds import blocked_loop, slow_consumer
from pytest_claude_latency.diagnosis.rules.model_choice import long_thinking, slower_model
from pytest_claude_latency.diagnosis.rules.network import new_connections, retries, stall
from pytest_claude_latency.diagnosis.rules.output_length import cut_off, high_temperature, limit_far_above, much_output
from pytest_claude_latency.diagnosis.rules.parallelism import no_longer_together, one_after_another
from pytest_claude_latency.diagnosis.rules.prompt_cache import (
    cache_lost,
    cache_reset,
    cache_written_anew,
    cold_fan_out,
    prompt_grew,
    uncached_prompt,
)
from pytest_claude_latency.diagnosis.rules.request_size import large_images, many_tools
from pytest_claude_latency.diagnosis.rules.server_side import (
    extra_iteration,
    schema_compilation,
    server_tools,
    standard_speed,
)
from pytest_claude_latency.diagnosis.rules.silence import buffered_tool_input, silent_thinking
from pytest_claude_latency.diagnosis.rules.streaming import not_streamed
from pytest_claude_latency.diagnosis.rules.word_counts import counted_words
from pytest_claude_latency.diagnosis.trace import Trace
from pytest_claude_latency.printable import printable

__all__ = ["RULES", "VERDICTS", "Finding", "Rule", "Saving", "Trace", "find", "listing"]

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
    cache_reset,
    cache_expired,
    cache_look_back,
    cold_fan_out,
    prompt_grew,
    many_tools,
    large_images,
    growing_conversation,
    high_temperature,
    slower_model,
    long_thinking,
    silent_thinking,
    buffered_tool_input,
    server_tools,
    standard_speed,
    extra_iteration,
    schema_compilation,
    tool_round_trips,
    no_longer_together,
    one_after_another,
    retries,
    retry_storm,
    retry_after_ignored,
    no_back_off,
    retried_in_vain,
    truncated_as_whole,
    no_read_timeout,
    gave_up,
    new_connections,
    stall,
    blocked_loop,
    slow_consumer,
    application,
)

VERDICTS: Final = frozenset(
    {
        "retry-storm",
        "retry-after-ignored",
        "no-back-off",
        "retried-in-vain",
        "truncated-as-whole",
        "no-read-timeout",
        "gave-up",
    }
)
"""The findings that tell how a program takes a fault. They are shown of each run with one."""


_OF_FAIR_WEATHER: Final = frozenset({slower_model, schema_compilation})
"""Rules that tell from its times what the API does. They are silent where a fault made the times."""


def find(trace: Trace) -> tuple[Finding, ...]:
    """Return what the rules find, the costliest first."""
    rules = [rule for rule in RULES if not (trace.has_fault and rule in _OF_FAIR_WEATHER)]
    findings = [finding for rule in rules if (finding := rule(trace)) is not None]
    # calls that ran at the same time may add up to more than the test took
    total = trace.breakdown.total
    capped = [replace(finding, cost=min(finding.cost, total), fact=printable(finding.fact)) for finding in findings]
    if trace.has_fault:  # what a remedy would save is told of times that the API had
        capped = [replace(finding, saving=None) for finding in capped]
    elif trace.is_made_up:
        capped = [
            finding if finding.saving is None else replace(finding, saving=replace(finding.saving, made_up=True))
            for finding in capped
        ]
    # where all calls are made in one line, the message or the list of calls says it
    if len({call.line for call in trace.calls}) > 1:
        capped = [replace(finding, made_at=trace.lines_of(finding.calls)) for finding in capped]
    return tuple(sorted(capped, key=lambda finding: -finding.cost))

"""Condition changes: what else differed between two measurements of a test, such as the model or the effort.

Two measurements can be compared only as far as their conditions agree. So a comparison names those that do not.
"""

from __future__ import annotations

from collections.abc import Mapping

from pytest_claude_latency.metrics.series import Series


def condition_changes(before: Series, after: Series) -> tuple[str, ...]:
    """Return what was different between two series of one test, other than its timing: `"effort high, was low"`."""
    return fact_changes(_facts(before), _facts(after))


def fact_changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Return a text for each fact that changed, in the order of their names. Of a prompt only a hash is known."""
    # a fact that one side lacks was not asked for there
    unset = "not set"
    return tuple(
        "another prompt" if name == "prompt" else f"{name} {after.get(name, unset)}, was {before.get(name, unset)}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def _facts(series: Series) -> dict[str, str]:
    """Return the values of each fact over all calls: `{"prompt_cache": "cold or warm"}`."""
    values: dict[str, set[str]] = {}
    for sample in series.samples:
        models = [{"model": call.model} for call in sample.calls if call.model is not None]
        for place, facts in enumerate((*sample.conditions, *models)):
            for name, value in facts.items():
                # only the first call's prompt tells: later prompts may quote live answers, which always differ
                if name != "prompt" or place == 0:
                    values.setdefault(name, set()).add(value)
    return {name: " or ".join(sorted(texts)) for name, texts in values.items()}

"""Changed conditions: what was different between two series of a test other than its timing."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_claude_latency.metrics.series import Series


def differences(before: Series, after: Series) -> tuple[str, ...]:
    """What was different between two series of one test, other than its timing: `"effort high, was low"`."""
    was, now = _facts(before), _facts(after)
    return tuple(
        "another prompt" if name == "prompt" else f"{name} {_either(now, name)}, was {_either(was, name)}"
        for name in sorted(was | now)
        if was.get(name) != now.get(name)
    )


def _facts(series: Series) -> dict[str, set[str]]:
    """The values of each fact over all calls. Only first calls tell the prompt: later ones may quote live answers."""
    facts: dict[str, set[str]] = {}
    for sample in series.samples:
        models = [{"model": call.model} for call in sample.calls if call.model is not None]
        for place, known in enumerate((*sample.conditions, *models)):
            for name, value in known.items():
                if name != "prompt" or place == 0:
                    facts.setdefault(name, set()).add(value)
    return facts


def _either(facts: Mapping[str, set[str]], name: str) -> str:
    return " or ".join(sorted(facts.get(name, {"not set"})))

"""How many examples a property is tried with, where it needs more or fewer than others."""

from __future__ import annotations

from hypothesis import settings


def examples(number: int) -> settings:
    """Return settings for so many examples in a thorough run, and in a quicker one for the share that others have."""
    return settings(max_examples=max(1, number * settings().max_examples // 100))

"""Blocks: the part of a test whose calls were held to limits of its own, by `with claude_latency.budget(...)`."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_claude_latency.budgets.judgement import Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedBlock:
    """One block that ran to its end. Times are seconds since the start of the test."""

    place: str
    """Where it is written: `tests/test_it.py:12`."""
    start: float
    end: float
    calls: tuple[int, ...]
    """Its calls, by their numbers in the test body. A call of a fixture has none."""
    judgements: tuple[Judgement, ...]
    """What came of its limits. Their `call` is a number in the test body too."""

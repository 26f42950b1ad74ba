"""Inner limits: those of blocks and watched outputs, which stand in the body of a test and not above it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.judgement import Judgement, headline
from pytest_claude_latency.budgets.limit import Limit
from pytest_claude_latency.results.result import TestResult


@dataclass(frozen=True, slots=True)
class InnerLimit:
    """One limit of a block or of a watched output, and what came of it."""

    place: str
    """Where the block is, or the watching: a limit there is one limit, however often the test comes by."""
    judgement: Judgement
    subject: str = ""
    """What headlines begin with, where it is no call that was measured."""

    def headline(self) -> str:
        """Return the verdict in one line, if the limit is broken."""
        return self.subject + headline(self.judgement)


def inner_limits(samples: Iterable[TestResult]) -> Iterator[InnerLimit]:
    """Yield the limits of all blocks and watched outputs of a test's samples."""
    for sample in samples:
        for block in sample.blocks:
            yield from (InnerLimit(block.place, judgement) for judgement in block.judgements)
        for output in sample.watched:
            for budget in output.budgets:
                if budget.verdict == "not judged":
                    continue  # a test that fails on its way there has not watched it
                limit = Limit(budget.metric, None, duration.nanoseconds(budget.limit), budget.origin)
                measured = None if budget.measured is None else duration.nanoseconds(budget.measured)
                judgement = Judgement(limit, measured, None, 0, budget.verdict, budget.reason)
                yield InnerLimit(budget.origin, judgement, "watched output: ")

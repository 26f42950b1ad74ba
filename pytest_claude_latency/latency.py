"""What a test sees of its own measurements: the value of the fixture `claude_latency` and of `play`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from pytest_claude_latency.budget import combine, message, parse_marker
from pytest_claude_latency.errors import BudgetExceeded
from pytest_claude_latency.measurement import Measurement, Phase
from pytest_claude_latency.timeline import Call


@final
class Latency:
    """The calls a test made so far, measured."""

    def __init__(self, measurement: Measurement, recording: str | None = None) -> None:
        self._measurement = measurement
        self._recording = recording

    @property
    def calls(self) -> tuple[Call, ...]:
        """The prompt calls of the test body, in the order they were sent. Of one under way, what is known so far."""
        return self._measurement.calls(Phase.BODY)

    @property
    def setup_calls(self) -> tuple[Call, ...]:
        """The prompt calls made in function-scoped fixtures and in `setUp`."""
        return self._measurement.calls(Phase.SETUP)

    @property
    def elapsed(self) -> float | None:
        """Seconds from the first request of the body sent to its last answer ended; None before the first request."""
        return self._measurement.elapsed(Phase.BODY)

    @contextmanager
    def budget(self, **limits: object) -> Iterator[None]:
        """Judge the calls made in this block at its end, whether or not the run judges budgets.

        Takes the limits of `@pytest.mark.latency_budget`.

        Raises:
            BudgetExceeded: a limit was broken, or no prompt call was made.
            LimitError: a limit is not understood.
        """
        __tracebackhide__ = True
        judged = combine([parse_marker(limits, "claude_latency.budget(...)")])
        start = self._measurement.mark()
        yield
        calls = self._measurement.calls(*Phase, since=start)
        judgements = judged.judge(calls, self._measurement.elapsed(*Phase, since=start), direct=True)
        if any(judgement.broken for judgement in judgements):
            raise BudgetExceeded(message(judgements, calls, self._recording))

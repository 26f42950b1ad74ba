"""What a test sees of its own measurements: the value of the fixture `claude_latency` and of `play`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Final, final

from pytest_claude_latency.budgets.budget import Budget, combine, message, parse_marker
from pytest_claude_latency.duration import ACCEPTED
from pytest_claude_latency.errors import BudgetExceeded, LimitError
from pytest_claude_latency.measurement.call_log import Phase
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.metrics.timeline import Call

if TYPE_CHECKING:
    from pytest_claude_latency.diagnosis.rules import Trace

_BLOCK: Final = "claude_latency.budget(...)"


@final
class Latency:
    """The calls a test made so far, measured."""

    def __init__(
        self,
        measurement: Measurement,
        recording: str | None = None,
        related: Callable[[], Sequence[Trace]] = tuple,
    ) -> None:
        self._measurement = measurement
        self._recording = recording
        self._related = related

    @property
    def calls(self) -> tuple[Call, ...]:
        """The prompt calls of the test body, in the order they were sent. Of one under way, what is known so far."""
        return self._measurement.log.of(Phase.BODY).calls

    @property
    def setup_calls(self) -> tuple[Call, ...]:
        """The prompt calls made in function-scoped fixtures and in `setUp`."""
        return self._measurement.log.of(Phase.SETUP).calls

    @property
    def elapsed(self) -> float | None:
        """Seconds from the first request of the body sent to its last answer ended; None before the first request."""
        return self._measurement.log.of(Phase.BODY).elapsed

    def budget(self, **limits: object) -> AbstractContextManager[None]:
        """Judge the calls made in a `with` block at its end, whether or not the run judges budgets.

        Takes the limits of `@pytest.mark.latency_budget`. A variant of a test is measured and not judged here either.

        Raises:
            LimitError: a limit is not understood, or none is given.
            BudgetExceeded: at the end of the block, a limit was broken, or no prompt call was made.
        """
        __tracebackhide__ = True
        try:
            judged = combine([parse_marker(limits, _BLOCK)])
        except LimitError as error:
            raise LimitError(str(error)) from None
        for limit in judged.percentiles:
            raise LimitError(
                f"{_BLOCK}: {limit.text()} needs samples: a percentile is over several runs of a test, and a block "
                f"judges the one it stands in; accepted: {ACCEPTED}, or the percentile in @latency_budget"
            )
        if not limits:
            raise LimitError(f'{_BLOCK} names no limit; accepted: limits by name, such as budget(ttft="800ms")')
        return _Block(judged, self._measurement, self._recording, self._related)


@final
class _Block:
    """Judges what is called inside it. A class, since a generator would show the library's frames in a failure."""

    def __init__(
        self,
        judged: Budget,
        measurement: Measurement,
        recording: str | None,
        related: Callable[[], Sequence[Trace]],
    ) -> None:
        self._judged = judged
        self._measurement = measurement
        self._recording = recording
        self._related = related
        self._start = 0

    def __enter__(self) -> None:
        self._start = self._measurement.log.count

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        if kind is not None or self._measurement.variant is not None:  # a variant is measured, not held to budgets
            return
        calls = self._measurement.log.of(*Phase, since=self._start).calls
        elapsed = self._measurement.log.of(*Phase, since=self._start).elapsed
        judgements = self._judged.judge(calls, elapsed, direct=True)
        if any(judgement.broken for judgement in judgements):
            from pytest_claude_latency.measurement.diagnosis import Diagnosis

            found = Diagnosis.of(
                self._measurement, *Phase, since=self._start, judgements=judgements, related=self._related()
            )
            raise BudgetExceeded(message(judgements, calls, self._recording) + found.text())

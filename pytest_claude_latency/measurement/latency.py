"""What a test sees of its own measurements: the value of the fixture `claude_latency` and of `play`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, final

from pytest_claude_latency.budgets.block import JudgedBlock
from pytest_claude_latency.budgets.budget import Budget, combine
from pytest_claude_latency.budgets.judgement import Judgement, message
from pytest_claude_latency.budgets.limit import Limit, parse_marker
from pytest_claude_latency.duration import ACCEPTED, Nanoseconds, nanoseconds, seconds
from pytest_claude_latency.errors import BudgetExceeded, LimitError
from pytest_claude_latency.measurement.call_log import CallsInPhases, Phase
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.measurement.watch import LIMITED, Output, Text, watching
from pytest_claude_latency.measurement.whole_test import readings
from pytest_claude_latency.metrics.timeline import Call
from pytest_claude_latency.metrics.watched import Watched
from pytest_claude_latency.virtual_time.watch import source_location

if TYPE_CHECKING:
    from pytest_claude_latency.diagnosis.rules import Trace

_BLOCK: Final = "claude_latency.budget(...)"
_PERCENTILE: Final = (
    f"{{limit}} needs samples: a percentile is over several runs of a test, and a block judges the run it stands in; "
    f"accepted: {ACCEPTED}, or the percentile in @latency_budget"
)
_WATCH: Final = "claude_latency.watch(...)"
_NOT_WATCHED: Final = f"{{metric}} is not measured of an output; accepted: {', '.join(LIMITED)}, each plain"
_NO_LIMIT: Final = 'it has no limits; accepted: limits by name, such as budget(ttft="800ms")'


@final
class Latency:
    """The calls that a test made so far, measured."""

    def __init__(
        self, measurement: Measurement, recording: str | None = None, related: Callable[[], Sequence[Trace]] = tuple
    ) -> None:
        self._measurement = measurement
        self._recording = recording
        self._outputs: list[Output] = []
        self._blocks: list[Nanoseconds] = []  # when each block that is open began, the innermost last
        self._judged: list[tuple[str, CallsInPhases, tuple[Judgement, ...]]] = []
        self._related = related  # called only if a budget breaks: reading other recordings takes time

    @property
    def calls(self) -> tuple[Call, ...]:
        """The prompt calls of the test body, in the order they were sent; one under way has what is known so far."""
        return self._measurement.log.of(Phase.BODY).calls

    @property
    def setup_calls(self) -> tuple[Call, ...]:
        """The prompt calls made in function-scoped fixtures and in `setUp`."""
        return self._measurement.log.of(Phase.SETUP).calls

    @property
    def elapsed(self) -> float | None:
        """Seconds from the first request of the body sent to its last answer ended. `None` before the first request."""
        return self._measurement.log.of(Phase.BODY).elapsed

    def budget(self, **limits: object) -> AbstractContextManager[None]:
        """Judge the calls made in a `with` block at its end, whether or not the run judges budgets.

        Takes the limits of `@pytest.mark.latency_budget`. In a variant of a test, or with a fault, the calls are
        measured and not judged.

        Raises:
            LimitError: a limit is not understood, or none is given.
            BudgetExceeded: at the end of the block, a limit was broken, or no prompt call was made.
        """
        __tracebackhide__ = True
        try:
            budget = combine([parse_marker(limits, _BLOCK)])
            for limit in budget.percentiles:  # the first is enough to say what is wrong
                raise LimitError(_PERCENTILE.format(limit=limit.text()), _BLOCK)
            if not limits:
                raise LimitError(_NO_LIMIT, _BLOCK)
        except LimitError as error:
            raise LimitError(error.labelled()) from None  # raised here, so that the failure shows the user's own line
        place, _, _ = source_location.line_of(sys._getframe(1), self._measurement.root).partition(" in ")
        return _Block(self._measurement, self._blocks, partial(self._judge, budget, place))

    def watch(self, subject: Any, text: Text | None = None, **limits: object) -> Any:
        """Watch what the application hands its user: an iterable, an async iterable, or what an ASGI application sends.

        Return it wrapped. `ttft`, `longest_gap` and `total` may be limited. They count from the start of the test body,
        or of the innermost `budget` block, and are judged when the output is exhausted or closed, else at the end of
        the test. `text` is a function that returns what a user sees of an item.

        Raises:
            LimitError: a limit is not understood, or is none of these three.
            TypeError: the subject is none of these.
            BudgetExceeded: at the end of the output, a limit was broken.
        """
        __tracebackhide__ = True
        place, _, _ = source_location.line_of(sys._getframe(1), self._measurement.root).partition(" in ")
        origin = f"{_WATCH} at {place}"
        try:
            parsed = parse_marker(limits, origin)
            for limit in parsed:
                if limit.metric not in LIMITED or (isinstance(limit, Limit) and (limit.statistic or limit.some)):
                    raise LimitError(_NOT_WATCHED.format(metric=limit.metric), origin)
        except LimitError as error:
            raise LimitError(error.labelled()) from None
        judged = [limit for limit in parsed if isinstance(limit, Limit)] if self._measurement.is_fair else []

        def make() -> Output:
            start = self._blocks[-1] if self._blocks else self._measurement.log.began
            self._outputs.append(Output(self._measurement.now, start, judged, text, self._first_text_before))
            return self._outputs[-1]

        return watching(subject, make)

    def _first_text_before(self, start: Nanoseconds, shown: Nanoseconds) -> tuple[str, Nanoseconds] | None:
        """Return the last call since `start` that brought its first text before an output showed some, and when."""
        found = None
        for call in self.calls:
            if not call.streamed or call.ttfa is None:
                continue
            came = nanoseconds(call.sent + call.ttfa)
            if start <= nanoseconds(call.sent) and came <= shown:
                found = call.location or "a call", came
        return found

    @property
    def watched(self) -> tuple[Watched, ...]:
        """The measurements of the watched outputs, in the order in which they began."""
        return tuple(output.watched for output in self._outputs)

    def _judge(self, budget: Budget, place: str, since: int, began: Nanoseconds) -> None:
        """Hold the calls after the first `since` against the budget of the block at `place`, which then began."""
        __tracebackhide__ = True
        if not self._measurement.is_fair:  # it is measured, not held to budgets
            return
        # All phases: a block may stand in a fixture, whose calls are those of the set-up.
        sent = self._measurement.log.of(*Phase, since=since, began=began)
        test_readings = readings(sent, budget.of_whole_test(), self._measurement.prices)
        calls = sent.calls
        # the test goes on behind its block, and may still wait for what is under way
        judgements = budget.judge(
            calls,
            sent.elapsed,
            direct=True,
            sessions=sent.sessions,
            is_over=False,
            test_readings=test_readings,
            requests=sent.requests,
        )
        self._judged.append((place, sent, judgements))
        if any(judgement.broken for judgement in judgements):
            from pytest_claude_latency.measurement.diagnosis import Diagnosis  # only where it is read: it takes time

            diagnosis = Diagnosis.of(sent, judgements=judgements, related=self._related())
            text = message(judgements, calls, self._recording, sent.others, sent.sessions)
            raise BudgetExceeded(text + diagnosis.text())


def judge_outputs(latency: Latency) -> None:
    """Judge the watched outputs that were not judged yet: the test is over.

    Raises:
        BudgetExceeded: a limit on one of them is broken.
    """
    __tracebackhide__ = True
    for output in latency._outputs:
        if not output.is_told:
            output.judge()


def judged_blocks(latency: Latency) -> tuple[JudgedBlock, ...]:
    """Return the `budget` blocks that were judged, in the order in which they ended."""
    if not latency._judged:
        return ()
    in_body = latency._measurement.log.of(Phase.BODY).numbers
    blocks = []
    for place, sent, judgements in latency._judged:
        # what is the first call of the block may be the third of the test
        numbers = {(call.is_prompt, number): in_body.get(call) for call, number in sent.numbers.items()}
        blocks.append(
            JudgedBlock(
                place=place,
                start=seconds(sent.began),
                end=seconds(sent.now),
                calls=tuple(number for (is_prompt, _), number in numbers.items() if is_prompt and number),
                judgements=tuple(
                    judgement
                    if judgement.call is None
                    else replace(judgement, call=numbers[judgement.limit.endpoint is None, judgement.call])
                    for judgement in judgements
                ),
            )
        )
    return tuple(blocks)


@final
class _Block:
    """Judges the calls made inside it. A class, since a generator would show the library's frames in a failure."""

    def __init__(
        self, measurement: Measurement, blocks: list[Nanoseconds], judge: Callable[[int, Nanoseconds], None]
    ) -> None:
        self._measurement = measurement
        self._blocks = blocks
        self._judge = judge
        self._since, self._began = 0, 0

    def __enter__(self) -> None:
        self._since, self._began = self._measurement.log.count, self._measurement.now()
        self._blocks.append(self._began)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        self._blocks.remove(self._began)
        if kind is None:
            self._judge(self._since, self._began)

"""The marker `latency_answers`: answers that a test makes up until it is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_claude_latency.budgets.limit import WHEN
from pytest_claude_latency.collection.markers import marks_of
from pytest_claude_latency.collection.selection import ANSWERS
from pytest_claude_latency.errors import LimitError
from pytest_claude_latency.measurement.made_up_answers import AnswersMarker
from pytest_claude_latency.near_names import did_you_mean
from pytest_claude_latency.simulation.answers import Answer, Pace

ACCEPTED = 'accepted: texts and Answer(...), such as latency_answers("Yes.", ttft="800ms")'
_ARGUMENTS = ("when", "ttft", "tokens_per_second")


def answers_of(item: pytest.Item) -> tuple[AnswersMarker, ...]:
    """Return the answers that a test makes up, those of the closest marker first.

    Raises:
        LimitError: a marker is not understood; names its place and the accepted forms.
    """
    return tuple(_parsed(mark, f"@{ANSWERS} on {place}") for mark, place in marks_of(item, ANSWERS))


def _parsed(mark: pytest.Mark, origin: str) -> AnswersMarker:
    for name in mark.kwargs:
        if name not in _ARGUMENTS:
            hint = did_you_mean(name, _ARGUMENTS, form="{}=")
            raise LimitError(f"unknown argument {name!r}{hint}; accepted: {'=, '.join(_ARGUMENTS)}=", origin)
    if not mark.args:
        raise LimitError(f"it has no answer; {ACCEPTED}", origin)
    answers = []
    for value in mark.args:
        if not isinstance(value, str | Answer):
            raise LimitError(f"{value!r} is not an answer; {ACCEPTED}", origin)
        # An `Answer` was checked when it was made. A text is checked here, where the place of the marker is known.
        try:
            answers.append(Answer(value) if isinstance(value, str) else value)
        except LimitError as error:
            raise LimitError(str(error), origin) from None
    pace = Pace.of(mark.kwargs.get("ttft"), mark.kwargs.get("tokens_per_second"), origin)
    when: Any = mark.kwargs.get("when")
    pattern: Any = {} if when is None else when
    if not isinstance(pattern, Mapping) or not all(
        isinstance(field, str) and (expected is None or isinstance(expected, str | int | float))
        for field, expected in pattern.items()
    ):
        raise LimitError(f"when={when!r} is not understood; accepted: {WHEN}", origin)
    return AnswersMarker(tuple(answers), origin, pace, tuple(pattern.items()))

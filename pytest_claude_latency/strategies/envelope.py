"""Envelopes: the limits of what is generated, checked before anything is generated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, TypeAlias, TypedDict

from hypothesis.strategies import SearchStrategy

from pytest_claude_latency.duration import ACCEPTED, MICROSECOND, parse
from pytest_claude_latency.errors import LimitError

Duration: TypeAlias = str | float | timedelta
Span: TypeAlias = Duration | tuple[Duration, Duration]
Number: TypeAlias = int | tuple[int, int]
ToolInputs: TypeAlias = Mapping[str, SearchStrategy[Mapping[str, Any]]]


class AnswerOptions(TypedDict, total=False):
    """The arguments that say what answers are like; `exchanges` explains them."""

    ttft: Span
    gaps: Span
    ttfb: Span | None
    total: Span
    streamed: bool | None
    thinking: bool | None
    tools: bool | None
    tool_inputs: ToolInputs | None
    deltas: Number
    errors: bool
    drops: bool
    model: str


class Range(NamedTuple):
    """A closed range of whole numbers: microseconds, or a count."""

    least: int
    most: int


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """The limits of generated answers. Times are ranges of microseconds; `None` leaves a choice open."""

    ttfb: Range | None
    ttft: Range
    gaps: Range
    total: Range
    thinking: bool | None
    tools: bool | None
    tool_inputs: ToolInputs | None
    streamed: bool | None
    deltas: Range
    errors: bool
    drops: bool
    model: str

    @classmethod
    def of(
        cls,
        *,
        ttft: Span = ("100ms", "2s"),
        gaps: Span = ("0s", "500ms"),
        ttfb: Span | None = None,
        total: Span = ("300ms", "10s"),
        streamed: bool | None = True,
        thinking: bool | None = False,
        tools: bool | None = False,
        tool_inputs: ToolInputs | None = None,
        deltas: Number = (1, 5),
        errors: bool = False,
        drops: bool = False,
        model: str = "claude-haiku-4-5",
    ) -> Envelope:
        """Make an envelope of arguments as users write them.

        Raises:
            LimitError: an argument is not understood, or two exclude each other. The message names them.
        """
        accepted = "accepted is a mapping from the names of tools to strategies"
        if tool_inputs is not None:
            named = isinstance(tool_inputs, Mapping) and all(isinstance(name, str) for name in tool_inputs)
            if not named or not tool_inputs:
                raise LimitError(f"tool_inputs={tool_inputs!r}: {accepted}")
        envelope = cls(
            ttft=span("ttft", ttft),
            gaps=span("gaps", gaps),
            ttfb=None if ttfb is None else span("ttfb", ttfb),
            total=span("total", total),
            streamed=_choice("streamed", streamed),
            thinking=_choice("thinking", thinking),
            tools=_choice("tools", tools),
            tool_inputs=tool_inputs,
            deltas=number("deltas", deltas),
            errors=switch("errors", errors),
            drops=switch("drops", drops),
            model=model,
        )
        # What no answer can be like is refused now: a strategy over it would fail only when it is drawn from.
        if envelope.tool_inputs is not None and envelope.tools is False:
            raise LimitError("tool_inputs are given and tools=False: say tools=True or tools=None to have them used")
        if envelope.drops and envelope.streamed is False:
            raise LimitError("drops=True and streamed=False: only streams break off; the SDK asks for others again")
        if envelope.ttfb is not None:
            if envelope.streamed is not False and envelope.ttfb.least > envelope.ttft.most:
                raise LimitError("ttfb is always longer than ttft: headers come before the first token")
            if envelope.streamed is not True and envelope.ttfb.least > envelope.total.most:
                raise LimitError("ttfb is always longer than total: headers come before the answer ends")
        return envelope


def span(name: str, value: Span) -> Range:
    """Return the whole microseconds that a span allows.

    Raises:
        LimitError: it is not a span. The message names the parameter.
    """
    # a single duration is a span of one instant
    shortest, longest = _pair(name, value, f"a duration or a pair (shortest, longest); a duration is {ACCEPTED}")
    try:
        least, most = parse(shortest), parse(longest)
    except LimitError as reason:
        raise LimitError(f"{name}: {reason}") from None
    if least > most:
        raise LimitError(f"{name}={value!r}: the shortest is longer than the longest")
    microseconds = Range(-(-least // MICROSECOND), most // MICROSECOND)  # rounded up, and down: never outside the span
    if microseconds.least > microseconds.most:
        raise LimitError(f"{name}={value!r}: there is no whole microsecond in it")
    return microseconds


def number(name: str, value: Number) -> Range:
    """Return the counts that a number, or a pair of numbers, allows. All are at least 1.

    Raises:
        LimitError: it is neither. The message names the parameter.
    """
    accepted = "a whole number of at least 1, or a pair (fewest, most) of them"
    fewest, most = _pair(name, value, accepted)
    for count in (fewest, most):
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:  # `True` is an `int`, and a mistake
            raise LimitError(f"{name}={value!r}: accepted is {accepted}")
    if fewest > most:
        raise LimitError(f"{name}={value!r}: the fewest are more than the most")
    return Range(fewest, most)


def _choice(name: str, value: bool | None) -> bool | None:
    """Return a choice that may be left open.

    Raises:
        LimitError: it is not True, False or None. The message names the parameter.
    """
    if value is None or isinstance(value, bool):
        return value
    raise LimitError(f"{name}={value!r}: accepted is True (always), False (never) or None (either)")


def switch(name: str, value: bool) -> bool:
    """Return whether something may happen.

    Raises:
        LimitError: it is not True or False. The message names the parameter.
    """
    # not `bool(value)`: "no" would be true
    if isinstance(value, bool):
        return value
    raise LimitError(f"{name}={value!r}: accepted is True (may happen) or False (never)")


def _pair(name: str, value: object, accepted: str) -> tuple[Any, Any]:
    if not isinstance(value, tuple | list):
        return value, value  # a single value is met exactly
    if len(value) != 2:
        raise LimitError(f"{name}={value!r}: accepted is {accepted}")
    return value[0], value[1]

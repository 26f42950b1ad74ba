"""A fault: what an API may do to a program, as a value that is called with a recording.

It says what the program meets, in which calls, and how often. What it puts into a recording stands in front of the
recorded answer: as many askings of that request as it says meet the fault, and the next one gets what was recorded.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, Literal, TypeAlias, final

from pytest_claude_latency import duration as durations
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.duration import MICROSECOND
from pytest_claude_latency.errors import FaultError, LimitError
from pytest_claude_latency.messages_api.exchange import Exchange, FaultMark
from pytest_claude_latency.messages_api.request_pattern import Expected, misspelt_field
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.simulation.chosen_calls import ChosenCalls, prompt_calls

Duration: TypeAlias = str | float | timedelta

_TIMES: Final = 'times={value!r} is not understood; accepted: a whole number from 1, or "always"'
_CALL: Final = "call={value!r} is not understood; accepted: the number of a call, from 1"
_WHEN: Final = (
    "when={value!r} is not understood; accepted: a mapping from fields to patterns or JSON values, "
    'when={{"model": "claude-opus-*"}}'
)
_EVERY: Final = "every={value!r} is not understood; accepted: True or False"
_SEVERAL: Final = "call=, when= and every= exclude each other"
_NO_CALL: Final = "{fault} fits no call: the recording has {calls}, {reason}"
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.=,+*-]+")
"""What an id cannot hold: node ids and shells have a use of their own for it."""


class Fault(ABC):
    """What an API may do to a program. Called with a recording, it returns one in which that happens.

    It has no `__name__`, or pytest would take a marker that holds it for one that stands on it.
    """

    @abstractmethod
    def __call__(self, recording: Recording) -> Recording:
        """Return the recording with the fault in it.

        Raises:
            FaultError: it fits no call of the recording.
        """

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called in ids and reports."""

    @property
    @abstractmethod
    def id(self) -> str:
        """Its name with its arguments, for ids in which the name alone would not tell two apart."""

    @abstractmethod
    def text(self) -> str:
        """Return it as it is written: `rate_limited(retry_after=60s)`."""

    def __and__(self, other: object) -> Fault:
        """Return both in one, this one applied first."""
        return _Both(self, other) if isinstance(other, Fault) else NotImplemented

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fault) and self.text() == other.text()

    def __hash__(self) -> int:
        # Not of its arguments: a mapping has no hash.
        return hash(self.text())

    def __repr__(self) -> str:
        return self.text()


@final
class _Both(Fault):
    """Two faults in one recording."""

    def __init__(self, first: Fault, second: Fault) -> None:
        self._faults = (first, second)

    def __call__(self, recording: Recording) -> Recording:
        for fault in self._faults:
            recording = fault(recording)
        return recording

    @property
    def name(self) -> str:
        return "+".join(fault.name for fault in self._faults)

    @property
    def id(self) -> str:
        return "+".join(fault.id for fault in self._faults)

    def text(self) -> str:
        return " & ".join(fault.text() for fault in self._faults)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FaultOfCalls(Fault):
    """A fault of some calls: the one of this number in the recording, those that fit, or all. By default the first."""

    call: int | None = None
    when: Mapping[str, Expected] | None = None
    every: bool | Duration = False

    spans: ClassVar[tuple[str, ...]] = ()
    """The arguments that are durations."""

    def __new__(cls, *args: object, **_: object) -> FaultOfCalls:
        """Refuse arguments without a name, and say so: a fault without parentheses is called with the test."""
        if args:
            raise TypeError(f"{cls.__name__} takes its arguments by name: write {cls.__name__}(), with parentheses")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        """Refuse what is not understood, where it is written and not only where it is used."""
        if self.call is not None and not is_count(self.call):
            raise self.refused(_CALL.format(value=self.call))
        if self.when is not None and not _is_condition(self.when):
            raise self.refused(_WHEN.format(value=self.when))
        # `trickled` has an `every` of its own, which is a duration.
        if "every" not in self.spans and not isinstance(self.every, bool):
            raise self.refused(_EVERY.format(value=self.every))
        if (self.call is not None) + (self.when is not None) + (self.every is True) > 1:
            raise self.refused(_SEVERAL)
        for argument in self.spans:
            try:
                # A duration that is not given is `None`.
                durations.parse(getattr(self, argument) or 0)
            except LimitError as error:
                raise self.refused(f"{argument}={error}") from None

    def refused(self, reason: str) -> FaultError:
        """Return the error of an argument that is not understood."""
        return FaultError(f"{self.name}: {reason}")

    @property
    def name(self) -> str:
        """Its name in code."""
        return type(self).__name__

    @property
    def id(self) -> str:
        """Its name and its arguments, joined by dashes."""
        return "-".join([self.name, *(_UNFIT.sub("_", f"{name}={shown}").strip("_") for name, shown in self._given())])

    def text(self) -> str:
        """Return the call that makes it, without quotes, as an option has it."""
        return f"{self.name}({', '.join(f'{name}={shown}' for name, shown in self._given())})"

    @property
    def chosen(self) -> ChosenCalls:
        """The calls that meet it."""
        return ChosenCalls(call=self.call, when=tuple((self.when or {}).items()), every=self.every is True)

    def calls_in(self, recording: Recording) -> tuple[tuple[int, ...], ...]:
        """Return the places of the attempts of each call that it is for.

        Raises:
            FaultError: there is none.
        """
        calls = self.chosen.of(recording)
        if not calls:
            reason = f"and no call {self.call or 1}" if self.when is None else "and none of them fits when="
            reason += misspelt_field(self.chosen.when, (exchange.request for exchange in recording.exchanges))
            count = number_of(len(prompt_calls(recording)), "prompt call")
            raise FaultError(_NO_CALL.format(fault=self.text(), calls=count, reason=reason))
        return calls

    def _given(self) -> Iterator[tuple[str, str]]:
        """Yield the arguments that differ from their defaults, as they are written."""
        for argument in fields(self):
            value: Any = getattr(self, argument.name)
            if value == argument.default:
                continue
            if argument.name in self.spans:
                yield argument.name, durations.exact(durations.parse(value))
            elif isinstance(value, Mapping):
                yield argument.name, "{" + ", ".join(f"{field}: {expected}" for field, expected in value.items()) + "}"
            else:
                yield argument.name, str(value)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class InjectedFault(FaultOfCalls):
    """A fault that stands in front of the recorded answer. `times` is how many askings of that request meet it."""

    times: int | Literal["always"] = 1

    def __post_init__(self) -> None:
        """Refuse what is not understood."""
        super().__post_init__()
        if self.times != "always" and not is_count(self.times):
            raise self.refused(_TIMES.format(value=self.times))

    @abstractmethod
    def instead_of(self, answered: Exchange, moment: datetime) -> Exchange:
        """Return what comes instead of an answer; `moment` is when it is asked for.

        Raises:
            FaultError: such an answer has no place for it. The message says why.
        """

    def __call__(self, recording: Recording) -> Recording:
        """Return the recording with the fault in front of the answer of each call that it is for."""
        numbers = {places: number for number, places in enumerate(prompt_calls(recording), 1)}
        began = datetime.fromisoformat(recording.recorded).astimezone(UTC)
        injected: dict[int, Exchange] = {}
        marks: dict[int, FaultMark] = {}
        reasons: list[str] = []
        for places in self.calls_in(recording):
            first, answered = recording.exchanges[places[0]], recording.exchanges[places[-1]]
            try:
                # A refusal names the time at which its limits end, on the calendar of the recording.
                instead = self.instead_of(answered, began + timedelta(microseconds=first.sent // MICROSECOND))
            except FaultError as reason:
                reasons.append(f"call {numbers[places]} {reason}")  # no error yet: another call may have a place for it
                continue
            # Its recorded attempts are marked as well: what is left of them answers nobody else's request.
            mark = FaultMark(numbers[places])
            marks |= dict.fromkeys(places, mark)
            pause = instead.fault.pause if instead.fault is not None else 0
            fault = replace(mark, is_injected=True, is_endless=self.times == "always", pause=pause)
            injected[places[0]] = replace(instead, sent=first.sent, fault=fault)
        if not injected:
            raise FaultError(f"{self.text()} fits no call: {'; '.join(reasons)}")
        # An endless one stands there once: whoever plays it does not use it up.
        times = 1 if self.times == "always" else self.times
        exchanges: list[Exchange] = []
        for place, exchange in enumerate(recording.exchanges):
            exchanges += [injected[place]] * times if place in injected else []
            exchanges.append(replace(exchange, fault=marks[place]) if place in marks else exchange)
        return replace(recording, exchanges=tuple(exchanges))


def is_count(value: object) -> bool:
    """Return whether a value is a whole number from 1."""
    # `True` is an `int`, too.
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_condition(when: object) -> bool:
    return (
        isinstance(when, Mapping)
        and bool(when)
        and all(
            isinstance(field, str) and (expected is None or isinstance(expected, str | int | float))
            for field, expected in when.items()
        )
    )

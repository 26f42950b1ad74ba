"""Which prompt calls of a recording a change is for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias, final

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.request_pattern import Expected, fits
from pytest_claude_latency.messages_api.retries import calls_of

Places: TypeAlias = tuple[int, ...]
"""The places of the attempts of one call among the exchanges of its recording, in the order they were sent."""


@final
@dataclass(frozen=True, kw_only=True)
class ChosenCalls:
    """Some of a recording's prompt calls: the one of this number (from 1), those whose requests fit, or all.

    Without any of these it is the first one.
    """

    call: int | None = None
    when: tuple[tuple[str, Expected], ...] = ()
    every: bool = False

    def of(self, recording: Recording) -> tuple[Places, ...]:
        """Return the chosen calls of a recording, in the order they were sent."""
        calls = prompt_calls(recording)
        if self.every:
            return calls
        if self.when:
            return tuple(call for call in calls if fits(recording.exchanges[call[0]].request, self.when))
        number = 1 if self.call is None else self.call
        return calls[number - 1 : number]


EVERY = ChosenCalls(every=True)


def prompt_calls(recording: Recording) -> tuple[Places, ...]:
    """Return the prompt calls of a recording, in the order they were sent, without what a fault put there."""
    # copies, so that each has an identity of its own
    copies = [(place, replace(exchange)) for place, exchange in enumerate(recording.exchanges)]
    # a refusal that was put there may not look like an attempt of its call, and would be counted as one more
    exchanges = {place: exchange for place, exchange in copies if not exchange.is_injected}
    places = {id(exchange): place for place, exchange in exchanges.items()}
    calls = [attempts for attempts in calls_of(exchanges.values()) if is_prompt_call(attempts[0].request)]
    return tuple(tuple(places[id(exchange)] for exchange in attempts) for attempts in calls)

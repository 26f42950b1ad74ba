"""The trace of one run of a test: everything that rules may look at.

It is made of exchanges alone, so the same code finds facts in a recording and in what a run has just measured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pytest_claude_latency.diagnosis import attribution, prompt_text
from pytest_claude_latency.diagnosis.breakdown import Breakdown, Part
from pytest_claude_latency.diagnosis.lateness import as_due
from pytest_claude_latency.duration import MILLISECOND, Nanoseconds
from pytest_claude_latency.messages_api.answer import read
from pytest_claude_latency.messages_api.answers.content import Answer, Delta
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.exchange import Exchange
from pytest_claude_latency.messages_api.forms import messages_body
from pytest_claude_latency.messages_api.retries import Attempts
from pytest_claude_latency.metrics.timeline import Timeline
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.virtual_time import Hold

_LEAST_COST: Nanoseconds = 50 * MILLISECOND  # shorter times cannot be felt
# a finding about less is true and does not help
_LEAST_SHARE = 0.05
_NO_TIME = Breakdown(segments=())


@dataclass(frozen=True)
class PromptCall:
    """One call that makes a message. `number` counts those of its test, from 1."""

    number: int
    attempts: Attempts
    breakdown: Breakdown
    holds: tuple[Hold, ...] = ()
    line: str | None = None
    """The line of the program that made it; None where that is not known, as of a recording."""

    @cached_property
    def timeline(self) -> Timeline:
        """When the parts of its answer came."""
        return Timeline.of(self.attempts)

    @cached_property
    def due(self) -> Exchange:
        """Its last attempt with each part at the instant when it was due, which may be before the program took it."""
        return as_due(self.attempts[-1], self.holds)

    @cached_property
    def pieces(self) -> tuple[Delta, ...]:
        """The pieces of its answer at the instants when they were due."""
        return tuple(read(self.due, self.due.sent - self.timeline.sent).deltas)

    @cached_property
    def body(self) -> dict[str, Any]:
        """The request's body, with the names of the Messages API; empty if it is not a JSON object."""
        return messages_body(self.attempts[0].request)

    @cached_property
    def answer(self) -> Answer:
        """What its answer holds."""
        return read(self.attempts[-1])

    @cached_property
    def text(self) -> str:
        """The text of its answer."""
        return "".join(prompt_text.texts(self.answer.blocks))

    @property
    def sent(self) -> Nanoseconds:
        """When it was sent, since the start of the test."""
        return self.timeline.sent

    @property
    def over(self) -> Nanoseconds:
        """When it was over, since the start of the test."""
        return self.sent + self.breakdown.total

    @cached_property
    def recorded_span(self) -> tuple[Nanoseconds, Nanoseconds] | None:
        """From when to when it was under way while recording, since that test began; None where it is no replay."""
        first, last = self.attempts[0].recorded, self.attempts[-1].recorded
        if first is None or last is None or last.end is None:
            return None
        return first.sent, last.sent + last.end.at

    @property
    def output_tokens(self) -> int:
        """Tokens generated; 0 if unknown."""
        # before the last event of a stream the API has counted only the beginning
        usage = self.timeline.usage
        return (usage.output or 0) if usage.final else 0

    @property
    def cache_read(self) -> int:
        """Tokens of the prompt that were read from the cache."""
        return self.timeline.usage.cache_read or 0

    @property
    def cache_written(self) -> int:
        """Tokens of the prompt that were written to the cache."""
        return self.timeline.usage.cache_write or 0

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt; 0 if unknown."""
        return self.timeline.prompt_tokens or 0

    @property
    def generating(self) -> Nanoseconds:
        """The time in which its answer was generated. If the answer does not stream, all of its time."""
        return self.breakdown.time_in(Part.ANSWERING, Part.WHOLE)

    @property
    def answered(self) -> bool:
        """Whether it has an answer that came to its end, or was cut off by its own limit."""
        timeline = self.timeline
        return bool(timeline.deltas) and timeline.complete is not None and timeline.error is None

    @property
    def ended_by_itself(self) -> bool:
        """Whether the model ended the answer because it was done."""
        return self.answered and self.timeline.stop_reason in ("end_turn", "stop_sequence", "stop")

    @property
    def is_prose(self) -> bool:
        """Whether its answer is for readers: text, without the use of a tool or a format made for programs."""
        # a program that parses JSON has no use for half of it
        config = self.body.get("output_config")
        formatted = "output_format" in self.body or (isinstance(config, dict) and config.get("format") is not None)
        kinds = [delta.kind for delta in self.timeline.deltas]
        return not formatted and "input_json" not in kinds and "text" in kinds

    @property
    def thinks(self) -> bool:
        """Whether thinking was asked for, or came without being asked for."""
        asked = self.body.get("thinking")
        # newer models think on their own, so the answer tells too
        enabled = isinstance(asked, dict) and asked.get("type") not in (None, "disabled")
        return enabled or Part.THINKING in self.breakdown.parts or bool(self.timeline.usage.thinking)

    @cached_property
    def work(self) -> str:
        """A key that is equal for calls that do similar work, whatever model does it.

        Calls do similar work if they have the same system prompt and the same tools. Without either, only the messages
        tell what the work is, so they must be the same.
        """
        fields = {name: self.body.get(name) for name in ("system", "tools", "thinking", "output_config")}
        if not fields["system"] and not fields["tools"]:
            fields["messages"] = self.body.get("messages")
        return json.dumps(fields, sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One run of one test: its calls in the order they were sent, and where its time went.

    `related` are other runs to compare with, of this test and of others; `broken` names the metrics whose limits it
    broke; `recorded` is the moment it began, as recordings keep it, empty if unknown.
    """

    nodeid: str = ""
    sample: int = 1
    recorded: str = ""
    calls: tuple[PromptCall, ...] = ()
    breakdown: Breakdown = _NO_TIME
    order: tuple[int | None, ...] = ()
    """For each request, in the order they were sent, its number among the prompt calls; None if it makes no message."""
    holds: tuple[Hold, ...] = ()
    """The stretches in which the program held a thread, as far as they are known: of a recording none is."""
    origin: Nanoseconds = 0
    """When the first request was sent, since the start of the test. Instants of `breakdown` count from it."""
    related: tuple[Trace, ...] = ()
    broken: frozenset[str] = frozenset()
    replaced: Trace | None = None
    """The recording that this run replaces, or would; None for a replay."""
    has_fault: bool = False
    """Whether a fault was put into the run: its times are not the API's."""
    judged: int | None = None
    """The number of the call that broke a limit, which a fact about several calls names; None for the whole test."""

    @classmethod
    def of(
        cls,
        calls: Sequence[Attempts],
        *,
        nodeid: str = "",
        sample: int = 1,
        recorded: str = "",
        now: Nanoseconds | None = None,
        holds: Iterable[Hold] = (),
        lines: Sequence[str | None] | None = None,
    ) -> Trace:
        """Return the trace of these calls, including those that make no message. For `now` and `holds` see `of_call`.

        `lines` are the lines of the program that made them, where these are known.
        """
        holds = tuple(holds)
        line_of = {} if lines is None else {id(attempts): line for attempts, line in zip(calls, lines, strict=True)}
        prompts = [attempts for attempts in calls if is_prompt_call(attempts[0].request)]
        # by identity: two calls may be equal
        numbers = {id(attempts): number for number, attempts in enumerate(prompts, 1)}
        return cls(
            nodeid=nodeid,
            sample=sample,
            recorded=recorded,
            calls=tuple(
                PromptCall(
                    number, attempts, attribution.of_call(attempts, now, holds), holds, line_of.get(id(attempts))
                )
                for number, attempts in enumerate(prompts, 1)
            ),
            breakdown=attribution.of_test(calls, now, holds) or _NO_TIME,
            holds=holds,
            origin=min((attempts[0].sent for attempts in calls), default=0),
            order=tuple(numbers.get(id(attempts)) for attempts in calls),
        )

    def compared_with(
        self, related: Iterable[Trace], broken: Iterable[str] = (), replaced: Trace | None = None
    ) -> Trace:
        """Return the same trace with other runs to compare with, and the metrics whose limits were broken."""
        return replace(self, related=tuple(related), broken=frozenset(broken), replaced=replaced)

    @cached_property
    def calls_on_path(self) -> set[int]:
        """The numbers of the calls on the critical path. The time of all others cost the test nothing."""
        numbers = {self.order[stretch.call - 1] for stretch in self.breakdown.path if stretch.call is not None}
        return {number for number in numbers if number is not None}

    @cached_property
    def concerned(self) -> set[int]:
        """The numbers of the calls that a limit is about: the one that broke it, or those on the critical path."""
        return self.calls_on_path if self.judged is None else {self.judged}

    def concerned_first(self, calls: Iterable[PromptCall]) -> list[PromptCall]:
        """Return the calls in their order, those first that a limit is about."""
        return sorted(calls, key=lambda call: call.number not in self.concerned)

    def worst(self, calls: Sequence[PromptCall], key: Callable[[PromptCall], Nanoseconds]) -> PromptCall:
        """Return the call that a fact names: the worst of those that a limit is about, else the worst of all."""
        return max(calls, key=lambda call: (call.number in self.concerned, key(call)))

    @property
    def is_made_up(self) -> bool:
        """Whether answers to its calls were made up: no API gave them."""
        served = (exchange.recorded for call in self.calls for exchange in call.attempts)
        return any(exchange is not None and exchange.is_made_up for exchange in served)

    def request(self, place: int) -> str:
        """Return the name of the request at this place, from 1, in the order they were sent: `"call 2"`."""
        number = self.order[place - 1]
        return "another request" if number is None else f"call {number}"

    def matters(self, cost: Nanoseconds) -> bool:
        """Whether a time is worth a finding: it can be felt, and it is a share of the test, or of the judged call."""
        judged = [call.breakdown.total for call in self.calls if call.number == self.judged]
        return cost >= max(_LEAST_COST, _LEAST_SHARE * (judged[0] if judged else self.breakdown.total))

    def name(self, call: PromptCall) -> str:
        """Return what a fact calls a call: `"call 2 of 3"`, or `"the call"` if there is one."""
        return "the call" if len(self.calls) == 1 else f"call {call.number} of {len(self.calls)}"

    def lines_of(self, numbers: Iterable[int]) -> tuple[str, ...]:
        """Return the lines of the program that made the calls of these numbers, each once, where they are known."""
        lines = (self.calls[number - 1].line for number in numbers)
        return tuple(dict.fromkeys(line for line in lines if line is not None))

    def and_others(self, calls: Sequence[PromptCall]) -> str:
        """Return what a fact about the worst of `calls` adds: `", and the same in 2 more calls"`."""
        more = len(calls) - 1
        return "" if more < 1 else f", and the same in {number_of(more, 'more call', one='one')}"

    def like(self, call: PromptCall) -> list[PromptCall]:
        """Return other answered calls, of this and related runs, with similar work and prompts of similar length."""
        # a longer prompt takes longer to read, so only prompts of similar length tell something about each other
        return [
            candidate
            for trace in (self, *self.related)
            for candidate in trace.calls
            if candidate is not call
            and candidate.work == call.work
            and candidate.answered
            and candidate.prompt_tokens <= 2 * call.prompt_tokens
            and call.prompt_tokens <= 2 * candidate.prompt_tokens
        ]


def ran_together(first: PromptCall, second: PromptCall) -> bool:
    """Return whether two calls of a replay were under way at the same time while they were recorded."""
    if first.recorded_span is None or second.recorded_span is None:
        return False
    (start, end), (since, until) = first.recorded_span, second.recorded_span
    # one that is sent in the moment in which the other ends is the next one
    return min(end, until) - max(start, since) >= _LEAST_COST


def numbers(calls: Iterable[PromptCall]) -> tuple[int, ...]:
    """Return the numbers of the calls."""
    return tuple(call.number for call in calls)

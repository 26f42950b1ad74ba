"""The trace of one run of a test: everything that rules may look at.

It is made of exchanges alone, so the same code finds facts in a recording and in what a run has just measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pytest_claude_latency.diagnosis import attribution, prompt_text
from pytest_claude_latency.diagnosis.breakdown import Breakdown, Part
from pytest_claude_latency.duration import MILLISECOND, Nanoseconds
from pytest_claude_latency.messages_api.answer import read
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.retries import Attempts
from pytest_claude_latency.metrics.timeline import Timeline

_LEAST_COST: Nanoseconds = 50 * MILLISECOND
_LEAST_SHARE = 0.05
_NO_TIME = Breakdown(segments=())


@dataclass(frozen=True)
class PromptCall:
    """One call that makes a message. `number` counts those of its test, from 1."""

    number: int
    attempts: Attempts
    breakdown: Breakdown

    @cached_property
    def timeline(self) -> Timeline:
        """When the parts of its answer came."""
        return Timeline.of(self.attempts)

    @cached_property
    def body(self) -> dict[str, Any]:
        """What it asked, as JSON; empty where it was none."""
        body = self.attempts[0].request.json
        return body if isinstance(body, dict) else {}

    @cached_property
    def blocks(self) -> list[dict[str, Any]]:
        """The content blocks of its answer."""
        return read(self.attempts[-1]).blocks

    @property
    def text(self) -> str:
        """What its answer says."""
        return prompt_text.answer_text(self.blocks)

    @property
    def sent(self) -> Nanoseconds:
        """When it was sent, since the start of the test."""
        return self.timeline.sent

    @property
    def over(self) -> Nanoseconds:
        """When it was over, since the start of the test."""
        return self.sent + self.breakdown.total

    @property
    def output_tokens(self) -> int:
        """Tokens generated; 0 where that is not known."""
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
        """Tokens of the prompt; 0 where that is not known."""
        return self.timeline.prompt_tokens or 0

    @property
    def generating(self) -> Nanoseconds:
        """The time in which its answer came to be; of one that does not stream, all of its time."""
        return self.breakdown.of(Part.ANSWERING, Part.WHOLE)

    @property
    def answered(self) -> bool:
        """Whether it has an answer, and that is whole or cut off by its own limit."""
        timeline = self.timeline
        return bool(timeline.deltas) and timeline.complete is not None and timeline.error is None

    @property
    def is_prose(self) -> bool:
        """Whether its answer is for readers: text, and neither the use of a tool nor in a format made for programs."""
        config = self.body.get("output_config")
        formatted = "output_format" in self.body or (isinstance(config, dict) and config.get("format") is not None)
        kinds = [delta.kind for delta in self.timeline.deltas]
        return not formatted and "input_json" not in kinds and "text" in kinds

    @property
    def thinks(self) -> bool:
        """Whether thinking was asked for, or came unasked."""
        asked = self.body.get("thinking")
        enabled = isinstance(asked, dict) and asked.get("type") not in (None, "disabled")
        return enabled or Part.THINKING in self.breakdown.parts or bool(self.timeline.usage.thinking)

    @cached_property
    def work(self) -> str:
        """What it does: the same for calls that do like work, whatever model does it.

        Calls with one system prompt and the same tools do. Without either, only those with the same messages.
        """
        fields = {name: self.body.get(name) for name in ("system", "tools", "thinking", "output_config")}
        if not fields["system"] and not fields["tools"]:
            fields["messages"] = self.body.get("messages")
        return json.dumps(fields, sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One run of one test: its calls in the order they were sent, and where its time went.

    `related` are other runs to compare with, of this test and of others; `broken` names the metrics whose limits it
    did not keep; `recorded` is the moment it began, as recordings keep it, empty where that is not known.
    """

    nodeid: str = ""
    sample: int = 1
    recorded: str = ""
    calls: tuple[PromptCall, ...] = ()
    breakdown: Breakdown = _NO_TIME
    order: tuple[int | None, ...] = ()
    """For each call of the breakdown's path its number among the prompt calls; None for one that makes no message."""
    related: tuple[Trace, ...] = ()
    broken: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        calls: Sequence[Attempts],
        *,
        nodeid: str = "",
        sample: int = 1,
        recorded: str = "",
        now: Nanoseconds | None = None,
    ) -> Trace:
        """The trace of these calls, those that make no message among them. For `now` see `attribution.of_call`."""
        whole = attribution.of_test(calls, now)
        prompts = [attempts for attempts in calls if is_prompt_call(attempts[0].request)]
        numbers = {id(attempts): number for number, attempts in enumerate(prompts, 1)}
        return cls(
            nodeid=nodeid,
            sample=sample,
            recorded=recorded,
            calls=tuple(
                PromptCall(number, attempts, attribution.of_call(attempts, now))
                for number, attempts in enumerate(prompts, 1)
            ),
            breakdown=whole or _NO_TIME,
            order=tuple(numbers.get(id(attempts)) for attempts in calls),
        )

    def compared_with(self, related: Iterable[Trace], broken: Iterable[str] = ()) -> Trace:
        """The same with other runs to compare with, and the metrics whose limits were broken."""
        return replace(self, related=tuple(related), broken=frozenset(broken))

    def request(self, place: int) -> str:
        """How the step of a path is named that stands at this place, from 1, among all requests."""
        number = self.order[place - 1]
        return "another request" if number is None else f"call {number}"

    def matters(self, cost: Nanoseconds) -> bool:
        """Whether a time is worth speaking of: it can be felt, and is a share of the test."""
        return cost >= max(_LEAST_COST, _LEAST_SHARE * self.breakdown.total)

    def name(self, call: PromptCall) -> str:
        """How a fact names a call: `"call 2 of 3"`, `"the call"` where there is one."""
        return "the call" if len(self.calls) == 1 else f"call {call.number} of {len(self.calls)}"

    def and_others(self, calls: Sequence[PromptCall]) -> str:
        """What a fact about the worst of `calls` adds: `", and 2 more calls likewise"`."""
        more = len(calls) - 1
        return "" if more < 1 else ", and one more call likewise" if more == 1 else f", and {more} more calls likewise"

    def like(self, call: PromptCall) -> list[PromptCall]:
        """Answered calls of this and related runs that do work like `call`'s on prompts of like length; not itself."""
        everywhere = (each for trace in (self, *self.related) for each in trace.calls)
        return [
            each
            for each in everywhere
            if each is not call
            and each.work == call.work
            and each.answered
            and each.prompt_tokens <= 2 * call.prompt_tokens
            and call.prompt_tokens <= 2 * each.prompt_tokens
        ]


def numbers(calls: Iterable[PromptCall]) -> tuple[int, ...]:
    """The numbers of the calls."""
    return tuple(call.number for call in calls)

"""Timelines: when each part of a call's answer arrived, and the metrics that follow.

`Timeline` keeps the raw facts of a call as whole nanoseconds since its first
attempt was sent, and derives every metric from them. `Call` is what users and
reports see of it: simple values, durations as float seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Literal, TypeAlias

from pytest_claude_latency.duration import SECOND, Nanoseconds
from pytest_claude_latency.messages_api.answer import read, succeeded
from pytest_claude_latency.messages_api.answers.content import BlockTime, Delta, Usage
from pytest_claude_latency.messages_api.endpoints import requested_model
from pytest_claude_latency.messages_api.exchange import Exchange
from pytest_claude_latency.printable import printable

Closed: TypeAlias = Literal["client"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The raw facts of one call. Instants are nanoseconds since its first attempt was sent; `sent` is that instant.

    `deltas` are the pieces of content that are not empty; `thinking` is when blocks of thinking began in a stream,
    shown or not. `complete` is when `message_stop`, or the last byte of a body, arrived; `ended` when the answer ended
    otherwise. Both are None while the answer is under way.
    """

    sent: Nanoseconds = 0
    url: str = ""
    model: str | None = None
    attempts: int = 1
    streamed: bool = True
    status: int | None = None
    headers: Nanoseconds | None = None
    deltas: tuple[Delta, ...] = ()
    thinking: tuple[Nanoseconds, ...] = ()
    blocks: tuple[BlockTime, ...] = ()
    complete: Nanoseconds | None = None
    ended: Nanoseconds | None = None
    usage: Usage = field(default_factory=Usage)
    stop_reason: str | None = None
    error: str | None = None
    closed: Closed | None = None

    @classmethod
    def of(cls, attempts: Sequence[Exchange]) -> Timeline:
        """Return the facts in the exchanges of one call, in the order they were sent; the last one is the answer's.

        Raises:
            ValueError: there is no exchange.
        """
        if not attempts:
            raise ValueError("a call has at least one attempt")
        first, last = attempts[0], attempts[-1]
        # Waiting for failed attempts is part of the call, so all instants count from its first attempt.
        since, response, end = last.sent - first.sent, last.response, last.end
        answer = read(last, since)
        # What the application gets to know of a failure: the API's name for it, the exception's, or the status.
        error = answer.error if answer.failed is not None else None
        if answer.failed is None and end is not None and end.error is not None:
            error = end.error
        elif answer.failed is None and response is not None and not succeeded(last):
            error = answer.error or f"HTTP {response.status}"
        ended = answer.failed
        if ended is None and end is not None:
            ended = since + end.at
        return cls(
            sent=first.sent,
            url=first.request.url,
            model=_shown(answer.model or requested_model(first.request)),
            attempts=1 + sum(not exchange.is_redirect for exchange in attempts[:-1]),
            streamed=answer.streamed,
            status=None if response is None else response.status,
            headers=None if response is None else since + response.at,
            deltas=tuple(answer.deltas),
            thinking=tuple(answer.thinking),
            blocks=tuple(answer.block_times),
            complete=answer.complete,
            ended=ended,
            usage=answer.usage,
            stop_reason=_shown(answer.stop_reason),
            error=_shown(error),
            # A program that stops reading after the last event or after an error has read all that there is.
            closed=end.closed if end is not None and answer.complete is None and error is None else None,
        )

    @property
    def ttfb(self) -> Nanoseconds | None:
        """Time to first byte: until the response headers of the answering attempt. None if there were none."""
        return self.headers

    @property
    def ttft(self) -> Nanoseconds | None:
        """Time to first token: until the first content, thinking included. None if no content came.

        A call that does not stream gets its first token together with its last.
        """
        return self.deltas[0].at if self.deltas else None

    @property
    def ttfa(self) -> Nanoseconds | None:
        """Time to first answer token: until the first content that is not thinking. None if none came."""
        return next((delta.at for delta in self.deltas if delta.kind != "thinking"), None)

    @property
    def total(self) -> Nanoseconds | None:
        """Time until the answer was complete, or ended without being so. None while it is under way."""
        return self.complete if self.complete is not None else self.ended

    @property
    def longest_gap(self) -> Nanoseconds | None:
        """The longest time between two consecutive pieces of content. None with fewer than two, or without a stream."""
        return None if (span := self.longest_gap_span) is None else span[1] - span[0]

    @property
    def longest_gap_span(self) -> tuple[Nanoseconds, Nanoseconds] | None:
        """When the longest gap began and ended; of several that are as long, the first."""
        if not self.streamed:
            return None
        # Pings and other events between two deltas do not count: they bring a reader nothing.
        spans = ((earlier.at, later.at) for earlier, later in pairwise(self.deltas))
        return max(spans, key=lambda span: span[1] - span[0], default=None)

    @property
    def tpot(self) -> Nanoseconds | None:
        """Time per output token after the first, to the nanosecond.

        Only tokens that were shown count: hidden thinking is left out. None without a stream, with fewer than two
        tokens, and where the answer ended before their number was known.
        """
        # The first token is not counted: what came before it is the wait that `ttft` measures.
        tokens = self._shown_tokens
        if not self.streamed or tokens is None or tokens < 2 or not self.deltas:
            return None
        return round((self.deltas[-1].at - self.deltas[0].at) / (tokens - 1))

    @property
    def _shown_tokens(self) -> int | None:
        """How many of the output tokens the deltas held; None where that is not known."""
        usage = self.usage
        if usage.output is None or not usage.final:
            return None
        if any(delta.kind == "thinking" for delta in self.deltas):
            return usage.output  # thinking was shown, so its tokens are in the deltas too
        if self.thinking and usage.thinking is None:
            return None  # some tokens were hidden thinking, and older models do not count these apart
        return usage.output - (usage.thinking or 0)

    @property
    def prompt_tokens(self) -> int | None:
        """All tokens of the prompt: uncached, read from the cache and written to it. None if the API gave no number."""
        if self.usage.input is None:
            return None
        return self.usage.input + (self.usage.cache_read or 0) + (self.usage.cache_write or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call as the application saw it.

    Durations are float seconds since its first attempt was sent, None where the metric does not exist; `sent` is the
    offset from the start of the test. `round(seconds * 1e9)` gives back the exact nanoseconds.
    """

    model: str | None
    url: str
    streamed: bool
    status: int | None
    attempts: int
    sent: float
    ttfb: float | None
    ttft: float | None
    ttfa: float | None
    total: float | None
    longest_gap: float | None
    tpot: float | None
    output_tokens_per_second: float | None
    prompt_tokens: int | None
    input_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None
    thinking_tokens: int | None
    stop_reason: str | None
    error: str | None
    closed: Closed | None
    location: str | None = field(default=None, compare=False)
    """The line of the program that made it: `app/llm.py:56 in classify`. Comparisons ignore it."""

    def as_json(self) -> dict[str, str | int | float | bool | None]:
        """Return its fields as JSON values, durations rounded to the microsecond. `Call(**fields)` restores it."""
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}


def measure(attempts: Sequence[Exchange]) -> Call:
    """Return the call that these exchanges make up: its attempts in the order they were sent, the answering one last.

    An exchange that is still under way gives the facts so far.

    Raises:
        ValueError: there is no exchange.
    """
    timeline = Timeline.of(attempts)
    usage = timeline.usage
    return Call(
        model=timeline.model,
        url=timeline.url,
        streamed=timeline.streamed,
        status=timeline.status,
        attempts=timeline.attempts,
        sent=timeline.sent / SECOND,
        ttfb=_seconds(timeline.ttfb),
        ttft=_seconds(timeline.ttft),
        ttfa=_seconds(timeline.ttfa),
        total=_seconds(timeline.total),
        longest_gap=_seconds(timeline.longest_gap),
        tpot=_seconds(timeline.tpot),
        output_tokens_per_second=SECOND / timeline.tpot if timeline.tpot else None,  # all tokens at once have no rate
        prompt_tokens=timeline.prompt_tokens,
        input_tokens=usage.input,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
        output_tokens=usage.output,
        thinking_tokens=usage.thinking,
        stop_reason=timeline.stop_reason,
        error=timeline.error,
        closed=timeline.closed,
    )


def _shown(text: str | None) -> str | None:
    """Return a name that the API gave, as every face of this package may show it."""
    return None if text is None else printable(text)


def _seconds(span: Nanoseconds | None) -> float | None:
    return None if span is None else span / SECOND

"""Answers that no API gave: what a program is answered where there is neither a key nor a recording.

Nothing about them is random. A token is four characters. Times are those that were given, or a profile's usual ones.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, TypeAlias, final

from pytest_claude_latency import duration
from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds
from pytest_claude_latency.errors import LimitError
from pytest_claude_latency.messages_api.endpoints import asks_to_stream, requested_model
from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange, Request, Response
from pytest_claude_latency.messages_api.forms import messages_body
from pytest_claude_latency.messages_api.message import Message, text_block, tool_use_block
from pytest_claude_latency.simulation.profiles import Profiles, shipped
from pytest_claude_latency.simulation.wire_forms import Part, headers_for, stream_of, whole_of

Duration: TypeAlias = str | float | timedelta
ToolUse: TypeAlias = Mapping[str, Mapping[str, Any]] | Sequence[tuple[str, Mapping[str, Any]]]

_CHARACTERS: Final = 4
"""Of a token."""
_PIECE: Final = 3 * _CHARACTERS
"""Characters in one piece of a stream: deltas hold several tokens."""
_BEFORE_CONTENT: Final[Nanoseconds] = 30 * MILLISECOND
"""How long before the first content the headers come."""
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_TOOLS: Final = 'tool_use={"look_up": {"order": 7}}, or a list of pairs for one tool twice'


class NoPaceError(LimitError):
    """Nothing says how long an answer takes."""


@final
@dataclass(frozen=True)
class Answer:
    """An answer that a test makes up: its text, the tools it uses, and how long it takes.

    `Answer("Hello")`, `Answer(tool_use={"look_up": {"order": 7}})`. Without `ttft` and `tokens_per_second` it takes
    as long as the profile of the model says.

    Raises:
        LimitError: an argument is not understood, or the answer is empty.
    """

    text: str = ""
    tool_use: ToolUse = ()
    ttft: Duration | None = None
    tokens_per_second: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise LimitError(f"Answer: {self.text!r} is not a text; accepted: Answer(text), Answer({_TOOLS})")
        pairs = self.tool_use.items() if isinstance(self.tool_use, Mapping) else self.tool_use
        try:
            tools = tuple((name, value) for name, value in pairs)
        except (TypeError, ValueError):
            raise LimitError(f"Answer: tool_use={self.tool_use!r} is not understood; accepted: {_TOOLS}") from None
        for name, value in tools:
            if not isinstance(name, str) or not _TOOL_NAME.fullmatch(name):
                raise LimitError(f"Answer: {name!r} cannot be the name of a tool; accepted: letters, digits, _ and -")
            if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
                raise LimitError(f"Answer: the input of {name} is {value!r}; accepted: a mapping with texts as keys")
            try:
                # As it is sent. Python would write NaN and infinity, which are no JSON.
                json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
            except UnicodeEncodeError as error:
                raise LimitError(f"Answer: the input of {name} {_half_a_pair(error)}") from None
            except (TypeError, ValueError, RecursionError) as error:
                raise LimitError(f"Answer: the input of {name} cannot be JSON: {error}") from None
        try:
            self.text.encode()
        except UnicodeEncodeError as error:
            raise LimitError(f"Answer: its text {_half_a_pair(error)}") from None
        if not self.text and not tools:
            raise LimitError(f"Answer: it is empty; accepted: Answer(text), Answer({_TOOLS})")
        # The value is frozen, and what was given may be an iterator, which can be read only once.
        object.__setattr__(self, "tool_use", tools)
        # Only to refuse it here, at the line that makes the answer.
        Pace.of(self.ttft, self.tokens_per_second, "Answer")

    @property
    def tools(self) -> tuple[tuple[str, Mapping[str, Any]], ...]:
        """The names and inputs of the tools it uses."""
        return tuple(self.tool_use)  # type: ignore[arg-type]  # pairs, since it was made


@dataclass(frozen=True, slots=True)
class Pace:
    """How long an answer takes, as far as that is given."""

    ttft: Nanoseconds | None = None
    tokens_per_second: float | None = None

    @classmethod
    def of(cls, ttft: object, tokens_per_second: object, origin: str) -> Pace:
        """Return the pace that a user gives.

        Raises:
            LimitError: it is not understood.
        """
        try:
            first = None if ttft is None else duration.parse(ttft)
        except LimitError as error:
            raise LimitError(f"ttft: {error}", origin) from None
        speed = tokens_per_second
        if speed is None:
            return cls(first)
        # `True` is an `int`, and would be a token a second.
        if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0 < speed < math.inf:
            raise LimitError(f"tokens_per_second={speed!r} is not understood; accepted: a number above 0", origin)
        return cls(first, float(speed))

    def over(self, other: Pace) -> Pace:
        """Return this pace, with what another says where this one says nothing."""
        return Pace(
            other.ttft if self.ttft is None else self.ttft,
            other.tokens_per_second if self.tokens_per_second is None else self.tokens_per_second,
        )


UNSAID: Final = Pace()


def _half_a_pair(error: UnicodeEncodeError) -> str:
    """Return what is wrong with a text that has no UTF-8, and what is accepted."""
    return (
        f"has {error.object[error.start]!r}, half of a pair of surrogates, which no API can send; accepted: whole "
        "characters"
    )


def tokens_in(text: str) -> int:
    """Return how many tokens a text has, as answers that are made up count them."""
    return math.ceil(len(text) / _CHARACTERS)


def made_up(
    request: Request, answer: Answer, number: int, *, otherwise: Pace = UNSAID, profiles: Profiles | None = None
) -> Exchange:
    """Return the exchange in which a request is answered so, in the form that it asks for.

    `number` tells the answers of a test apart. `otherwise` is the pace of an answer that says nothing about it.

    Raises:
        NoPaceError: the answer does not say how long it takes, and its model has no profile.
    """
    pace = Pace.of(answer.ttft, answer.tokens_per_second, "Answer").over(otherwise)
    message = _message(request, answer, number)
    tokens, prompt = message.usage["output_tokens"], message.usage["input_tokens"]
    profile = (profiles or shipped()).of(message.model)
    if profile is None and (pace.ttft is None or pace.tokens_per_second is None):
        raise NoPaceError(f"{message.model} has no profile; give both, ttft= and tokens_per_second=")
    is_given = pace != UNSAID
    if profile is not None:
        pace = pace.over(Pace(profile.usual_ttft(prompt), profile.tokens_per_second.median))
    assert pace.ttft is not None
    assert pace.tokens_per_second is not None
    sent = Exchange(sent=0, request=replace(request, invocation=None), is_made_up=True)
    if asks_to_stream(request):
        # The first token has come at `ttft`, so the pace is that of the others.
        last = pace.ttft + round(max(tokens - 1, 0) * SECOND / pace.tokens_per_second)
        parts = _timed(stream_of(message, request), pace.ttft, last)
        headers = max(pace.ttft - _BEFORE_CONTENT, 0)
    else:
        last = pace.ttft + round(tokens * SECOND / pace.tokens_per_second)
        if profile is not None and not is_given:
            last = profile.usual_total(tokens, prompt)
        parts, headers = (Chunk(last, whole_of(message, request)),), last
    response = Response(headers, 200, headers_for(request, number))
    return replace(sent, response=response, chunks=parts, end=End(last))


def _message(request: Request, answer: Answer, number: int) -> Message:
    blocks, texts = [], []
    if answer.text:
        blocks.append(text_block(_pieces(answer.text)))
        texts.append(answer.text)
    for place, (name, value) in enumerate(answer.tools, 1):
        text = json.dumps(value, ensure_ascii=False)
        blocks.append(tool_use_block("tool_use", f"toolu_made_up_{number}_{place}", name, _pieces(text)))
        texts.append(text)
    body = messages_body(request)
    # Not escaped: the six characters of an escape would count as more than a token.
    prompt = json.dumps([body.get(key) for key in ("system", "messages", "tools")], ensure_ascii=False)
    usage = {"input_tokens": tokens_in(prompt), "output_tokens": sum(map(tokens_in, texts))}
    return Message(
        id=f"msg_made_up_{number}",
        model=requested_model(request) or "a model that is not named",
        blocks=tuple(blocks),
        stop_reason="tool_use" if answer.tools else "end_turn",
        stop_sequence=None,
        usage=usage | {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0},
    )


def _pieces(text: str) -> list[str]:
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]


def _timed(parts: Sequence[Part], first: Nanoseconds, last: Nanoseconds) -> tuple[Chunk, ...]:
    """Return the parts of a stream as chunks: content from `first` to `last`, evenly, and the rest when it is due."""
    contents = sum(part.is_content for part in parts)
    chunks, seen = [], 0
    for part in parts:
        seen += part.is_content
        at = (
            first + round((last - first) * (seen - 1) / max(contents - 1, 1))
            if seen
            else max(first - _BEFORE_CONTENT, 0)
        )
        # What closes a stream comes with the last token.
        is_closing = seen == contents and not part.is_content
        chunks.append(Chunk(last if is_closing else at, part.data))
    return tuple(chunks)

"""Latencies of Claude models as timetables, drawn from public measurements with a seed.

    server.answers(lambda request: profile("haiku-4.5", seed=7).answer(Text("Your refund is on its way.")))

A profile says how long its model takes; the seed draws one answer from it. The
time to first token is log-normal with the measured median. Deltas hold a few
tokens each and come in bursts, at a speed drawn once per answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final, final

from pytest_claude_latency.duration import MILLISECOND, Nanoseconds
from tests.support.claude_answers import Answer, Timetable
from tests.support.claude_messages import Block, Text, Thinking, ToolUse, Usage, message

CHARACTERS_PER_TOKEN: Final = 4
_WORDS = re.compile(r"\s*\S+\s*$|\s*\S+|\s+")


@dataclass(frozen=True, slots=True)
class Profile:
    """The measured times of one model. `whole`: ms of an answer without a stream, and ms for each of its tokens."""

    model: str
    median_ttft: float  # ms
    sigma: float
    tokens_per_second: tuple[float, float]
    whole: tuple[float, float] | None = None


PROFILES: Final = {
    # headers of 64 streamed answers at 307, 430 and 993 ms (p5, p50, p95); five direct TTFTs of 411-464 ms;
    # 23 answers without a stream fitted by 708 ms + 12.4 ms per output token
    "haiku-4.5": Profile("claude-haiku-4-5", 430, 0.5, (80, 125), whole=(708, 12.4)),
    # headers of nine streamed answers at 893, 1044 and 2997 ms; one TTFT of 1128 ms
    "sonnet-4.5": Profile("claude-sonnet-4-5", 1050, 0.5, (50, 63)),
    # five direct TTFTs around 1519 ms, headers of three streamed answers around 2639 ms
    "opus-4.6": Profile("claude-opus-4-6", 2000, 0.35, (45, 75)),
}


def profile(name: str, seed: int | str) -> Pace:
    """Return the pace of one answer under the profile `name`, always the same for the same seed."""
    return Pace(PROFILES[name], Random(f"{name}/{seed}"))


@final
class Pace:
    """The pace of one answer, drawn once from a profile."""

    def __init__(self, profile: Profile, random: Random) -> None:
        self._profile = profile
        self._random = random
        self._luck = random.lognormvariate(0, profile.sigma)
        self._speed = random.uniform(*profile.tokens_per_second)
        self._first_delta = random.uniform(20, 45)  # ms from the headers to the first delta

    def answer(
        self,
        *blocks: Block,
        prompt_tokens: int = 24,
        cache_read: int = 0,
        cache_write: int = 0,
        model: str | None = None,
    ) -> Answer:
        """Return an answer of these blocks at this pace. Texts given as one delta are cut as the API cuts them."""
        cut = tuple(self._cut(block) for block in blocks)
        tokens = [count_tokens(delta) for block in cut for delta in _texts(block)]
        thinking = [count_tokens(delta) for block in cut if isinstance(block, Thinking) for delta in _texts(block)]
        thought = sum(thinking) if thinking else None
        usage = Usage(prompt_tokens, sum(tokens), cache_read, cache_write, thought)
        answer = message(*cut, timetable=self.timetable(tokens), usage=usage, model=model or self._profile.model)
        if answer.unstreamed is None or self._profile.whole is None:
            return answer
        base, per_token = self._profile.whole
        whole = base * self._luck + per_token * sum(tokens)
        return replace(answer, unstreamed=replace(answer.unstreamed, ttfb=_ns(whole)))

    def timetable(self, tokens: Sequence[int]) -> Timetable:
        """Return the times of deltas with so many tokens: the first at the time to first token, the rest in bursts."""
        ttft = max(self._profile.median_ttft * self._luck, 2 * self._first_delta)
        gaps = [self._first_delta, *self._gaps(tokens[1:])]
        return Timetable(_ns(ttft - self._first_delta), tuple(map(_ns, gaps)), _ns(self._random.uniform(1, 8)))

    def _gaps(self, tokens: Sequence[int]) -> Iterator[float]:
        left = list(tokens)
        while left:
            burst = [left.pop(0) for _ in range(min(len(left), self._random.choice((1, 1, 2, 2, 3))))]
            inside = [self._random.uniform(0.2, 3) for _ in burst[1:]]
            taken = 1000 * sum(burst) / self._speed * self._random.uniform(0.6, 1.4)
            yield max(taken - sum(inside), 0.2)
            yield from inside

    def _cut(self, block: Block) -> Block:
        match block:
            case Text(str(content)):
                return Text(tuple(self._pieces(content)))
            case Thinking(str(content)):
                return replace(block, content=tuple(self._pieces(content)))
            case _:
                return block

    def _pieces(self, content: str) -> Iterator[str]:
        words = _WORDS.findall(content)
        while words:
            size = self._random.randint(1, 5)
            yield "".join(words[:size])
            del words[:size]


def count_tokens(text: str) -> int:
    """Return about how many tokens a text has: one for four characters."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def _texts(block: Block) -> Iterator[str]:
    keys = ("text", "thinking") if not isinstance(block, ToolUse) else ("partial_json",)
    yield from (delta[key] for delta in block.deltas() for key in keys if key in delta)


def _ns(milliseconds: float) -> Nanoseconds:
    return round(milliseconds * MILLISECOND)

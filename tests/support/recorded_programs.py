"""Recordings written by hand, for programs whose calls wait for each other: prompts and times."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import anthropic

from pytest_claude_latency.cassettes.paths import path_of
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange, Request, Response
from tests.support.claude_answers import Answer, status
from tests.support.claude_messages import text

URL = "https://api.anthropic.com/v1/messages"


def calls(*seconds: float) -> list[Exchange]:
    """Return calls that are not streamed; the prompt of each is the number of seconds that its answer takes."""
    return [call(duration) for duration in seconds]


def call(seconds: float, prompt: str | None = None) -> Exchange:
    """Return a call that is not streamed, and whose answer comes after so many seconds."""
    answer = text("Hello", ttfb=seconds).unstreamed
    assert answer is not None
    return exchange(answer, prompt or f"{seconds:g}")


def stream(prompt: str, *arrivals: float) -> Exchange:
    """Return a streamed call: the headers come at the first of these times, and a delta at each later one."""
    gaps = [after - before for before, after in pairwise(arrivals)]
    return exchange(text("|".join("a" * len(gaps)), ttfb=arrivals[0], gaps=gaps), prompt, stream=True)


def refusal(code: int, seconds: float, prompt: str, retry_after: float | None = None) -> Exchange:
    """Return an error of the API, which comes after so many seconds."""
    return exchange(status(code, retry_after=retry_after, ttfb=seconds), prompt)


def exchange(answer: Answer, prompt: str, **more: Any) -> Exchange:
    """Return the exchange as it would have been recorded."""
    body = {
        "max_tokens": 100,
        "messages": [{"role": "user", "content": prompt}],
        "model": "claude-haiku-4-5",
        **more,
    }
    instants = list(accumulate([answer.ttfb, *(part.gap for part in answer.parts)]))
    return Exchange(
        sent=0,
        request=Request("POST", URL, (("anthropic-version", "2023-06-01"),), json.dumps(body).encode()),
        response=Response(answer.ttfb, answer.status or 200, answer.headers),
        chunks=tuple(Chunk(at, part.data) for at, part in zip(instants[1:], answer.parts, strict=True)),
        end=End(instants[-1] + answer.end),
    )


def record(test_file: Path, test: str, exchanges: Iterable[Exchange]) -> None:
    """Write the exchanges as the recording of a test in that file."""
    Recording(
        test=f"{test_file.name}::{test}",
        recorded="2026-11-22T11:30:00.000Z",
        anthropic=anthropic.__version__,
        exchanges=tuple(exchanges),
    ).save(path_of(test_file, "cassettes", test, 1))

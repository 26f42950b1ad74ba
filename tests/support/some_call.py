"""A call as a test needs it: an ordinary streamed one, with the facts that matter replaced."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from pytest_claude_latency.metrics.timeline import Call

_ORDINARY = Call(
    model="claude-haiku-4-5",
    url="https://api.anthropic.com/v1/messages",
    streamed=True,
    status=200,
    attempts=1,
    sent=0.0,
    ttfb=0.31,
    ttft=0.412,
    ttfa=0.412,
    total=2.875,
    longest_gap=0.081,
    tpot=0.0124,
    output_tokens_per_second=1 / 0.0124,
    prompt_tokens=31,
    input_tokens=31,
    cache_read_tokens=0,
    cache_write_tokens=0,
    output_tokens=96,
    thinking_tokens=None,
    stop_reason="end_turn",
    error=None,
    closed=None,
)


def some_call(**facts: Any) -> Call:
    """An ordinary call except for `facts`."""
    return replace(_ORDINARY, **facts)


def spans() -> st.SearchStrategy[float]:
    """Float seconds as calls hold them: a whole number of nanoseconds, divided."""
    return st.integers(0, 10**13).map(lambda span: span / 10**9)


def calls() -> st.SearchStrategy[Call]:
    """Any call, each metric present or not, whether or not they fit each other."""
    span, count, name = st.none() | spans(), st.none() | st.integers(0, 10**6), st.none() | st.text(max_size=9)
    return st.builds(
        Call,
        model=name,
        url=st.text(max_size=9),
        streamed=st.booleans(),
        status=st.none() | st.integers(200, 599),
        attempts=st.integers(1, 3),
        sent=spans(),
        **dict.fromkeys(("ttfb", "ttft", "ttfa", "total", "longest_gap", "tpot"), span),
        output_tokens_per_second=st.none() | st.floats(0, 1e6),
        **dict.fromkeys(("prompt_tokens", "input_tokens", "cache_read_tokens"), count),
        **dict.fromkeys(("cache_write_tokens", "output_tokens", "thinking_tokens"), count),
        stop_reason=name,
        error=name,
        closed=st.sampled_from([None, "client"]),
        location=name,
    )

"""How long a replay takes in which the program waits for an hour in all: under a second.

python benchmarks/hour_of_waiting.py
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import anthropic
from streams import exchange, frames, read, read_async, recording

from pytest_claude_latency import play
from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time.clock import WallClock

CALLS = 30
CHUNKS = 60
GAP = SECOND  # a chunk each second, so an answer takes a minute
PAUSE = 60.0  # seconds the program waits after each answer
TARGET = 1.0

CLOCK = WallClock()


def sync_hour() -> None:
    with anthropic.Anthropic(api_key="none") as client:
        for _ in range(CALLS):
            read(client)
            time.sleep(PAUSE)


def async_hour() -> None:
    async def main() -> None:
        async with anthropic.AsyncAnthropic(api_key="none") as client:
            for _ in range(CALLS):
                await read_async(client)
                await asyncio.sleep(PAUSE)

    asyncio.run(main())


def show(kind: str, program: Callable[[], None]) -> None:
    recorded = recording([exchange(frames(CHUNKS), GAP) for _ in range(CALLS)])
    with play(recorded):  # `time.monotonic` is virtual in here, and CLOCK is real
        before, began = CLOCK.now(), time.monotonic()
        program()
        waited, took = time.monotonic() - began, (CLOCK.now() - before) / SECOND
    verdict = "within" if took < TARGET else "OVER"
    share = f"1 to {waited / took:.0f}"
    print(f"{kind:5}  {waited:7.1f} s of waiting replayed in {took:.3f} s, {share}, {verdict} {TARGET:g} s")


if __name__ == "__main__":
    show("sync", sync_hour)
    show("async", async_hour)

"""Whether the time to save, load and replay a recording grows in line with its size, up to a million chunks.

python benchmarks/big_recording.py
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable
from pathlib import Path

import anthropic
from streams import ASK, exchange, frames, recording

from pytest_claude_latency import Recording, play
from pytest_claude_latency.duration import MICROSECOND, MILLISECOND
from pytest_claude_latency.virtual_time.clock import WallClock

SIZES = (10_000, 100_000, 1_000_000)
STEPS = ("save", "load", "replay", "measure")

CLOCK = WallClock()


def timed(work: Callable[[], object]) -> int:
    gc.collect()
    before = CLOCK.now()
    work()
    return CLOCK.now() - before


def costs(size: int, folder: Path) -> list[float]:
    """Return the microseconds per chunk that each of `STEPS` takes."""
    path = folder / f"{size}.jsonl"
    invented = recording([exchange(frames(size), 2 * MILLISECOND)])
    saving = timed(lambda: invented.save(path))
    loading = timed(lambda: Recording.load(path))
    with play(Recording.load(path)) as measured:
        replaying = timed(read)
        measuring = timed(lambda: measured.calls)
    return [cost / size / MICROSECOND for cost in (saving, loading, replaying, measuring)]


def read() -> None:
    """Go through the events of the stream and do no more: how the SDK joins the texts is not measured here."""
    with anthropic.Anthropic(api_key="none") as client, client.messages.create(**ASK, stream=True) as stream:
        for _ in stream:
            pass


if __name__ == "__main__":
    print(f"{'µs per chunk':>14}  " + "  ".join(f"{step:>8}" for step in STEPS))
    table = []
    with tempfile.TemporaryDirectory() as folder:
        costs(SIZES[0], Path(folder))  # a first run, which pays for imports and caches
        for size in SIZES:
            table.append(costs(size, Path(folder)))
            print(f"{size:>14,}  " + "  ".join(f"{cost:8.2f}" for cost in table[-1]))
    growth = "  ".join(f"{last / middle:8.2f}" for middle, last in zip(table[-2], table[-1], strict=True))
    print(f"{'growth':>14}  {growth}    from {SIZES[-2]:,} to {SIZES[-1]:,} chunks; linear is 1")

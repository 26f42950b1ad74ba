"""Whether what a recording costs grows in line with its size, up to a million chunks: time for each chunk, and memory.

Each size has a process of its own, which saves, loads, replays and measures one recording. Times are processor time, so
that other work of the machine counts for little. A million chunks take some minutes.

    python benchmarks/big_recording.py [LARGEST]
"""

from __future__ import annotations

import gc
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time_ns  # nothing here waits for real

import anthropic
from streams import ASK, exchange, frames, recording

from pytest_claude_latency import Recording, play
from pytest_claude_latency.duration import MICROSECOND, MILLISECOND

SIZES = (1_000, 10_000, 100_000, 1_000_000)
STEPS = ("save", "load", "replay", "measure")
CHUNKS_AT_LEAST = 10_000
"""How many chunks a step takes together: small recordings are saved, loaded and replayed so often. The least counts."""
TARGET = 1.3


def timed(work: Callable[[], object]) -> int:
    gc.collect()
    before = process_time_ns()
    work()
    return process_time_ns() - before


def costs(size: int, folder: Path) -> list[float]:
    """Return the microseconds per chunk that each of `STEPS` takes, and the bytes per chunk that all of them need."""
    path = folder / "recording.jsonl"
    invented = recording([exchange(frames(size), 2 * MILLISECOND)])
    began = peak()
    times = []
    for _ in range(max(1, CHUNKS_AT_LEAST // size)):
        saving = timed(lambda: invented.save(path))
        loading = timed(lambda: Recording.load(path))
        with play(Recording.load(path)) as measured:
            replaying = timed(read)
            measuring = timed(lambda: measured.calls)
        times.append((saving, loading, replaying, measuring))
    least = [min(each) / size / MICROSECOND for each in zip(*times, strict=True)]
    return [*least, (peak() - began) / size]


def peak() -> int:
    """Return the most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def read() -> None:
    """Go through the events of the stream and do no more: how the SDK joins the texts is not measured here."""
    with anthropic.Anthropic(api_key="none") as client, client.messages.create(**ASK, stream=True) as stream:
        for _ in stream:
            pass


def in_a_process(size: int) -> list[float]:
    command = [sys.executable, __file__, "--one", str(size)]
    found: list[float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def main(largest: int) -> None:
    print(f"{'µs per chunk':>14}  " + "  ".join(f"{step:>8}" for step in STEPS) + "  bytes per chunk")
    table = {}
    for size in SIZES:
        if size <= largest:
            table[size] = in_a_process(size)
            print(
                f"{size:>14,}  "
                + "  ".join(f"{cost:8.2f}" for cost in table[size][:-1])
                + f"  {table[size][-1]:15,.0f}"
            )
    first, last = table[10_000], table[max(table)]
    growth = [late / early for early, late in zip(first[:-1], last[:-1], strict=True)]
    verdict = "within" if max(growth) <= TARGET else "OVER"
    print(f"{'growth':>14}  " + "  ".join(f"{each:8.2f}" for each in growth) + f"  from 10,000 on, {verdict} {TARGET}")


if __name__ == "__main__":
    if "--one" in sys.argv:
        with tempfile.TemporaryDirectory() as folder:
            costs(CHUNKS_AT_LEAST, Path(folder))  # pays for imports and caches
            print(json.dumps(costs(int(sys.argv[-1]), Path(folder))))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else SIZES[-1])

"""What idle threads cost: the replay of a stream of 200 chunks beside threads that are older than the test.

Each kind of thread rests somewhere else. The ratio compares with the same replay in a process without other threads.

Whether a thread in C code (`accept`, a plain lock) has run since it was last seen is one question to the kernel, which
adds up all threads for the answer. With a thousand of them it takes 25 to 70 µs, once for each chunk: OVER.

    python benchmarks/idle_threads.py
"""

from __future__ import annotations

import _thread
import socket
import sys
import threading
import time
from collections.abc import Callable
from statistics import median
from subprocess import run
from time import process_time_ns

import anthropic
from streams import exchange, frames, read, recording

from pytest_claude_latency import play, virtual_time
from pytest_claude_latency.duration import MICROSECOND, MILLISECOND

CHUNKS = 200
STREAMS = 40
COUNTS = (0, 50, 1000)
TARGET = 1.5

LISTENER = socket.create_server(("127.0.0.1", 0))


def wait_on_a_lock() -> None:
    lock = _thread.allocate_lock()
    lock.acquire()
    lock.acquire()


KINDS: dict[str, Callable[[], object]] = {
    "event": lambda: threading.Event().wait(),
    "sleep": lambda: time.sleep(1_000_000),
    "accept": LISTENER.accept,
    "lock": wait_on_a_lock,
}


def measure(kind: str, count: int) -> None:
    """Print how many microseconds of processor time one stream costs in this process."""
    virtual_time.install()  # as the plugin does before it loads a test
    for _ in range(count):
        threading.Thread(target=KINDS[kind], daemon=True).start()
    time.sleep(0.2)  # until all have come to rest
    body = frames(CHUNKS)
    costs = []
    with (
        play(recording([exchange(body, 20 * MILLISECOND)] * (STREAMS + 1))),
        anthropic.Anthropic(api_key="none") as client,
    ):
        for _ in range(STREAMS + 1):
            before = process_time_ns()
            read(client)
            costs.append(process_time_ns() - before)
    print(round(median(costs[1:]) / MICROSECOND))  # the first one builds and imports


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1], int(sys.argv[2]))
    else:
        for kind in KINDS:
            costs = []
            for count in COUNTS:
                output = run([sys.executable, __file__, kind, str(count)], check=True, capture_output=True).stdout
                costs.append(int(output))
                ratio = costs[-1] / costs[0]
                verdict = "within" if ratio <= TARGET else "OVER"
                print(f"{kind:7} {count:5} idle threads  {costs[-1]:8} µs   ratio {ratio:.2f}, {verdict} {TARGET:.2f}")

"""What a latency test costs: a replayed call of one test, beside the same test on the SDK with a mock transport.

Also whether collecting a test costs more where a module has many. All is processor time, of which the least counts, or
the lowest tenth where there are hundreds: other work of the machine can only add time.

    python benchmarks/test_cost.py             # a test beside a mock transport
    python benchmarks/test_cost.py --collect   # to collect 10,000 tests, beside 100
    python benchmarks/test_cost.py --memory    # the largest process of a run of 10,000 tests with two workers
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path
from statistics import median

from suites import costs_of_pairs, pytest_seconds, write_recorded

from pytest_claude_latency.duration import MILLISECOND

PAIRS = 400
FIRST = 20
"""So many tests of each kind come first and do not count: they import, and fill caches."""
TARGET = 1.5


CLIENTS = {
    "one": "one client for all tests",
    "own": "a client for each test, on the mock transport without a context of ssl",
    "programs": "a client for each test, made as the program does",
}


def cost_of_a_test(clients: str) -> None:
    """Compare what pytest spends on a test of each kind, from its set-up to the reports of its teardown.

    Both kinds take turns in one run, so that what else the machine does falls on both alike.
    """
    with tempfile.TemporaryDirectory() as name:
        costs = costs_of_pairs(Path(name), PAIRS, clients)
    kinds = [sorted(costs[kind][FIRST:]) for kind in ("mocked", "recorded")]
    mocked, recorded = (kind[len(kind) // 10] / MILLISECOND for kind in kinds)
    verdict = "within" if recorded / mocked <= TARGET else "OVER"
    print(
        f"{CLIENTS[clients]}: a test on a mock transport {mocked:.2f} ms, a latency test {recorded:.2f} ms: "
        f"ratio {recorded / mocked:.2f} (of the medians {median(kinds[1]) / median(kinds[0]):.2f}), {verdict} {TARGET}"
    )


def collection() -> None:
    """Compare what it costs to collect one of 100 tests, and one of 10,000."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        modules = [write_recorded(folder, tests) for tests in (1, 100, 10_000)]
        rounds = [[pytest_seconds(module, "--collect-only", "-qq") for module in modules] for _ in range(3)]
    one, few, many = (min(column) * 1000 for column in zip(*rounds, strict=True))
    small, large = (few - one) / 99, (many - one) / 9_999
    print(f"one of 100 tests {small:.3f} ms, one of 10,000 {large:.3f} ms: ratio {large / small:.2f}, at most 1.3")


def memory() -> None:
    """Print how much memory the largest process of a large run needs.

    The tests lie in many modules: to compile one of 10,000 tests, pytest itself needs over 500 MB.
    """
    with tempfile.TemporaryDirectory() as name:
        for number in range(100):
            write_recorded(Path(name), 100, str(number))
        pytest_seconds(Path(name), "-p", "xdist", "-n", "2")
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    print(f"10,000 recorded tests with two workers: the largest process needs {most:.0f} MB, at most 300")


if __name__ == "__main__":
    if "--collect" in sys.argv:
        collection()
    elif "--memory" in sys.argv:
        memory()
    else:
        for clients in CLIENTS:
            cost_of_a_test(clients)

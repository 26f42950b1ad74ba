"""What a latency test costs: a replayed call of one test, beside the same test on the SDK with a mock transport.

Also whether collecting a test costs more where a module has many. Processor time of whole runs, in turn, of which the
least counts: other work of the machine can only add time.

    python benchmarks/test_cost.py             # a test beside a mock transport
    python benchmarks/test_cost.py --collect   # to collect 10,000 tests, beside 100
    python benchmarks/test_cost.py --memory    # the largest process of a run of 10,000 tests with two workers
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

from suites import pytest_seconds, write_mocked, write_recorded

FEW, MANY = 20, 220
ROUNDS = 5
TARGET = 1.5


def cost_of_a_test(*, one_client: bool) -> None:
    """Compare what each further test costs: the start of a run, and the imports of the SDK, are in both.

    A client that a latency test makes has a transport of its own too, with a context of `ssl`, and that on the mock
    transport has none. With one client for all tests both sides are alike.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        modules = [
            write(folder, tests, one_client=one_client)
            for write in (write_mocked, write_recorded)
            for tests in (FEW, MANY)
        ]
        rounds = [[pytest_seconds(module) for module in modules] for _ in range(ROUNDS)]
    least = [min(column) * 1000 for column in zip(*rounds, strict=True)]
    mocked, recorded = ((many - few) / (MANY - FEW) for few, many in (least[:2], least[2:]))
    verdict = "within" if recorded / mocked <= TARGET else "OVER"
    clients = "one client for all" if one_client else "a client for each test"
    print(
        f"{clients}: a test on a mock transport {mocked:.2f} ms, a latency test {recorded:.2f} ms: "
        f"ratio {recorded / mocked:.2f}, {verdict} {TARGET}"
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
        cost_of_a_test(one_client=False)
        cost_of_a_test(one_client=True)

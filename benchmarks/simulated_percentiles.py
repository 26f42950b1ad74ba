"""How often the interval of a simulated percentile holds the true one, from 20 recorded samples.

Each repetition records 20 samples of a simulated API, redraws 1,000 worlds from them, and looks whether the interval
that a simulation would state (95 %, by the number of donors) holds the true percentile. The last column adds three such
calls up, each with 20 samples of its own.

    python benchmarks/simulated_percentiles.py
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from random import Random

from pytest_claude_latency.metrics.percentiles import percentile, rank_interval

SAMPLES = 20
WORLDS = 1000
REPETITIONS = 400

APIS: dict[str, Callable[[Random], float]] = {
    "log-normal, 40 %": lambda random: random.lognormvariate(0, 0.4),
    "log-normal, heavy": lambda random: random.lognormvariate(0, 0.8),
    "two speeds": lambda random: random.lognormvariate(0, 0.1) * (3 if random.random() < 0.2 else 1),
    "one stall in ten": lambda random: random.lognormvariate(0, 0.2) + (10 if random.random() < 0.1 else 0),
}


def coverage(draw: Callable[[Random], float], share: Fraction, calls: int, random: Random) -> float:
    """Return in which share of the repetitions the interval held the true percentile of the sum of the calls."""
    true = percentile([sum(draw(random) for _ in range(calls)) for _ in range(100_000)], share)
    held = 0
    bounds = rank_interval(SAMPLES, share)
    for _ in range(REPETITIONS):
        donors = [[draw(random) for _ in range(SAMPLES)] for _ in range(calls)]
        worlds = [sum(random.choice(lenders) for lenders in donors) for _ in range(WORLDS)]
        low, high = (None if bound is None else percentile(worlds, bound) for bound in bounds)
        held += (low if low is not None else 0) <= true <= (high if high is not None else math.inf)
    return held / REPETITIONS


def main() -> None:
    random = Random(1)
    print(f"{'':<20}{'p50':>8}{'p95':>8}{'p50 of 3':>10}{'p95 of 3':>10}")
    for name, draw in APIS.items():
        found = [
            coverage(draw, share, calls, random) for calls in (1, 3) for share in (Fraction(1, 2), Fraction(19, 20))
        ]
        print(f"{name:<20}{found[0]:>8.1%}{found[1]:>8.1%}{found[2]:>10.1%}{found[3]:>10.1%}")


if __name__ == "__main__":
    main()

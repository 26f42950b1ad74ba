"""How often a rule that finds regressions raises a false alarm, and how often it finds a real one.

Suites of tests are simulated many times. Each suite is measured twice, and each rule says which tests became slower: in
a suite where nothing changed (false alarms), and in one where one test in twenty takes longer (power). The figures are
the same on every machine.

    python benchmarks/false_alarms.py --samples=10 --runs=100
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random
from statistics import mean, median

from pytest_claude_latency.comparison import mann_whitney
from pytest_claude_latency.comparison.exact import MEASURED
from pytest_claude_latency.comparison.statistical import Pair, judge_all
from pytest_claude_latency.duration import MILLISECOND

TESTS = 200
SLOWED = 10  # of these tests, where something changed
FACTORS = (1.25, 1.5, 2.0)
DRIFT = 0.10  # standard deviation of the logarithm of a session's speed; it changes half as much from sample to sample
APPLICATION = 20 * MILLISECOND
# for each model: the median time to first token in milliseconds, and the tokens per second
MODELS = ((430, 100), (1050, 57), (2000, 60))


@dataclass(frozen=True)
class Shape:
    """How the samples of one test vary: as a log-normal distribution, in which a share of the samples is stalled."""

    name: str
    sigma: float
    stalled: float

    def factor(self, random: Random) -> float:
        stall = random.uniform(2, 10) if random.random() < self.stalled else 1.0
        return random.lognormvariate(0, self.sigma) * stall


@dataclass(frozen=True)
class Session:
    """When the two sides were measured, which decides how much drift they share."""

    name: str
    drift: float = 0.0
    interleaved: bool = False

    def speeds(self, random: Random, samples: int) -> tuple[list[float], list[float]]:
        """Return the speed of the API at each sample, before and after."""
        before, after = self._session(random, samples), self._session(random, samples)
        return (before, before) if self.interleaved else (before, after)

    def _session(self, random: Random, samples: int) -> list[float]:
        session = random.lognormvariate(0, self.drift)
        return [session * random.lognormvariate(0, self.drift / 2) for _ in range(samples)]


SHAPES = (Shape("log-normal", 0.4, 0.0), Shape("spiky", 0.15, 0.05))
SESSIONS = (Session("no drift"), Session("drift", DRIFT), Session("drift, interleaved", DRIFT, interleaved=True))


def run(random: Random, shape: Shape, session: Session, samples: int, slowed: float) -> list[Pair]:
    """Measure one suite before and after a change that slows its first tests by the factor `slowed`."""
    before, after = session.speeds(random, samples)
    pairs = []
    for number in range(TESTS):
        ttft, rate = random.choice(MODELS)
        tokens = random.randint(20, 300)
        plan = (ttft * MILLISECOND, tokens / rate * 1000 * MILLISECOND)
        factor = slowed if number < SLOWED else 1.0
        old = [sample(random, shape, plan, speed) for speed in before]
        new = [sample(random, shape, plan, speed * factor) for speed in after]
        for metric, was, now in zip(MEASURED, zip(*old, strict=True), zip(*new, strict=True), strict=True):
            pairs.append(Pair(f"test_{number}", metric, was, now))
    return pairs


def sample(random: Random, shape: Shape, plan: tuple[float, float], speed: float) -> tuple[int, int, int]:
    """Return the time to the first token, to the last, and of the whole test, in nanoseconds."""
    first, rest = plan
    ttft = round(first * speed * shape.factor(random))
    total = ttft + round(rest * speed * random.lognormvariate(0, shape.sigma / 2))
    return ttft, total, total + APPLICATION


# ── rules: each returns the tests that it calls slower ──


def shipped(pairs: Sequence[Pair]) -> set[str]:
    return {comparison.nodeid for comparison in judge_all(pairs) if comparison.verdict == "regression"}


def by_mean(pairs: Sequence[Pair]) -> set[str]:
    return {pair.nodeid for pair in pairs if mean(pair.after) > 1.10 * mean(pair.before)}


def by_median(pairs: Sequence[Pair]) -> set[str]:
    return {pair.nodeid for pair in pairs if median(pair.after) > 1.10 * median(pair.before)}


def by_plain_ranks(pairs: Sequence[Pair]) -> set[str]:
    return {pair.nodeid for pair in pairs if mann_whitney.larger(pair.before, pair.after) < 0.05}


RULES: Mapping[str, Callable[[Sequence[Pair]], set[str]]] = {
    "shipped": shipped,
    "plain Mann-Whitney": by_plain_ranks,
    "median +10 %": by_median,
    "mean +10 %": by_mean,
}


# ── the table ──


def figures(shape: Shape, session: Session, samples: int, runs: int) -> dict[str, list[float]]:
    """Return three kinds of shares for each rule.

    Of the tests without a change, those it calls slower; of the runs without a change, those it fails; and for each
    factor, the changes it finds.
    """
    rows: dict[str, list[float]] = {rule: [] for rule in RULES}
    for factor in (1.0, *FACTORS):
        called: dict[str, list[set[str]]] = {rule: [] for rule in RULES}
        for number in range(runs if factor == 1 else -(-runs // 4)):  # fewer do, where one run gives ten answers
            pairs = run(Random(f"{shape.name} {session.name} {factor} {number}"), shape, session, samples, factor)
            for rule, calls in RULES.items():
                called[rule].append(calls(pairs))
        for rule, sets in called.items():
            rows[rule] += shares(sets) if factor == 1 else [power(sets)]
    return rows


def shares(called: Sequence[set[str]]) -> list[float]:
    return [mean(len(tests) / TESTS for tests in called), mean(bool(tests) for tests in called)]


def power(called: Sequence[set[str]]) -> float:
    slowed = {f"test_{number}" for number in range(SLOWED)}
    return mean(len(tests & slowed) / SLOWED for tests in called)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10, help="samples of each test, before and after")
    parser.add_argument(
        "--runs", type=int, default=100, help="runs of each suite without changes; a quarter as many with changes"
    )
    chosen = parser.parse_args()
    changes = " | ".join(f"finds ×{factor:g}" for factor in FACTORS)  # noqa: RUF001 - a factor, not a letter
    print(f"| samples | sessions | rule | tests called wrongly | runs red wrongly | {changes} |")
    print("|---|---|---|--:|--:|--:|--:|--:|")
    for shape, session in product(SHAPES, SESSIONS):
        for rule, row in figures(shape, session, chosen.samples, chosen.runs).items():
            shown = " | ".join(f"{100 * value:.1f} %" if value < 0.1 else f"{100 * value:.0f} %" for value in row)
            print(f"| {shape.name} | {session.name} | {rule} | {shown} |", flush=True)


if __name__ == "__main__":
    main()

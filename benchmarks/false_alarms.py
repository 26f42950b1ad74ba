"""How often a rule for regressions is wrong, and how often it finds one: suites simulated many times over.

Each suite is measured twice, and each rule says which tests became slower: in a suite where nothing changed (false
alarms), and in one where one test in twenty takes longer (power). The figures are the same on every machine.

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
DRIFT = 0.10  # standard deviation of the log of a session's speed, and of its wandering
APPLICATION = 20 * MILLISECOND
# a model's median time to first token in milliseconds, and its tokens per second
MODELS = ((430, 100), (1050, 57), (2000, 60))


@dataclass(frozen=True)
class Shape:
    """How samples of one test scatter: a log-normal, of which some are stalled."""

    name: str
    sigma: float
    stalled: float

    def factor(self, random: Random) -> float:
        stall = random.uniform(2, 10) if random.random() < self.stalled else 1.0
        return random.lognormvariate(0, self.sigma) * stall


@dataclass(frozen=True)
class Session:
    """When the two sides were measured, and so which drift they share."""

    name: str
    drift: float = 0.0
    interleaved: bool = False

    def speeds(self, random: Random, samples: int) -> tuple[list[float], list[float]]:
        """The API's speed at each sample, before and after."""
        before, after = self._session(random, samples), self._session(random, samples)
        return (before, before) if self.interleaved else (before, after)

    def _session(self, random: Random, samples: int) -> list[float]:
        session = random.lognormvariate(0, self.drift)
        return [session * random.lognormvariate(0, self.drift / 2) for _ in range(samples)]


SHAPES = (Shape("log-normal", 0.4, 0.0), Shape("spiky", 0.15, 0.05))
SESSIONS = (Session("no drift"), Session("drift", DRIFT), Session("drift, interleaved", DRIFT, interleaved=True))


def run(random: Random, shape: Shape, session: Session, samples: int, slowed: float) -> list[Pair]:
    """One suite measured before and after; its first tests are slower by the factor `slowed` after."""
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
    """The time to the first token, to the last, and the test's own, in nanoseconds."""
    first, rest = plan
    ttft = round(first * speed * shape.factor(random))
    total = ttft + round(rest * speed * random.lognormvariate(0, shape.sigma / 2))
    return ttft, total, total + APPLICATION


# ── rules: which tests became slower ──


def shipped(pairs: Sequence[Pair]) -> set[str]:
    return {found.nodeid for found in judge_all(pairs) if found.verdict == "regression"}


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
    """For each rule: of tests without change the share it calls slower, of runs of these it fails; of changes found."""
    found: dict[str, list[float]] = {rule: [] for rule in RULES}
    for factor in (1.0, *FACTORS):
        called: dict[str, list[set[str]]] = {rule: [] for rule in RULES}
        for number in range(runs if factor == 1 else -(-runs // 4)):  # where a run gives ten answers, fewer do
            pairs = run(Random(f"{shape.name} {session.name} {factor} {number}"), shape, session, samples, factor)
            for rule, calls in RULES.items():
                called[rule].append(calls(pairs))
        for rule, sets in called.items():
            found[rule] += shares(sets) if factor == 1 else [power(sets)]
    return found


def shares(called: Sequence[set[str]]) -> list[float]:
    return [mean(len(tests) / TESTS for tests in called), mean(bool(tests) for tests in called)]


def power(called: Sequence[set[str]]) -> float:
    slowed = {f"test_{number}" for number in range(SLOWED)}
    return mean(len(tests & slowed) / SLOWED for tests in called)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10, help="of each test, before and after")
    parser.add_argument(
        "--runs", type=int, default=100, help="of each suite without changes; a quarter of it with some"
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

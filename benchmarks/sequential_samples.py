"""How often `--latency-samples=auto:N` gives a wrong verdict on a percentile, and how many samples it takes.

Tests are simulated whose calls are over the limit with a given chance. Each is sampled until there is a verdict, by two
rules: the shipped one, and the exact binomial test at 5 % after every sample. The third rule takes all N samples and
judges once. The figures are the same on every machine.

    python benchmarks/sequential_samples.py --most=200 --tests=2000
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from statistics import mean

from pytest_claude_latency.metrics.percentiles import ONCE, Levels, Standing, standing
from pytest_claude_latency.metrics.sequential import levels_for

P50, P95 = Fraction(1, 2), Fraction(19, 20)
# Of each percentile: how many calls in all are over the limit. The middle one is the promise itself, where "kept" and
# "broken" are both wrong.
CHANCES: Mapping[Fraction, tuple[float, ...]] = {P50: (0.2, 0.35, 0.5, 0.65, 0.8), P95: (0.0, 0.01, 0.05, 0.1, 0.2)}


@dataclass(frozen=True)
class Outcome:
    """The verdict on one test, and how many samples it took."""

    verdict: Standing
    samples: int


def sampled(random: Random, chance: float, most: int, judge: Callable[[int, int], Standing], *, once: bool) -> Outcome:
    """Take samples, each over the limit with this chance, until there is a verdict; with `once`, all of them."""
    over = 0
    for number in range(1, most + 1):
        over += random.random() < chance
        if once and number < most:
            continue
        verdict = judge(over, number)
        if verdict != "inconclusive":
            return Outcome(verdict, number)
    return Outcome("inconclusive", most)


def rules(most: int, share: Fraction) -> dict[str, tuple[Levels, bool]]:
    """Return the levels of each rule, and whether it judges once."""
    return {
        f"auto:{most}": (levels_for(most, share), False),
        "5 % after each sample": (ONCE, False),
        f"{most} samples": (ONCE, True),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=200, help="the most samples of a test")
    parser.add_argument("--tests", type=int, default=2000, help="how many tests are simulated for each figure")
    given = parser.parse_args()
    print("| percentile | over the limit | rule | kept | broken | inconclusive | samples |")
    print("|---|--:|---|--:|--:|--:|--:|")
    for share, chances in CHANCES.items():
        for chance in chances:
            for rule, (levels, once) in rules(given.most, share).items():
                random, known = Random(f"{share} {chance}"), dict[tuple[int, int], Standing]()

                def judge(
                    over: int,
                    number: int,
                    share: Fraction = share,
                    levels: Levels = levels,
                    known: dict[tuple[int, int], Standing] = known,
                ) -> Standing:
                    if (over, number) not in known:
                        known[over, number] = standing(over, number, share, levels)
                    return known[over, number]

                outcomes = [sampled(random, chance, given.most, judge, once=once) for _ in range(given.tests)]
                shares = [
                    f"{100 * mean(outcome.verdict == verdict for outcome in outcomes):.1f} %"
                    for verdict in ("kept", "broken", "inconclusive")
                ]
                taken = round(mean(outcome.samples for outcome in outcomes))
                name = f"p{float(share) * 100:g}"
                print(f"| {name} | {100 * chance:g} % | {rule} | {' | '.join(shares)} | {taken} |")


if __name__ == "__main__":
    main()

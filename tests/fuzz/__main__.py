"""Read damaged files, run odd commands and whole suites, and print what did not end in an error of our own.

python -m tests.fuzz [--files N] [--commands N] [--runs N] [--wires N] [--seed N] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.attack import LOADING, SLOWEST, Attack
from tests.fuzz.runs import Runs
from tests.support.claude_server import ClaudeServer

A_WORD_EVERY = 30
"""After how many seconds it says again how far it is."""
MEMORY = 200_000_000
"""How many bytes the whole run may need beyond what it has at its beginning."""


def main() -> None:
    """Attack, and exit with 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--commands", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=500, help="of pytest, over damaged recordings")
    parser.add_argument("--wires", type=int, default=500, help="runs that record what a server sends, and replay it")
    parser.add_argument("--seed", type=int, help="makes a run again; another one each time, if none is given")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where to leave the files that found something")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    keep = options.keep.resolve() if options.keep else None
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # a command without a place would read this one
        attack = Attack(keep or Path(folder), random.Random(seed), slowest=LOADING)
        for number in range(200):  # until everything is loaded
            (attack.command if number % 2 else attack.file)()
        attack.slowest = SLOWEST
        before = _most_memory()
        for kind, count in (("file", options.files), ("command", options.commands)):
            told = time.monotonic()
            for number in range(1, count + 1):
                getattr(attack, kind)()
                if number == count or time.monotonic() - told >= A_WORD_EVERY:
                    told = time.monotonic()
                    print(f"{number:,} {kind}s, seed {seed}: {len(attack.faults)} faults so far", flush=True)
        _attack_runs(attack, options.runs, options.wires, seed)
    if (used := _most_memory() - before) > MEMORY:
        attack.faults.append(f"the run needed {used / 1e6:.0f} MB more than at its beginning")
    print(*attack.faults, f"{used / 1e6:.0f} MB", sep="\n\n")
    sys.exit(1 if attack.faults else 0)


def _attack_runs(attack: Attack, runs: int, wires: int, seed: int) -> None:
    """Run a suite again and again, and keep the recordings of each run that found something."""
    with ClaudeServer() as server:
        suite = Runs(attack.folder / "suite", random.Random(seed), server)
        for kind, count, act in (("run", runs, suite.recordings), ("wire", wires, suite.wire)):
            for number in range(1, count + 1):
                for fault in act():
                    attack.note(fault, *suite.files())
                if number == count or number % 20 == 0:
                    print(f"{number:,} {kind}s, seed {seed}: {len(attack.faults)} faults so far", flush=True)


def _most_memory() -> int:
    """Return the most bytes that this process has held at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()

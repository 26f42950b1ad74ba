"""Whether concurrent programs end at the same instant wherever the machine switches between their threads.

A switch is forced at one step of virtual time after the other. The test suite tries a few steps of each program. This
tries all of them, which takes a few minutes for each program.

    PYTHONPATH=. python benchmarks/forced_switches.py --stride=1 a_pool_of_two an_old_loop

As a plugin of pytest it lets each step of any tests give way to the other threads, which takes five times as long:

    PYTHONPATH=. python -m pytest -p benchmarks.forced_switches tests/virtual_time tests/programs
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
from collections.abc import Generator

import pytest

from pytest_claude_latency.virtual_time.watch import watchdog
from tests.support.forced_switches import EveryStep, switching
from tests.support.virtual_time_programs import PROGRAMS, Program

HANGS_AFTER = 60  # seconds
SHORT = 0.00002  # seconds: long enough for another thread to get the interpreter


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Run a test with a switch of threads at each step."""
    with switching(EveryStep(), pause=SHORT):
        return (yield)


def wrong_ends(program: Program, stride: int, watched: bool) -> tuple[int, dict[int, float | str]]:
    """Return how many steps the program takes, and its end for each step where a switch made that end wrong."""
    if not watched:
        watchdog.WatchDog.start = lambda self: None  # type: ignore[method-assign]  # nothing corrects a wrong count then
    with switching((), library=True) as switches:
        program.run()
    wrong: dict[int, float | str] = {}
    for step in range(1, switches.steps, stride):
        faulthandler.dump_traceback_later(HANGS_AFTER, exit=True)
        try:
            with switching((step,), library=True):
                end: float | str = program.run()
        except Exception as error:
            end = repr(error)
        if end != program.ends:
            wrong[step] = end
    faulthandler.cancel_dump_traceback_later()
    return switches.steps, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", help="names of the programs to run; all, if no name is given")
    parser.add_argument("--stride", type=int, default=1, help="the distance from one step that is tried to the next")
    parser.add_argument("--watched", action="store_true", help="let the watchdog run")
    options = parser.parse_args()
    failed = False
    for program in PROGRAMS:
        if not options.programs or program.name in options.programs:
            steps, wrong = wrong_ends(program, options.stride, options.watched)
            failed = failed or bool(wrong)
            print(f"{program.name:<45} {steps:>5} steps  {wrong or 'right at every step'}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()

"""Run CPython's tests twice, on the machine's clock and within a world, and name those that only the machine passes.

python -m tests.cpython [--keep FOLDER] [SUITE …]
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from tests.cpython import suites
from tests.cpython.exceptions import exempt
from tests.cpython.suites import Ending

MISSING = Ending("missing", "the run ended before this test")


def compare(suite: str, folder: Path) -> bool:
    """Run one suite, print what came out, and return whether it is as it should be."""
    plain = suites.run(suite, folder / f"{suite}.plain", in_a_world=False)
    passing = [test for test, ending in plain.items() if ending.outcome == "passed"]
    tried = [test for test in passing if _is_tried(suite, test)]
    world = suites.run(suite, folder / f"{suite}.world", in_a_world=True, only=tried) if tried else {}
    lost = [test for test in passing if world.get(test, MISSING).outcome != "passed"]
    wrong = [test for test in lost if exempt(suite, test) is None]
    # Some of these tests fail now and then on a machine that is busy, and say so when they are asked once more.
    again = suites.run(suite, folder / f"{suite}.again", in_a_world=True, only=wrong) if wrong else {}
    still = [test for test in wrong if again.get(test, MISSING).outcome != "passed"]
    figures = f"{len(plain)} tests, {len(passing)} pass, {len(lost)} of them not in a world"
    print(f"{suite:<45} {figures}, {len(lost) - len(wrong)} with a reason", flush=True)
    for test in [test for test in wrong if test not in still]:
        print(f"    passed when asked again    {_short(test)}", flush=True)
    for test in still:
        ending = again.get(test, MISSING)
        print(f"    {ending.outcome:<8} {_short(test)}", flush=True)
        print("        " + ending.text[-1500:].replace("\n", "\n        "), flush=True)
    needless = [test for test in passing if exempt(suite, test) is not None and test not in lost]
    if needless:
        print(f"    {len(needless)} pass although they need not, for example {_short(needless[0])}", flush=True)
    return not still and bool(passing)


def _is_tried(suite: str, test: str) -> bool:
    entry = exempt(suite, test)
    return entry is None or entry.tried


def _short(test: str) -> str:
    return test.rpartition("/")[2]


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that no run is left behind
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="for example test.test_queue; all, if none is given")
    parser.add_argument("--keep", metavar="FOLDER", help="where to leave the outcome of each test")
    options = parser.parse_args()
    found, lacking = suites.installed_suites()
    if not found:
        print(f"SKIPPED: {sys.executable} has no package `test`; nothing was compared")
        return
    for suite in lacking:
        print(f"SKIPPED: {suite}: this Python does not have it")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.keep or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        results = [compare(suite, folder) for suite in options.suites or found]
    print(f"{len(results)} suites compared, {results.count(False)} not as they should be")
    sys.exit(not all(results))


if __name__ == "__main__":
    main()

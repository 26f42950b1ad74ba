"""Whether concurrent programs end at the same instants in every run, while every core is busy with other work.

First each program of the tests of virtual time runs many times in a row. Then the suite of replayed programs runs
several times, alone and with two workers: all its reports must be equal, byte for byte.

    PYTHONPATH=. python benchmarks/repeat_programs.py --times=200 --suites=5
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.plugin.suite import APP, HEADER
from tests.plugin.test_concurrent_programs import PROGRAMS as SUITE
from tests.plugin.test_concurrent_programs import RECORDED
from tests.support.recorded_programs import record
from tests.support.virtual_time_programs import PROGRAMS


@contextmanager
def busy_cores() -> Iterator[None]:
    """Keep every core busy in this block."""
    burners = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def repeated(times: int) -> bool:
    """Run each program so many times; return whether all ended at the right instant."""
    right = True
    for program in PROGRAMS:
        ends = {program.run() for _ in range(times)}
        right = right and ends == {program.ends}
        print(f"{program.name:<45} {'right' if ends == {program.ends} else sorted(ends)}", flush=True)
    return right


def report(folder: Path, *options: str) -> str:
    """Replay the suite once; return the digest of its report."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--latency-report=report.json", *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return hashlib.sha256((folder / "report.json").read_bytes()).hexdigest()


def replayed(suites: int) -> bool:
    """Replay the suite so many times, alone and with workers; return whether all reports are equal."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tox.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
        (folder / "app.py").write_text(APP)
        (folder / "test_it.py").write_text(HEADER + SUITE)
        for test, exchanges in RECORDED.items():
            record(folder / "test_it.py", test, exchanges)
        digests = {report(folder, *options) for _ in range(suites) for options in ((), ("-n2",))}
    print(f"{2 * suites} replays of {len(RECORDED)} tests: {len(digests)} different reports")
    return len(digests) == 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--suites", type=int, default=5)
    options = parser.parse_args()
    with busy_cores():
        right = repeated(options.times)
        right = replayed(options.suites) and right
    sys.exit(not right)


if __name__ == "__main__":
    main()

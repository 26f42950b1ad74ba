"""How much longer a pytest run without latency tests takes with this plugin: at most 8 ms.

Both sides load respx's own plugin, which this one needs. Other plugins are left out, since they would add noise to both
sides. The fastest of many runs are compared: other work of the machine can only add time.

    python benchmarks/startup.py
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.virtual_time.clock import WallClock

ROUNDS = 25
TARGET = 8.0  # ms
HEAVY = ("anthropic", "hypothesis", "respx.mocks", "httpx2")

WITHOUT = ("-p", "respx.plugin")
WITH = (*WITHOUT, "-p", "pytest_claude_latency.plugin")

TEST = "def test_nothing():\n    pass\n"
CONFTEST = f"""
import sys
def pytest_unconfigure():
    print("IMPORTED", *(name for name in {HEAVY} if name in sys.modules))
"""

CLOCK = WallClock()


def run(folder: Path, plugins: tuple[str, ...]) -> str:
    """Run pytest over one empty test; return what it printed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugins, str(folder)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": ""}  # as installed
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, cwd=folder).stdout


def timed(folder: Path, plugins: tuple[str, ...]) -> tuple[float, float]:
    """Return the milliseconds of a run: by the clock, and of processor time."""
    cpu, wall = _children(), CLOCK.now()
    run(folder, plugins)
    return (CLOCK.now() - wall) / MILLISECOND, (_children() - cpu) * 1000


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def imported(folder: Path, plugins: tuple[str, ...]) -> set[str]:
    (line,) = (line for line in run(folder, plugins).splitlines() if line.startswith("IMPORTED"))
    return set(line.split()[1:])


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_nothing.py").write_text(TEST)
        (folder / "conftest.py").write_text(CONFTEST)
        before, after = imported(folder, WITHOUT), imported(folder, WITH)
        pairs = [(timed(folder, WITHOUT), timed(folder, WITH)) for _ in range(ROUNDS)]
    for index, kind in enumerate(("by the clock", "processor time")):
        without, with_it = ([pair[side][index] for pair in pairs] for side in (0, 1))
        fastest, middle = min(with_it) - min(without), median(with_it) - median(without)
        verdict = "within" if fastest <= TARGET else "OVER"
        print(
            f"{kind:14}  without {min(without):6.1f} ms   with {min(with_it):6.1f} ms   adds {fastest:5.1f} ms "
            f"(medians: {middle:5.1f}), {verdict} {TARGET:g}; ratio {min(with_it) / min(without):.3f}"
        )
    print(f"imports in addition: {', '.join(sorted(after - before)) or 'nothing heavy'} (of {', '.join(HEAVY)})")


if __name__ == "__main__":
    main()

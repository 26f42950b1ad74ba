"""Real work inside a replay: it is waited for in reality, costs no virtual time, and is reported."""

from __future__ import annotations

from tests.plugin.suite import Suite


def test_a_subprocess_is_waited_for_and_the_report_names_its_line(suite: Suite) -> None:
    suite.write(
        """
import subprocess, sys


def test_it(claude_latency):
    stream()
    done = subprocess.run([sys.executable, "-c", "import time; time.sleep(0.4); print('done')"], capture_output=True)
    assert done.stdout.split() == [b"done"]
    stream("again")
"""
    )
    suite.record().assert_outcomes(passed=1)

    result = suite.replay()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*MainThread waited *s in reality, at *test_it.py:*"])
    first, second = suite.calls("test_it")
    assert second["sent"] < first["sent"] + first["total"] + 0.1  # the wait cost no virtual time

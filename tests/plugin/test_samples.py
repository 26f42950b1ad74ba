"""`--latency-samples`: a latency test run several times, each an item of its own."""

from __future__ import annotations

import pytest

from tests.plugin.suite import Suite

LABELS = """
@pytest.mark.latency_budget(total="3s")
def test_one():
    assert ask() == "Hello world"

@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.latency_budget(total="3s")
def test_label(language):
    assert ask(language) == "Hello world"

def test_other():
    pass
"""


def test_each_sample_is_a_test_item_of_its_own(suite: Suite) -> None:
    suite.write(LABELS)

    result = suite.record("--latency-samples=2", "-v")

    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(
        [
            "*::test_one[[]sample-1] PASSED*",
            "*::test_one[[]sample-2] PASSED*",
            "*::test_label[[]en-sample-1] PASSED*",
            "*::test_label[[]en-sample-2] PASSED*",
            "*::test_label[[]de-sample-1] PASSED*",
            "*::test_label[[]de-sample-2] PASSED*",
            "*::test_other PASSED*",
        ]
    )
    assert suite.recordings() == [
        f"cassettes/test_it/{n}"
        for n in sorted(
            f"{test}.{sample}.jsonl" for test in ("test_one", "test_label[en]", "test_label[de]") for sample in (1, 2)
        )
    ]
    r = suite.replay()
    print(r.stdout.str())
    r = suite.replay("-n2")
    r = suite.replay("test_it.py::test_label[en]", "-v")
    r = suite.record("test_it.py::test_label[en]", "-v", "--latency-samples=3")

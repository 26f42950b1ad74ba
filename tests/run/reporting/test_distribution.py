"""Which items of a run that records run on one worker."""

from __future__ import annotations

import pytest

pytest.importorskip("xdist")

from pytest_claude_latency.run.reporting.distribution import groups_of

TEST = "test_it.py::test_it"


def test_a_test_its_samples_and_its_faults_are_one_group() -> None:
    items = [f"{TEST}[en-sample-1]", f"{TEST}[en-sample-2]", f"{TEST}[en-overloaded]", f"{TEST}[en-rate_limited-a=1]"]

    assert groups_of(items) == dict.fromkeys(items, f"{TEST}[en]")


def test_without_parameters_the_test_itself_is_the_group() -> None:
    items = [TEST, f"{TEST}[overloaded]", f"{TEST}[slower-ttft=+2s]"]

    assert groups_of(items) == dict.fromkeys(items, TEST)


def test_samples_and_parameters_of_tests_without_faults_go_where_there_is_time() -> None:
    assert groups_of([f"{TEST}[en]", f"{TEST}[de]", f"{TEST}2[sample-1]", f"{TEST}2[sample-2]", f"{TEST}3"]) == {}


def test_each_parameter_is_a_group_with_its_own_faults() -> None:
    assert groups_of(
        [f"{TEST}[en]", f"{TEST}[en-refused]", f"{TEST}[en-US]", f"{TEST}[de]", f"{TEST}[de-refused]"]
    ) == {
        f"{TEST}[en]": f"{TEST}[en]",
        f"{TEST}[en-refused]": f"{TEST}[en]",
        f"{TEST}[en-US]": f"{TEST}[en]",  # its id alone cannot tell
        f"{TEST}[de]": f"{TEST}[de]",
        f"{TEST}[de-refused]": f"{TEST}[de]",
    }

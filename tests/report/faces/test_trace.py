"""The trace against the rules of its format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU

Perfetto's own reader is a program that its Python package downloads, which no test may. Where the program is on the
PATH, it opens a trace too; everywhere the rules are checked here.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.metrics.timeline import Call
from pytest_claude_latency.report.faces import trace
from tests.support.properties import examples
from tests.support.some_call import some_call
from tests.support.some_pages import LATE, breakdown, report_with_everything
from tests.support.some_results import report_of, some_result

READER: Final = shutil.which("trace_processor_shell")


def events_of(report: dict[str, Any]) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads(trace.render(report))["traceEvents"]
    assert_valid(events)
    return events


def assert_valid(events: list[dict[str, Any]]) -> None:
    """Each event has the keys of its phase, and the slices of a thread nest or do not meet."""
    slices: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for event in events:
        assert {"ph", "pid", "tid", "name"} <= event.keys()
        if event["ph"] == "X":
            assert event["ts"] >= 0
            assert event["dur"] >= 0
            slices[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
        elif event["ph"] == "i":
            assert event["s"] == "t"
            assert event["ts"] >= 0
        else:
            assert (event["ph"], event["name"]) in {
                ("M", name) for name in ("process_name", "process_sort_index", "thread_name")
            }
    for spans in slices.values():
        for place, (start, end) in enumerate(spans):
            for other_start, other_end in spans[place + 1 :]:
                apart = end <= other_start or other_end <= start
                nested = (start <= other_start and other_end <= end) or (other_start <= start and end <= other_end)
                assert apart or nested


def test_each_sample_is_a_process_and_the_worst_test_comes_first() -> None:
    events = events_of(report_with_everything(tests=2))

    names = [event["args"]["name"] for event in events if event["name"] == "process_name"]
    assert names[0] == LATE
    assert sum(", sample " in name for name in names) == 9


def test_a_part_is_a_slice_inside_its_call_and_a_budget_an_instant() -> None:
    call = some_call(sent=1.0, ttft=1.0, ttfa=1.0, total=2.0)

    events = events_of(report_of(some_result(calls=[call], limits={"ttft": "500ms"})))

    slices = [(event["name"], event["ts"], event["dur"]) for event in events if event["ph"] == "X"]
    assert slices == [
        ("call 1 · claude-haiku-4-5", 1_000_000, 2_000_000),
        ("waiting", 1_000_000, 1_000_000),
        ("answering", 2_000_000, 1_000_000),
    ]
    (limit,) = [event for event in events if event["ph"] == "i"]
    assert (limit["name"], limit["ts"]) == ("ttft at most 500ms", 1_500_000)
    assert limit["args"]["verdict"] == "broken"


def test_calls_that_overlap_lie_in_lanes_and_a_free_lane_is_used_again() -> None:
    calls = [some_call(sent=sent, total=2.5) for sent in (0.0, 1.0, 3.0)]

    events = events_of(report_of(some_result(calls=calls)))

    assert [event["tid"] for event in events if event.get("cat") == "call"] == [10, 11, 10]


@examples(50)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(7, 60)), min_size=1, max_size=6))
def test_any_overlap_of_calls_makes_a_valid_trace(spans: list[tuple[int, int]]) -> None:
    calls: list[Call] = [
        some_call(sent=sent / 10, ttft=0.1, ttfa=0.2, total=total / 10) for sent, total in sorted(spans)
    ]

    events_of(report_of(some_result(calls=calls, breakdown=breakdown(calls), limits={"elapsed": "1s", "total": "2s"})))


@pytest.mark.slow
@pytest.mark.skipif(
    READER is None,
    reason="trace_processor_shell is not on the PATH: traces are held against the rules of the format only",
)
def test_perfetto_reads_the_slices_that_were_written(tmp_path: Path) -> None:
    perfetto = pytest.importorskip("perfetto.trace_processor")
    written = trace.render(report_with_everything(tests=2))
    (tmp_path / "trace.json").write_text(written, "utf-8")

    config = perfetto.TraceProcessorConfig(bin_path=READER)
    with perfetto.TraceProcessor(trace=str(tmp_path / "trace.json"), config=config) as reader:
        read = sorted(row.name for row in reader.query("select name from slice"))

    assert read == sorted(event["name"] for event in json.loads(written)["traceEvents"] if event["ph"] in "Xi")

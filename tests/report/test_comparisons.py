from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_claude_latency.comparison.compare import compare
from pytest_claude_latency.comparison.comparison import Comparison, Verdict
from pytest_claude_latency.comparison.exact import EXACT
from pytest_claude_latency.metrics.series import Series
from pytest_claude_latency.report.comparisons import (
    HEADERS,
    NOTHING,
    Compared,
    as_json,
    cells_of,
    counts,
    markdown,
    text_lines,
)
from tests.support.some_baseline import DRAFT, LABEL, live, replayed
from tests.support.some_call import some_call
from tests.support.some_results import node_ids

FAST = [0.4 + number / 1000 for number in range(20)]
SLOW = [0.6 + number / 1000 for number in range(20)]
CHANGE = HEADERS.index("change")


def compared(before: list[Series], after: list[Series], **others: tuple[str, ...]) -> Compared:
    old, new = ({series.nodeid: series for series in side} for side in (before, after))
    return Compared(comparisons=compare(old, new), **others)


def text(content: Compared, *, width: int = 160, everything: bool = False) -> list[str]:
    return [line.text for line in text_lines(content, width=width, everything=everything)]


def exact(before: float, after: float, metric: str = "total", verdict: Verdict = "improvement") -> Comparison:
    return Comparison(nodeid=LABEL, metric=metric, verdict=verdict, before=(before,), after=(after,))


SEQUENTIAL = compared(
    [replayed(LABEL, some_call(total=1.0), some_call(total=1.0), elapsed=1.0)],
    [replayed(LABEL, some_call(total=1.0), some_call(sent=1.0, total=1.0), elapsed=2.0)],
)


def test_an_exact_change_is_a_row_with_its_cause_below_it() -> None:
    assert text(SEQUENTIAL) == [
        "  metric   before     now  change  verdict     evidence",
        LABEL,
        "  elapsed  1.000s  2.000s  +100 %  regression  exact",
        "    changed   call 2 no longer overlaps call 1",
        "1 test, 6 comparisons: 1 regression, 5 unchanged",
    ]


def test_a_live_comparison_is_shown_with_its_evidence() -> None:
    (ttft, _, _) = compared([live(LABEL, FAST)], [live(LABEL, SLOW)]).comparisons
    *facts, evidence = cells_of(ttft)

    assert facts == ["ttft", "409ms", "609ms", "+49 %", "regression"]
    assert evidence.startswith("ratio 1.4")
    assert evidence.endswith(", 20 samples before, 20 now")
    assert "adjusted p" in evidence


def test_evidence_that_does_not_fit_into_a_row_stands_below_it() -> None:
    wide, narrow = (text(compared([live(LABEL, FAST)], [live(LABEL, SLOW)]), width=width) for width in (160, 70))

    in_row, below = wide[2], narrow[2:5]
    assert len(wide) == 6
    assert max(map(len, narrow)) <= 70
    assert below[0].endswith("regression")
    assert in_row.split() == " ".join(below).split()


def test_what_did_not_change_is_only_a_number_unless_everything_is_asked_for() -> None:
    same = compared([replayed()], [replayed()])

    assert text(same) == ["1 test, 6 comparisons: 6 unchanged"]
    assert [line.split()[0] for line in text(same, everything=True)[2:-1]] == list(EXACT)


def test_too_few_runs_say_how_many_would_do() -> None:
    few = compared([live(LABEL, FAST[:2])], [live(LABEL, SLOW[:2])])

    assert text(few) == ["1 test, 3 comparisons: 3 too few runs (4 samples a side would be enough)"]
    assert {cells_of(comparison)[-1] for comparison in few.comparisons} == {
        "2 samples before, 2 now; 4 a side are needed"
    }


def test_tests_of_one_side_only_are_named_and_counted() -> None:
    content = compared(
        [replayed()], [replayed()], gone=("a.py::t",), new=("b.py::t", "c.py::t"), left_out=("d.py::t (failed)",)
    )

    assert text(content) == [
        "gone: a.py::t",
        "new: b.py::t",
        "new: c.py::t",
        "not compared: d.py::t (failed)",
        "1 test, 6 comparisons: 6 unchanged; 1 test gone; 2 tests new; 1 test not compared",
    ]


def test_two_files_without_a_common_test_do_not_look_unchanged() -> None:
    assert counts(Compared(gone=("a.py::t",))) == f"{NOTHING}; 1 test gone"


def test_lines_tell_the_verdict_they_show() -> None:
    assert [line.verdict for line in text_lines(SEQUENTIAL, width=160)] == [None, None, "regression", None, None]


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (1e9, 2e9, "+100 %"),
        (2e9, 1e9, "-50 %"),
        (1e9, 1.0125e9, "+1.2 %"),
        (1e9, 1e9 + 1000, "+<0.1 %"),
        (1e9 + 1000, 1e9, "-<0.1 %"),
        (1e9, 1e9, ""),
        (0, 5e6, "+5ms"),
        (1e9, math.inf, ""),
        (math.inf, 1e9, ""),
    ],
)
def test_a_change_of_a_span_is_shown_in_percent(before: float, after: float, change: str) -> None:
    assert cells_of(exact(before, after))[CHANGE] == change


def test_a_change_of_a_count_is_shown_in_numbers() -> None:
    assert cells_of(exact(3, 5, "calls"))[CHANGE] == "+2"
    assert cells_of(exact(96, 90, "output_tokens"))[CHANGE] == "-6"


def test_what_never_came_says_so() -> None:
    assert "never (no token came)" in cells_of(exact(1e9, math.inf, "ttft"))


def test_markdown_is_a_table_with_regressions_in_bold() -> None:
    lines = markdown(SEQUENTIAL).splitlines()

    assert lines == [
        "| test | metric | before | now | change | verdict | evidence |",
        "|:--|:--|--:|--:|--:|:--|:--|",
        f"| `{LABEL}` | elapsed | 1.000s | 2.000s | +100 % | **regression** | exact |",
        "",
        f"`{LABEL}` changed:",
        "",
        "- `call 2 no longer overlaps call 1`",
        "",
        "1 test, 6 comparisons: 1 regression, 5 unchanged",
    ]


def test_json_has_every_comparison_and_its_test() -> None:
    facts = as_json(
        compared([replayed(), replayed(DRAFT)], [replayed(), replayed(DRAFT, elapsed=4.0)], gone=("a.py::t",))
    )

    assert [(comparison["nodeid"], comparison["metric"]) for comparison in facts["comparisons"]] == [
        (nodeid, metric) for nodeid in (DRAFT, LABEL) for metric in EXACT
    ]
    assert facts["counts"] == {"regression": 1, "improvement": 0, "unchanged": 11, "too few runs": 0}
    assert (facts["gone"], facts["new"], facts["left_out"]) == (["a.py::t"], [], [])
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


@settings(deadline=None)
@given(node_ids(), st.lists(node_ids(), max_size=2))
def test_any_test_has_one_row_of_seven_cells_in_the_markdown_table(nodeid: str, others: list[str]) -> None:
    content = compared([replayed(nodeid)], [replayed(nodeid, elapsed=9.0)], new=tuple(others))

    table, _, rest = markdown(content).partition("\n\n")

    *_, row = table.split("\n")
    assert table.count("\n") == 2
    assert len(row.replace("\\|", "").split("|")) == 9
    assert rest.count("- new: ") == len(others)

"""Strips: a baseline beside this run."""

from __future__ import annotations

from pytest_claude_latency.report.faces import html, strips
from tests.support.some_pages import SAMPLED, report_with_everything


def test_each_duration_of_a_baseline_is_drawn_above_that_of_this_run() -> None:
    found = [
        {"metric": "ttft", "before": 1.0, "after": 2.0, "readings_before": [1.0, None], "readings_after": [2.0, 1.5]},
        {"metric": "output_tokens", "before": 9, "after": 10},
        {"metric": "total", "before": 3.0, "after": None},
    ]

    drawing = strips.baseline(found)

    assert (drawing.count('class="n"'), drawing.count('class="d"')) == (2, 2)
    assert drawing.count(">output_tokens<") == 0


def test_a_baseline_without_a_duration_has_no_drawing() -> None:
    assert strips.baseline([{"metric": "calls", "before": 1, "after": 2}]) == ""


def test_a_test_that_changed_shows_every_metric_of_its_baseline() -> None:
    page = html.render(report_with_everything())

    section = page[page.index("<summary>Against the baseline") :]
    assert f'<h3 class="id">{SAMPLED}</h3>' in section
    for cells in (("ttft", "350ms", "412ms", "regression"), ("total", "2.200s", "2.200s", "unchanged")):
        assert "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>" in section
